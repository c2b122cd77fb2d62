//! What a downlink has done with the audio of the items.

use pyo3::prelude::*;
use pyo3::types::PyList;
use trunkline_core::media::Logged;

pub(super) fn entries(
    py: Python<'_>,
    log: impl IntoIterator<Item = Logged>,
) -> PyResult<Bound<'_, PyList>> {
    let entries = PyList::empty(py);
    for logged in log {
        match logged {
            Logged::Queued { item, size, at } => {
                let item_id = item.to_string();
                entries.append(Bound::new(py, AudioQueued { item_id, size, at })?)?;
            }
            Logged::Sent { item, size, at } => {
                let item_id = item.to_string();
                entries.append(Bound::new(py, AudioSent { item_id, size, at })?)?;
            }
            Logged::Marked { name, at } => {
                entries.append(Bound::new(py, MarkSent { name, at })?)?;
            }
        }
    }
    Ok(entries)
}

/// Audio of an item was put into a `Downlink`'s queue.
#[pyclass(frozen, get_all, module = "trunkline.transport.link")]
pub(crate) struct AudioQueued {
    /// The item.
    item_id: String,
    /// Bytes in the carrier's format.
    size: usize,
    /// When the first of it came, in seconds.
    at: f64,
}

#[pymethods]
impl AudioQueued {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str) {
        ("item_id", "size", "at")
    }
}

/// Audio went to the carrier.
#[pyclass(frozen, get_all, module = "trunkline.transport.link")]
pub(crate) struct AudioSent {
    /// The item, or "" for the silence that fills up a frame.
    item_id: String,
    /// Bytes in the carrier's format.
    size: usize,
    /// When, in seconds.
    at: f64,
}

#[pymethods]
impl AudioSent {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str) {
        ("item_id", "size", "at")
    }
}

/// A mark went to the carrier, behind all audio before it in the log.
#[pyclass(frozen, get_all, module = "trunkline.transport.link")]
pub(crate) struct MarkSent {
    /// How often the line was cleared, a colon, and how many bytes were sent since.
    name: String,
    /// When, in seconds.
    at: f64,
}

#[pymethods]
impl MarkSent {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("name", "at")
    }
}
