//! The jitter buffer.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use trunkline_core::{
    JitterBuffer as Core, JitterGauge, JitterReader, JitterWriter, Overflow, Position,
};

use crate::buffer;
use crate::errors::raised;
use crate::exclusive::{Exclusive, caught};
use crate::format::format;
use crate::number::{Integer, Wrapping};
use crate::policy;

/// Bytes from which putting frames in order takes longer than letting other threads run meanwhile.
const WORTH_DETACHING: usize = 256 * 1024;

/// Turns frames as a network delivers them into frames as a telephone plays them: in order, one after another.
///
/// One thread pushes and one pops, and neither waits for the other unless `overflow` is "block". It knows no clock: each call says what time it
/// is, in milliseconds from any beginning.
///
/// - A frame waits until `target_ms` of audio are held, or the oldest has waited that long; then each `pop` gives the next.
/// - For a frame that is missing when its turn comes, and when nothing is left (an underrun), `pop` gives what `underrun` says. After an
///   underrun it does so until the target depth is reached again; no frame's turn is lost meanwhile.
/// - The target follows the measured jitter (RFC 3550, sections 6.4.1 and A.8), from `target_ms` to half of `max_ms`. If more than the target
///   (and a frame) was held all through 25 frames, one is left out, unless `overflow` is "block".
/// - Numbers that jump by more than 3,000 frames ahead or 100 behind, twice in order, are those of a stream that begins anew (RFC 3550,
///   section A.1).
///
/// Args:
///     audio_format: The format of the frames.
///     target_ms: The audio that is collected before the first frame is given out, and the least that the target adapts to.
///     max_ms: The audio that is held at most, from 1 to 3,000 frames.
///     frame_ms: The duration of a frame, from 1 to 200.
///     overflow: What happens beyond `max_ms`, all counted in `overruns`: "drop_oldest", "drop_newest", or "block", which keeps `push` waiting
///         until there is room. A network does not wait: block only for audio that comes faster than it is played, as from a file.
///     block_ms: How long `push` waits at most, up to 10,000; a frame that has no room by then is dropped. Other threads run meanwhile, but not
///         an event loop that it is called in: push from a thread of its own.
///     underrun: What stands in for a frame that is missing: "hold", the one before again and again, fading for 60 ms, then silence;
///         "silence"; or "none", for which `pop` returns None.
///
/// Raises:
///     InvalidConfig: A duration is out of its range, `target_ms` is beyond `max_ms`, or a policy has no such name.
#[pyclass(frozen, module = "trunkline.audio")]
pub(crate) struct JitterBuffer {
    writer: Exclusive<JitterWriter>,
    reader: Exclusive<JitterReader>,
    gauge: JitterGauge,
    blocks: bool,
}

#[pymethods]
impl JitterBuffer {
    #[new]
    #[pyo3(signature = (
        audio_format, *, target_ms = Integer::from(60), max_ms = Integer::from(1000), frame_ms = Integer::from(20), overflow = "drop_oldest",
        block_ms = Integer::from(1000), underrun = "hold"
    ))]
    fn new(
        audio_format: &Bound<'_, PyAny>,
        target_ms: Integer,
        max_ms: Integer,
        frame_ms: Integer,
        overflow: &str,
        block_ms: Integer,
        underrun: &str,
    ) -> PyResult<Self> {
        let frame_ms = frame_ms.within("frame_ms", 1..=200)?;
        let max_ms = max_ms.within("max_ms", frame_ms..=frame_ms * 3_000)?;
        let target_ms = target_ms.within("target_ms", 0..=max_ms)?;
        let overflow = policy::overflow(overflow, block_ms)?;
        let buffer = Core::new(format(audio_format)?)
            .target_ms(target_ms)
            .max_ms(max_ms)
            .frame_ms(frame_ms)
            .overflow(overflow)
            .underrun(policy::underrun(underrun)?);
        let (writer, reader) = caught("JitterBuffer()", || buffer.split().map_err(raised))?;
        Ok(Self {
            gauge: reader.gauge(),
            writer: Exclusive::new("JitterBuffer's pushing end", writer),
            reader: Exclusive::new("JitterBuffer's popping end", reader),
            blocks: matches!(overflow, Overflow::Block(_)),
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
    ///     RuntimeError: Another thread is pushing.
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
        let audio = buffer::audio(frame, 2)?;
        let audio = audio.as_bytes();
        self.writer.enter(|writer| {
            let pushed = if self.blocks {
                frame.py().detach(|| writer.push(audio, position, now_ms))
            } else {
                writer.push(audio, position, now_ms)
            };
            pushed.map_err(raised)
        })
    }

    /// Give out the frame whose turn it is, or what stands in for it; None before enough has been collected for the first time.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is popping or clearing.
    #[pyo3(signature = (*, now_ms))]
    fn pop<'py>(&self, py: Python<'py>, now_ms: f64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.reader.enter(|reader| {
            if reader.waiting() * reader.frame_bytes() >= WORTH_DETACHING {
                py.detach(|| reader.take_in());
            }
            Ok(reader.pop(now_ms).map(|frame| PyBytes::new(py, frame)))
        })
    }

    /// Drop all that is held, as new but for the counts and the measured jitter, and return how many frames that were.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is popping or clearing.
    fn clear(&self) -> PyResult<usize> {
        self.reader.enter(|reader| Ok(reader.clear()))
    }

    /// What it has seen and holds; while another thread is popping, what it had after the pop before.
    #[getter]
    fn stats(&self) -> PyResult<JitterStats> {
        let stats = self.reader.look(JitterReader::stats)?;
        let stats = stats.unwrap_or_else(|| self.gauge.stats());
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
    /// Frames that were given out; what stands in for a missing one is not counted.
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
