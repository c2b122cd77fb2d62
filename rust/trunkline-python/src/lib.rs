//! The extension module `trunkline._native._rust`: converts arguments, calls the core once, maps the error.

#![allow(
    clippy::doc_markdown,
    reason = "what is said of a bound item is its Python docstring"
)]

use pyo3::prelude::*;

mod buffer;
mod convert;
mod errors;
mod exclusive;
mod format;
mod jitter;
mod level;
mod link;
mod number;
mod policy;
mod ring;
mod tone;
mod websocket;

/// The compiled half of `trunkline.audio`.
#[pymodule(gil_used = false)]
mod _rust {
    use pyo3::prelude::*;
    use pyo3::types::PyTuple;

    #[pymodule_export]
    use crate::convert::{StreamConverter, convert};
    #[pymodule_export]
    use crate::jitter::{JitterBuffer, JitterStats};
    #[pymodule_export]
    use crate::level::{dbfs, rms};
    #[pymodule_export]
    use crate::link::{
        AudioQueued, AudioSent, Downlink, DownlinkStats, MarkSent, Uplink, UplinkStats,
    };
    #[pymodule_export]
    use crate::ring::RingBuffer;
    #[pymodule_export]
    use crate::tone::{DtmfDetector, generate, tone};
    #[pymodule_export]
    use crate::websocket::{Close, Failed, Ping, Pong, WebSocketCodec};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let rates = PyTuple::new(module.py(), trunkline_core::SAMPLE_RATES)?;
        module.add("SAMPLE_RATES", rates)
    }
}
