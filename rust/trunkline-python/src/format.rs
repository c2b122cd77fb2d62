//! Python's `AudioFormat` as the core's.

use pyo3::prelude::*;
use trunkline_core::{AudioFormat, Encoding};

use crate::errors::raised;

pub(crate) fn format(object: &Bound<'_, PyAny>) -> PyResult<AudioFormat> {
    let encoding = object.getattr("encoding")?.extract::<String>()?;
    let encoding: Encoding = encoding.parse().map_err(raised)?;
    let sample_rate = object.getattr("sample_rate")?.extract()?;
    let channels = object.getattr("channels")?.extract()?;
    AudioFormat::new(encoding, sample_rate, channels).map_err(raised)
}
