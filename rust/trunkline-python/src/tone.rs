//! Tones, and the keys of a telephone.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use trunkline_core::DtmfDetector as Core;

use crate::buffer;
use crate::errors::raised;
use crate::exclusive::{Exclusive, caught};
use crate::format::format;

/// Make a sine of whole samples, which begins at zero.
///
/// Args:
///     frequency_hz: Above zero and below half of the sample rate.
///     duration_ms: Its length, from zero to an hour.
///     audio_format: The format of what is made.
///     level_dbfs: Its level as `dbfs` measures it; -3.01 is a sine at full scale, the loudest.
///
/// Raises:
///     InvalidConfig: A number is out of its range.
#[pyfunction]
#[pyo3(signature = (frequency_hz, /, *, duration_ms, audio_format, level_dbfs = -10.0))]
pub(crate) fn tone<'py>(
    py: Python<'py>,
    frequency_hz: f64,
    duration_ms: f64,
    audio_format: &Bound<'py, PyAny>,
    level_dbfs: f64,
) -> PyResult<Bound<'py, PyBytes>> {
    let format = format(audio_format)?;
    let work = || trunkline_core::generate_tone(frequency_hz, duration_ms, format, level_dbfs);
    let made = caught("tone()", || py.detach(work).map_err(raised))?;
    Ok(PyBytes::new(py, &made))
}

/// Make the tones of keys (ITU-T Q.23), each followed by a gap.
///
/// Args:
///     digits: Of `0123456789*#ABCD`, as often as wanted.
///     audio_format: The format of what is made.
///     tone_ms: The length of each tone, from zero to an hour; receivers need 40.
///     gap_ms: The length of each gap, likewise; all together take at most an hour.
///     level_dbfs: The level of both tones together as `dbfs` measures it; -6.02 is the loudest.
///
/// Raises:
///     InvalidConfig: There is no such key, or a number is out of its range.
#[pyfunction]
#[pyo3(signature = (digits, /, *, audio_format, tone_ms = 100.0, gap_ms = 100.0, level_dbfs = -10.0))]
pub(crate) fn generate<'py>(
    py: Python<'py>,
    digits: &str,
    audio_format: &Bound<'py, PyAny>,
    tone_ms: f64,
    gap_ms: f64,
    level_dbfs: f64,
) -> PyResult<Bound<'py, PyBytes>> {
    let format = format(audio_format)?;
    let work = || trunkline_core::generate_dtmf(digits, format, tone_ms, gap_ms, level_dbfs);
    let made = caught("generate()", || py.detach(work).map_err(raised))?;
    Ok(PyBytes::new(py, &made))
}

/// Recognises the keys of a telephone in audio that comes in chunks of any size, within the tolerances of ITU-T Q.24 (annex A, AT&T).
///
/// Tones of 40 ms are recognised, about 30 ms after they begin; those of 23 ms are not. 40 ms of pause part two presses of one key.
///
/// Args:
///     audio_format: The format of the audio.
#[pyclass(frozen, module = "trunkline.audio.dtmf")]
pub(crate) struct DtmfDetector {
    core: Exclusive<Core>,
    item_bytes: usize,
}

#[pymethods]
impl DtmfDetector {
    #[new]
    fn new(audio_format: &Bound<'_, PyAny>) -> PyResult<Self> {
        let format = format(audio_format)?;
        Ok(Self {
            core: caught("DtmfDetector()", || Ok::<_, PyErr>(Core::new(format)))
                .map(|core| Exclusive::new("DtmfDetector", core))?,
            item_bytes: format.encoding().sample_bytes(),
        })
    }

    /// Take audio and return the keys that were newly pressed in it, each once, however long it is held.
    ///
    /// Raises:
    ///     InvalidAudioData: `audio` is an array whose items are not those of the format, or do not lie without gaps.
    ///     RuntimeError: Another thread is using this detector.
    #[pyo3(signature = (audio, /))]
    fn feed(&self, audio: &Bound<'_, PyAny>) -> PyResult<String> {
        let bytes = buffer::audio(audio, self.item_bytes)?;
        let bytes = bytes.as_bytes();
        self.core
            .enter(|core| Ok(audio.py().detach(|| core.feed(bytes))))
    }

    /// Forget what came, and the key that is down.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this detector.
    fn reset(&self) -> PyResult<()> {
        self.core.enter(|core| {
            core.reset();
            Ok(())
        })
    }
}
