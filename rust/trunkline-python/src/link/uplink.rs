//! Caller to provider.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use trunkline_core::media::{Uplink as Core, UplinkConfig};

use super::{Fed, count, frames, moment, sent, shape};
use crate::buffer;
use crate::errors::{busy, raised};
use crate::format::format;
use crate::number::Integer;
use crate::websocket::{WORTH_DETACHING, WebSocketCodec, message, writer};

/// Takes the bytes of a carrier's socket and makes bytes for a provider's: WebSocket frames, JSON, base64 and conversion in one call.
///
/// It reads through the carrier's codec, so feed it instead of the codec; what is not audio in every respect that the shape names is
/// returned for Python to handle. All audio is remembered for `history_ms`, and the provider is sent what it has not been sent: what came
/// in one read goes in one message. Positions are bytes of all the audio that ever came, in the carrier's format.
///
/// It knows no clock: each call says what time it is, in seconds from any beginning.
///
/// Where the shape has an order, audio that is ahead waits until what is missing has come or five messages wait; what comes after its turn is
/// dropped and counted as late.
///
/// Args:
///     codec: The codec of the carrier's socket.
///     shape: The carrier's messages with audio, a `wire.media.MediaShape`.
///     audio_format: The carrier's format.
///     history_ms: Milliseconds of audio that are kept for a replay, a second or more. Memory is taken as it fills.
///     ptime_ms: Milliseconds of audio that a message to the provider has at least; 0 sends audio as it comes.
///     quiet_dbfs: The level below which audio is silence, in decibels relative to full scale, for `silent_ms`; None does not measure it.
///
/// Raises:
///     InvalidConfig: A duration cannot be kept, a path cannot be read, or the shape has ids, which a caller's audio has not.
#[pyclass(frozen, module = "trunkline.transport.link")]
pub(crate) struct Uplink {
    codec: Py<WebSocketCodec>,
    state: Mutex<State>,
}

struct State {
    core: Core,
    out: Vec<u8>,
}

impl Uplink {
    fn enter(&self) -> PyResult<MutexGuard<'_, State>> {
        self.state.try_lock().map_err(|_| busy("Uplink"))
    }

    fn read<'py>(&self, py: Python<'py>, data: &[u8], now: f64) -> PyResult<Fed<'py>> {
        let now = moment(now)?;
        let mut state = self.enter()?;
        let mut parser = self.codec.get().parser()?;
        let State { core, out } = &mut *state;
        let end = if data.len() < WORTH_DETACHING {
            core.feed(data, now, &mut parser, out)
        } else {
            let (parser, out) = (&mut *parser, &mut *out);
            py.detach(|| core.feed(data, now, parser, out))
        };
        Ok((sent(py, out), message(py, end, &parser)?))
    }
}

#[pymethods]
impl Uplink {
    #[new]
    #[pyo3(signature = (codec, shape, audio_format, *, history_ms = 30_000.0, ptime_ms = 0.0, quiet_dbfs = None))]
    fn new(
        codec: Py<WebSocketCodec>,
        shape: &Bound<'_, PyAny>,
        audio_format: &Bound<'_, PyAny>,
        history_ms: f64,
        ptime_ms: f64,
        quiet_dbfs: Option<f64>,
    ) -> PyResult<Self> {
        let core = Core::new(UplinkConfig {
            shape: shape::shape(shape)?,
            format: format(audio_format)?,
            history: history_ms / 1000.0,
            ptime: ptime_ms / 1000.0,
            quiet_dbfs,
        })
        .map_err(raised)?;
        let out = Vec::new();
        Ok(Self {
            codec,
            state: Mutex::new(State { core, out }),
        })
    }

    /// Send to this provider from now on, until `disconnect` or the next `connect`.
    ///
    /// What it has still to hear goes a second at a time, with each `replay()`; live audio waits until then.
    ///
    /// Args:
    ///     template: The provider's message with audio, a `wire.media.MediaTemplate` without frames; this end is the client, so it is masked.
    ///     audio_format: The provider's format.
    ///     position: Where to begin, such as `sent`, to go on where the last provider was left; what is not kept any more is left out. None
    ///         begins with what will come.
    ///
    /// Raises:
    ///     InvalidConfig: The template has frames, or `position` is below 0.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (template, audio_format, *, position = None))]
    fn connect(
        &self,
        template: &Bound<'_, PyAny>,
        audio_format: &Bound<'_, PyAny>,
        position: Option<Integer>,
    ) -> PyResult<()> {
        let position = position.map(|it| count(it, "position")).transpose()?;
        let writer = writer(template.py(), true)?;
        let (template, audio_format) = (shape::template(template)?, format(audio_format)?);
        self.enter()?
            .core
            .connect(template, audio_format, writer, position)
            .map_err(raised)
    }

    /// Send nothing any more, and only remember.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this link.
    fn disconnect(&self) -> PyResult<()> {
        self.enter()?.core.disconnect();
        Ok(())
    }

    /// Take what was read from the carrier's socket.
    ///
    /// Reading stops at the first message that is not audio, so that everything is handled in the order of the wire: handle that message,
    /// then call `resume`, until it returns none.
    ///
    /// Args:
    ///     data: The bytes, however they are cut.
    ///     now: The time, in seconds.
    ///
    /// Returns:
    ///     What is to be sent to the provider now, or None; and the message that stopped it, as `WebSocketCodec.feed` tells messages, or
    ///     None if all is done. Send the first before you handle the second.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     RuntimeError: Another thread is using this link or the codec.
    #[pyo3(signature = (data, now, /))]
    fn feed<'py>(&self, py: Python<'py>, data: &[u8], now: f64) -> PyResult<Fed<'py>> {
        self.read(py, data, now)
    }

    /// Go on after a message that stopped `feed`; returns and raises what `feed` does.
    #[pyo3(signature = (now, /))]
    fn resume<'py>(&self, py: Python<'py>, now: f64) -> PyResult<Fed<'py>> {
        self.read(py, &[], now)
    }

    /// Take audio that came another way, as from a message that only Python could read.
    ///
    /// Args:
    ///     audio: Audio in the carrier's format.
    ///     now: The time, in seconds.
    ///     order: Its number, where the shape has an order.
    ///
    /// Returns:
    ///     What is to be sent to the provider now, or None.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     InvalidAudioData: `audio` is an array whose items are not those of the format, or do not lie without gaps.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (audio, now, /, *, order = None))]
    fn push<'py>(
        &self,
        audio: &Bound<'py, PyAny>,
        now: f64,
        order: Option<Integer>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let order = order.map(|it| count(it, "order")).transpose()?;
        let (bytes, now) = (buffer::audio(audio, 2)?, moment(now)?);
        let mut state = self.enter()?;
        let State { core, out } = &mut *state;
        core.push(bytes.as_bytes(), order, now, out);
        Ok(sent(audio.py(), out))
    }

    /// Tell the number of a message that Python handled, where the carrier counts all its messages with one counter.
    ///
    /// Raises:
    ///     InvalidConfig: `number` is below 0.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (number, /))]
    fn count(&self, number: Integer) -> PyResult<()> {
        self.enter()?.core.count(count(number, "number")?);
        Ok(())
    }

    /// The next second of what the provider has still to hear, to be sent; None if it is not behind. Call it once a turn while `behind`.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this link.
    fn replay<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut state = self.enter()?;
        let State { core, out } = &mut *state;
        core.replay(out);
        Ok(sent(py, out))
    }

    /// All that is gathered and not sent yet, and what the converter still owes, to be sent before the caller's turn is ended by hand.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this link.
    fn flush<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut state = self.enter()?;
        let State { core, out } = &mut *state;
        core.flush(out);
        Ok(sent(py, out))
    }

    /// Bytes that the provider has still to hear before live audio goes on, in the carrier's format: 0 in ordinary times.
    #[getter]
    fn behind(&self) -> PyResult<u64> {
        Ok(self.enter()?.core.behind())
    }

    /// The position after the last audio that came.
    #[getter]
    fn end(&self) -> PyResult<u64> {
        Ok(self.enter()?.core.end())
    }

    /// The position from which audio is kept.
    #[getter]
    fn start(&self) -> PyResult<u64> {
        Ok(self.enter()?.core.start())
    }

    /// The position up to which providers were sent the audio.
    #[getter]
    fn sent(&self) -> PyResult<u64> {
        Ok(self.enter()?.core.sent())
    }

    /// Milliseconds of silence that the audio ends with; 0 if it is not measured.
    #[getter]
    fn silent_ms(&self) -> PyResult<f64> {
        Ok(self.enter()?.core.silent() * 1000.0)
    }

    /// The caller was heard by other means: `silent_ms` begins anew.
    fn heard(&self) -> PyResult<()> {
        self.enter()?.core.heard();
        Ok(())
    }

    /// Seconds that reading the carrier's socket is to pause from now on, because audio comes more than four times as fast as it is spoken,
    /// and ten seconds ahead already; 0 in ordinary times.
    #[pyo3(signature = (now, /))]
    fn pause(&self, now: f64) -> PyResult<f64> {
        Ok(self.enter()?.core.pause(moment(now)?))
    }

    /// Switch the collecting of the caller's audio on or off, for a recording or a voice activity detector.
    #[pyo3(signature = (on, /))]
    fn collect(&self, on: bool) -> PyResult<()> {
        self.enter()?.core.collect(on);
        Ok(())
    }

    /// The caller's audio since this was last called, if it is collected: each message's, in the carrier's format, and when it came.
    ///
    /// At most 500 messages wait (ten seconds); beyond that the oldest go.
    fn take_frames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let collected = self.enter()?.core.take_frames();
        frames(py, collected.into_iter())
    }

    /// What has gone through so far.
    #[getter]
    fn stats(&self) -> PyResult<UplinkStats> {
        let stats = self.enter()?.core.stats();
        Ok(UplinkStats {
            received_messages: stats.received_messages,
            received_bytes: stats.received_bytes,
            missing: stats.missing,
            reordered: stats.reordered,
            late: stats.late,
            sent_messages: stats.sent_messages,
            sent_bytes: stats.sent_bytes,
            dropped_bytes: stats.dropped_bytes,
            last_at: stats.last_at,
        })
    }
}

/// What has gone through an `Uplink`.
#[pyclass(frozen, get_all, eq, module = "trunkline.transport.link")]
#[derive(PartialEq)]
pub(crate) struct UplinkStats {
    /// Messages with audio that came.
    received_messages: u64,
    /// Bytes of audio that came, in the carrier's format.
    received_bytes: u64,
    /// Numbers of the carrier's counter that were skipped, whether or not they came later.
    missing: u64,
    /// Messages whose number is not above all before it: late or repeated.
    reordered: u64,
    /// Messages with audio that came after their turn, or twice, and were dropped; only where the shape has an order.
    late: u64,
    /// Messages with audio that went to providers.
    sent_messages: u64,
    /// Bytes of audio that went to providers, in their formats.
    sent_bytes: u64,
    /// Bytes of audio that no provider was sent, in the carrier's format.
    dropped_bytes: u64,
    /// When the caller's last audio came, in seconds; None if none came.
    last_at: Option<f64>,
}
