//! The jitter buffer.

use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use trunkline_core::{JitterBuffer as Core, Position};

use crate::buffer;
use crate::errors::{busy, raised};
use crate::format::format;
use crate::number::{Integer, Wrapping};

/// Turns frames as a network delivers them into frames as a telephone plays them: in order, one after another.
///
/// It knows no clock: each call says what time it is, in milliseconds from any beginning.
///
/// - A frame waits until `target_ms` of audio are held, or the oldest has waited that long; then each `pop` gives the next.
/// - A frame that is missing when its turn comes is concealed: the one before is repeated, fading for 60 ms, then silence.
/// - When nothing is left (an underrun), concealment bridges the time until the target depth is reached again; no frame's turn is lost
///   meanwhile.
/// - The target follows the measured jitter (RFC 3550, sections 6.4.1 and A.8), from `target_ms` to half of `max_ms`. If more than the target
///   (and a frame) was held all through 25 frames, one is left out; beyond `max_ms`, the oldest ones are.
/// - Numbers that jump by more than 3,000 frames ahead or 100 behind, twice in order, are those of a stream that begins anew (RFC 3550,
///   section A.1).
///
/// Args:
///     audio_format: The format of the frames.
///     target_ms: The audio that is collected before the first frame is given out, and the least that the target adapts to.
///     max_ms: The audio that is held at most, from 1 to 3,000 frames.
///     frame_ms: The duration of a frame, from 1 to 200.
///
/// Raises:
///     InvalidConfig: A duration is out of its range, or `target_ms` is beyond `max_ms`.
#[pyclass(frozen, module = "trunkline.audio")]
pub(crate) struct JitterBuffer {
    core: Mutex<Core>,
}

impl JitterBuffer {
    fn enter(&self) -> PyResult<MutexGuard<'_, Core>> {
        self.core.try_lock().map_err(|_| busy("JitterBuffer"))
    }
}

#[pymethods]
impl JitterBuffer {
    #[new]
    #[pyo3(signature = (audio_format, *, target_ms = Integer::from(60), max_ms = Integer::from(1000), frame_ms = Integer::from(20)))]
    fn new(
        audio_format: &Bound<'_, PyAny>,
        target_ms: Integer,
        max_ms: Integer,
        frame_ms: Integer,
    ) -> PyResult<Self> {
        let audio_format = format(audio_format)?;
        let frame_ms = frame_ms.within("frame_ms", 1..=200)?;
        let max_ms = max_ms.within("max_ms", frame_ms..=frame_ms * 3_000)?;
        let target_ms = target_ms.within("target_ms", 0..=max_ms)?;
        let core = Core::new(audio_format, target_ms, max_ms, frame_ms).map_err(raised)?;
        Ok(Self {
            core: Mutex::new(core),
        })
    }

    /// Take a frame; one that is there already, or whose turn is over, is dropped and counted.
    ///
    /// Args:
    ///     frame: The audio of exactly one frame.
    ///     sequence: Its number, one more for each frame; only the lower 16 bits count, so it may wrap at 65,536 or not.
    ///     timestamp: Instead of `sequence`: the time of its first sample, counted in samples as in RTP; only the lower 32 bits count.
    ///     now_ms: The time, in milliseconds.
    ///
    /// Raises:
    ///     InvalidAudioData: The frame has another length, or is an array of something else.
    ///     InvalidConfig: `now_ms` is not finite, or this buffer was given sequences before and timestamps now, or the other way round.
    ///     TypeError: Neither `sequence` nor `timestamp` is given, or both are.
    ///     RuntimeError: Another thread is using this buffer.
    #[pyo3(signature = (frame, /, *, now_ms, sequence = None, timestamp = None))]
    fn push(
        &self,
        frame: &Bound<'_, PyAny>,
        now_ms: f64,
        sequence: Option<Wrapping<u16>>,
        timestamp: Option<Wrapping<u32>>,
    ) -> PyResult<()> {
        let position = match (sequence, timestamp) {
            (Some(Wrapping(number)), None) => Position::Sequence(number),
            (None, Some(Wrapping(number))) => Position::Timestamp(number),
            _ => {
                let reason = "push() takes either sequence= or timestamp=";
                return Err(PyTypeError::new_err(reason));
            }
        };
        let frame = buffer::audio(frame, 2)?;
        let mut core = self.enter()?;
        core.push(frame.as_bytes(), position, now_ms)
            .map_err(raised)
    }

    /// Give out the frame whose turn it is, or what conceals it; None before enough has been collected for the first time.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this buffer.
    #[pyo3(signature = (*, now_ms))]
    fn pop<'py>(&self, py: Python<'py>, now_ms: f64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut core = self.enter()?;
        Ok(core.pop(now_ms).map(|frame| PyBytes::new(py, frame)))
    }

    /// Drop all that is held, as new but for the counts and the measured jitter, and return how many frames that were.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this buffer.
    fn clear(&self) -> PyResult<usize> {
        Ok(self.enter()?.clear())
    }

    /// What it has seen and holds.
    #[getter]
    fn stats(&self) -> PyResult<JitterStats> {
        let stats = self.enter()?.stats();
        Ok(JitterStats {
            pushed: stats.pushed,
            popped: stats.popped,
            late: stats.late,
            lost: stats.lost,
            duplicate: stats.duplicate,
            underruns: stats.underruns,
            overruns: stats.overruns,
            depth_ms: stats.depth_ms,
            target_ms: stats.target_ms,
            jitter_ms: stats.jitter_ms,
        })
    }
}

/// What a `JitterBuffer` has seen and holds. What was pushed was popped, or dropped as late, duplicate, overrun or cleared, or is held.
#[pyclass(frozen, get_all, eq, module = "trunkline.audio")]
#[derive(PartialEq)]
pub(crate) struct JitterStats {
    /// Frames that came.
    pushed: u64,
    /// Frames that were given out; concealment is not counted.
    popped: u64,
    /// Frames that were dropped because their turn was over, or because their numbers belong to no known stream.
    late: u64,
    /// Frames that were missing when their turn came.
    lost: u64,
    /// Frames that were dropped because they were there already.
    duplicate: u64,
    /// How often it ran dry.
    underruns: u64,
    /// Frames that were dropped because too much was held.
    overruns: u64,
    /// Milliseconds from the frame whose turn is next to the newest.
    depth_ms: f64,
    /// Milliseconds that are collected before frames are given out.
    target_ms: f64,
    /// The mean deviation of arrivals (RFC 3550), in milliseconds.
    jitter_ms: f64,
}

#[pymethods]
impl JitterStats {
    fn __repr__(&self) -> String {
        format!(
            "JitterStats(pushed={}, popped={}, late={}, lost={}, duplicate={}, underruns={}, overruns={}, depth_ms={:?}, target_ms={:?}, \
             jitter_ms={:?})",
            self.pushed,
            self.popped,
            self.late,
            self.lost,
            self.duplicate,
            self.underruns,
            self.overruns,
            self.depth_ms,
            self.target_ms,
            self.jitter_ms
        )
    }
}
