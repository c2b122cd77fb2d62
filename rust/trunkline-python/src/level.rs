//! How loud linear audio is.

use pyo3::prelude::*;

use crate::buffer;
use crate::errors::invalid;
use crate::exclusive::caught;

/// The root mean square of linear16 audio, in units of a sample: 0.0 for silence, 32,768.0 at most.
///
/// Raises:
///     InvalidAudioData: `pcm` ends inside a sample.
#[pyfunction]
#[pyo3(signature = (pcm, /))]
pub(crate) fn rms(pcm: &Bound<'_, PyAny>) -> PyResult<f64> {
    let samples = samples(pcm)?;
    caught("rms()", || Ok(trunkline_core::rms(&samples)))
}

/// The level of linear16 audio in decibels: 0.0 for a full-scale square wave, -3.01 for a full-scale sine, `-inf` for silence.
///
/// Raises:
///     InvalidAudioData: `pcm` ends inside a sample.
#[pyfunction]
#[pyo3(signature = (pcm, /))]
pub(crate) fn dbfs(pcm: &Bound<'_, PyAny>) -> PyResult<f64> {
    let samples = samples(pcm)?;
    caught("dbfs()", || Ok(trunkline_core::dbfs(&samples)))
}

fn samples(pcm: &Bound<'_, PyAny>) -> PyResult<Vec<i16>> {
    let audio = buffer::audio(pcm, 2)?;
    let audio = audio.as_bytes();
    let (pairs, rest) = audio.as_chunks();
    if !rest.is_empty() {
        return Err(invalid(format!(
            "{} bytes end inside a sample",
            audio.len()
        )));
    }
    Ok(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect())
}
