//! Audio that Python lends: bytes, bytearray, memoryview, or an array of 8- or 16-bit integers.

use pyo3::buffer::PyBuffer;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PySlice};

use crate::errors::invalid;

/// Takes any C-contiguous buffer of bytes or, where an item may have two bytes, of 16-bit integers.
///
/// `bytes` are taken as they are, since nobody can change them; anything else is copied, so that nobody changes it while it is read. The
/// copy is made by a memoryview: PyO3 0.30's own buffers take big-endian samples for native ones and refuse what `ctypes` makes.
pub(crate) fn audio<'py>(
    object: &Bound<'py, PyAny>,
    item_bytes: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    let view = view(object, item_bytes)?;
    let bytes = view.call_method0(intern!(object.py(), "tobytes"))?;
    Ok(bytes.cast_into()?)
}

/// The caller's memory, exactly as much as is needed.
pub(crate) struct Target(PyBuffer<u8>);

impl Target {
    pub(crate) fn of(object: &Bound<'_, PyAny>, item_bytes: usize, len: usize) -> PyResult<Self> {
        let py = object.py();
        let view = view(object, item_bytes)?;
        if view.getattr(intern!(py, "readonly"))?.is_truthy()? {
            return Err(invalid("the output cannot be written to".to_owned()));
        }
        let given: usize = view.getattr(intern!(py, "nbytes"))?.extract()?;
        if given < len {
            return Err(invalid(format!(
                "the output needs {len} bytes, got {given}"
            )));
        }
        let bytes = view.call_method1(intern!(py, "cast"), (intern!(py, "B"),))?;
        PyBuffer::get(&bytes.get_item(PySlice::new(py, 0, len.cast_signed(), 1))?).map(Self)
    }

    /// Writes all of it.
    pub(crate) fn fill(&self, py: Python<'_>, audio: &[u8]) -> PyResult<()> {
        self.0.copy_from_slice(py, audio)
    }
}

fn view<'py>(object: &Bound<'py, PyAny>, item_bytes: usize) -> PyResult<Bound<'py, PyMemoryView>> {
    let py = object.py();
    let view = PyMemoryView::from(object)?;
    if !view.getattr(intern!(py, "c_contiguous"))?.is_truthy()? {
        let strides = view.getattr(intern!(py, "strides"))?;
        return Err(invalid(format!(
            "audio must lie in memory without gaps, got strides {strides}"
        )));
    }
    let format: String = view.getattr(intern!(py, "format"))?.extract()?;
    let taken = match format.as_str() {
        "B" | "c" | "<B" => true,
        "<h" => item_bytes == 2,
        "h" => item_bytes == 2 && cfg!(target_endian = "little"),
        _ => false,
    };
    if taken {
        return Ok(view);
    }
    let samples = if item_bytes == 2 {
        " or 16-bit integers"
    } else {
        ""
    };
    Err(invalid(format!(
        "audio must be bytes{samples}, got items of format {format:?}"
    )))
}
