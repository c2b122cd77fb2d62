//! The two directions of a call's audio.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use trunkline_core::media::Frame;

use crate::errors::InvalidConfig;
use crate::number::Integer;

mod downlink;
mod log;
mod shape;
mod uplink;

pub(crate) use downlink::{Downlink, DownlinkStats};
pub(crate) use log::{AudioQueued, AudioSent, MarkSent};
pub(crate) use uplink::{Uplink, UplinkStats};

/// What is to be sent now, if anything, and the message that Python has to handle before the link goes on.
type Fed<'py> = (Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyAny>>);

/// Memory that is kept from one call to the next; more than that is given back.
const KEPT: usize = 16 * 1024;

/// Hands on what was written, and empties it.
fn sent<'py>(py: Python<'py>, out: &mut Vec<u8>) -> Option<Bound<'py, PyBytes>> {
    let bytes = (!out.is_empty()).then(|| PyBytes::new(py, out));
    out.clear();
    out.shrink_to(KEPT);
    bytes
}

/// A moment, in seconds of any clock.
fn moment(now: f64) -> PyResult<f64> {
    if now.is_finite() {
        return Ok(now);
    }
    Err(InvalidConfig::new_err((
        "now",
        format!("must be finite, got {now}"),
    )))
}

/// A position, a count or a size: a whole number that is not below 0.
fn count(number: Integer, name: &'static str) -> PyResult<u64> {
    let most = i64::MAX.unsigned_abs();
    number.within(name, 0..=most)
}

/// Audio that a tap has kept.
fn frames(
    py: Python<'_>,
    frames: impl ExactSizeIterator<Item = Frame>,
) -> PyResult<Bound<'_, PyList>> {
    PyList::new(py, frames.map(|(audio, at)| (PyBytes::new(py, &audio), at)))
}
