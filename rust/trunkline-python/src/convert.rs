//! The converter.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use trunkline_core::StreamConverter as Core;

use crate::buffer::{self, Target};
use crate::errors::{invalid, raised};
use crate::exclusive::{Exclusive, caught};
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
    core: Exclusive<Core>,
    /// Bytes of an item of what comes in, if it is not plain bytes.
    item_bytes: usize,
    /// Bytes of an item of what goes out, likewise.
    out_item_bytes: usize,
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
    /// Returns what `make` writes as bytes, or writes it into the caller's memory.
    fn give<'py>(
        &self,
        py: Python<'py>,
        len: usize,
        out: Option<&Bound<'py, PyAny>>,
        make: impl FnOnce(&mut [u8]) -> PyResult<()>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(out) = out else {
            return Ok(PyBytes::new_with(py, len, make)?.into_any());
        };
        let target = Target::of(out, self.out_item_bytes, len)?;
        let mut audio = vec![0; len];
        make(&mut audio)?;
        target.fill(py, &audio)?;
        Ok(len.into_pyobject(py)?.into_any())
    }
}

#[pymethods]
impl StreamConverter {
    #[new]
    fn new(from_: Bound<'_, PyAny>, to: Bound<'_, PyAny>) -> PyResult<Self> {
        let (from, to_format) = (format(&from_)?, format(&to)?);
        let core = caught("StreamConverter()", || {
            Ok::<_, PyErr>(Core::new(from, to_format))
        })?;
        Ok(Self {
            item_bytes: from.encoding().sample_bytes(),
            out_item_bytes: to_format.encoding().sample_bytes(),
            delay_ms: core.delay_ms(),
            core: Exclusive::new("StreamConverter", core),
            from_: from_.unbind(),
            to: to.unbind(),
        })
    }

    /// Convert a chunk and return what can be told already.
    ///
    /// Args:
    ///     audio: The chunk.
    ///     out: Memory of the caller's that is filled instead: a writable buffer of `output_len(len(chunk))` bytes or more.
    ///
    /// Returns:
    ///     The converted bytes or, with `out`, how many bytes of it were written.
    ///
    /// Raises:
    ///     InvalidAudioData: `audio` or `out` is an array whose items are not those of the format, or do not lie without gaps; or `out` is
    ///         too small or read-only. Nothing was taken in then.
    ///     RuntimeError: Another thread is using this converter.
    #[pyo3(signature = (audio, /, *, out=None))]
    fn convert<'py>(
        &self,
        audio: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = audio.py();
        let bytes = buffer::audio(audio, self.item_bytes)?;
        self.core.enter(|core| {
            if core.is_identity() && out.is_none() {
                return Ok(bytes.into_any());
            }
            let input = bytes.as_bytes();
            let len = core.output_len(input.len());
            self.give(py, len, out, |out| {
                let written = if input.len() < WORTH_DETACHING {
                    core.convert_into(input, out)
                } else {
                    py.detach(|| core.convert_into(input, out))
                };
                written.map(|_| ()).map_err(raised)
            })
        })
    }

    /// Convert the chunk that a wire message carries as base64, and return base64: faster than three calls.
    ///
    /// Args:
    ///     text: Padded base64 of the standard alphabet, without line breaks.
    ///
    /// Raises:
    ///     InvalidAudioData: `text` is not that. Nothing was taken in then.
    ///     RuntimeError: Another thread is using this converter.
    #[pyo3(signature = (text, /))]
    fn convert_base64<'py>(&self, text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        let py = text.py();
        let string = text.cast::<PyString>().ok();
        let input = match string {
            Some(string) => string
                .to_str()
                .map_err(|_| invalid("base64 has ASCII letters only".to_owned()))?
                .as_bytes(),
            None => text.cast::<PyBytes>()?.as_bytes(),
        };
        self.core.enter(|core| {
            let identity = core.is_identity();
            let converted = if input.len() < WORTH_DETACHING {
                core.convert_base64(input)
            } else {
                py.detach(|| core.convert_base64(input))
            };
            let converted = converted.map_err(raised)?;
            Ok(match string {
                Some(same) if identity => same.clone(),
                _ => PyString::new(py, converted),
            })
        })
    }

    /// How many bytes the next `convert` of so many bytes returns, exactly.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this converter.
    #[pyo3(signature = (n_bytes, /))]
    fn output_len(&self, n_bytes: usize) -> PyResult<usize> {
        self.core.enter(|core| Ok(core.output_len(n_bytes)))
    }

    /// End the stream and return the rest of it; the converter is as new then. Part of a sample, if that is all that came, is dropped.
    ///
    /// Args:
    ///     out: Memory of the caller's that is filled instead.
    ///
    /// Returns:
    ///     The rest or, with `out`, how many bytes of it were written.
    ///
    /// Raises:
    ///     InvalidAudioData: `out` cannot be used; see `convert`. The stream goes on then.
    ///     RuntimeError: Another thread is using this converter.
    #[pyo3(signature = (*, out=None))]
    fn flush<'py>(
        &self,
        py: Python<'py>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.core.enter(|core| {
            let len = core.flush_len();
            let flush = |out: &mut [u8]| core.flush_into(out).map(|_| ()).map_err(raised);
            self.give(py, len, out, flush)
        })
    }

    /// Forget the stream without ending it; the converter is as new then.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this converter.
    fn reset(&self) -> PyResult<()> {
        self.core.enter(|core| {
            core.reset();
            Ok(())
        })
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
    let converted = caught("convert()", || {
        let convert = || trunkline_core::convert(input, from, to).map_err(raised);
        if input.len() < WORTH_DETACHING {
            convert()
        } else {
            py.detach(convert)
        }
    })?;
    Ok(PyBytes::new(py, &converted))
}
