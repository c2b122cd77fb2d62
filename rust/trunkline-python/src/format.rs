//! Python's `AudioFormat` as the core's.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use trunkline_core::{AudioFormat, Encoding};

use crate::errors::{AudioError, UnsupportedSampleRate, raised};
use crate::number::Integer;

pub(crate) fn format(object: &Bound<'_, PyAny>) -> PyResult<AudioFormat> {
    let py = object.py();
    let Some(encoding) = object.getattr_opt(intern!(py, "encoding"))? else {
        let name = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "expected an AudioFormat, got {name}"
        )));
    };
    let encoding: Encoding = encoding.extract::<String>()?.parse().map_err(raised)?;
    let sample_rate: Integer = object.getattr(intern!(py, "sample_rate"))?.extract()?;
    let channels: Integer = object.getattr(intern!(py, "channels"))?.extract()?;
    let sample_rate = sample_rate
        .narrow()
        .map_err(UnsupportedSampleRate::new_err)?;
    let channels = channels.narrow().map_err(|channels| {
        AudioError::new_err(format!("channels must be 1 or 2, got {channels}"))
    })?;
    AudioFormat::new(encoding, sample_rate, channels).map_err(raised)
}
