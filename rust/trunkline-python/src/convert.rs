//! The converter.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use trunkline_core::StreamConverter as Core;

use crate::buffer;
use crate::errors::{busy, raised};
use crate::format::format;

/// Bytes from which converting takes longer (tens of microseconds) than letting other threads run meanwhile.
const WORTH_DETACHING: usize = 4096;

/// Converts a stream of audio from one format to another, in chunks of any size.
///
/// All that `convert` and the last `flush` return is `ceil(samples * new rate / old rate)` samples for as many whole samples as came in,
/// aligned with them in time. Each sample comes `delay_ms` after its own time, because the filter looks that far ahead; `flush` returns
/// what is then still owed. Chunks may end anywhere, even inside a sample: the same bytes in give the same bytes out. Between equal formats
/// chunks are returned untouched.
///
/// Args:
///     from_: The format of what comes in.
///     to: The format of what goes out.
#[pyclass(frozen, module = "trunkline.audio")]
pub(crate) struct StreamConverter {
    core: Mutex<Core>,
    item_bytes: usize,
    /// The format of what comes in.
    #[pyo3(get)]
    from_: Py<PyAny>,
    /// The format of what goes out.
    #[pyo3(get)]
    to: Py<PyAny>,
    /// How long after its own time a sample comes, in milliseconds: the group delay of the filter.
    #[pyo3(get)]
    delay_ms: f64,
}

impl StreamConverter {
    fn enter(&self) -> PyResult<MutexGuard<'_, Core>> {
        self.core.try_lock().map_err(|_| busy("StreamConverter"))
    }
}

#[pymethods]
impl StreamConverter {
    #[new]
    fn new(from_: Bound<'_, PyAny>, to: Bound<'_, PyAny>) -> PyResult<Self> {
        let (from, to_format) = (format(&from_)?, format(&to)?);
        let core = Core::new(from, to_format);
        Ok(Self {
            item_bytes: from.encoding().sample_bytes(),
            delay_ms: core.delay_ms(),
            core: Mutex::new(core),
            from_: from_.unbind(),
            to: to.unbind(),
        })
    }

    /// Convert a chunk and return what can be told already.
    ///
    /// Raises:
    ///     InvalidAudioData: `audio` is an array whose items are not those of the format, or do not lie without gaps.
    ///     RuntimeError: Another thread is using this converter.
    #[pyo3(signature = (audio, /))]
    fn convert<'py>(&self, audio: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let py = audio.py();
        let mut core = self.enter()?;
        if core.is_identity() {
            return buffer::audio(audio, self.item_bytes);
        }
        let input = buffer::audio(audio, self.item_bytes)?;
        let input = input.as_bytes();
        PyBytes::new_with(py, core.output_len(input.len()), |out| {
            let written = if input.len() < WORTH_DETACHING {
                core.convert_into(input, out)
            } else {
                let core = &mut *core;
                py.detach(|| core.convert_into(input, out))
            };
            written.map(|_| ()).map_err(raised)
        })
    }

    /// End the stream and return the rest of it; the converter is as new then. Part of a sample, if that is all that came, is dropped.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this converter.
    fn flush<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let mut core = self.enter()?;
        PyBytes::new_with(py, core.flush_len(), |out| {
            core.flush_into(out).map(|_| ()).map_err(raised)
        })
    }

    /// Forget the stream without ending it; the converter is as new then.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this converter.
    fn reset(&self) -> PyResult<()> {
        self.enter()?.reset();
        Ok(())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (from, to) = (self.from_.bind(py).repr()?, self.to.bind(py).repr()?);
        Ok(format!("StreamConverter({from}, {to})"))
    }
}

/// Convert a whole piece of audio at once, as a `StreamConverter` that is flushed.
///
/// Args:
///     audio: Whole samples of the first format.
///     from_: The format of `audio`.
///     to: The format of what is returned.
///
/// Raises:
///     InvalidAudioData: `audio` ends inside a sample, or is an array whose items are not those of the format, or do not lie without gaps.
#[pyfunction]
pub(crate) fn convert<'py>(
    audio: &Bound<'py, PyAny>,
    from_: &Bound<'py, PyAny>,
    to: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let py = audio.py();
    let (from, to) = (format(from_)?, format(to)?);
    let item_bytes = from.encoding().sample_bytes();
    if from == to {
        return buffer::audio(audio, item_bytes);
    }
    let input = buffer::audio(audio, item_bytes)?;
    let input = input.as_bytes();
    let converted = if input.len() < WORTH_DETACHING {
        trunkline_core::convert(input, from, to)
    } else {
        py.detach(|| trunkline_core::convert(input, from, to))
    };
    Ok(PyBytes::new(py, &converted.map_err(raised)?))
}
