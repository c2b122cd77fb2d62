//! Provider to caller.

use std::sync::{Mutex, MutexGuard};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use trunkline_core::media::{Downlink as Core, PlayoutConfig};

use super::log::entries;
use super::{Fed, count, frames, moment, sent, shape};
use crate::buffer;
use crate::errors::{busy, raised};
use crate::format::format;
use crate::number::Integer;
use crate::websocket::{LocalProtocolError, WORTH_DETACHING, WebSocketCodec, message};

/// Takes the bytes of a provider's socket and makes bytes for a carrier's, at the pace at which they are played.
///
/// It reads through the provider's codec, so feed it instead of the codec. Only the audio of the one item that was admitted is taken, what
/// else comes is returned for Python to handle: so the first audio of an item always is, and Python decides whether it is wanted.
///
/// Audio goes out at once while the carrier holds less than half of the lead; after that as much as fits goes in one message each time half
/// of the lead has been played. It has no timer: call `fill(now)` at `due`. A mark's name is how often the line was cleared, a colon, and
/// how many bytes were sent since, as in "2:8000". What happened to each item's audio is written to a log, which you must fetch with
/// `take_log` at least every few seconds while an agent speaks.
///
/// It knows no clock: each call says what time it is, in seconds from any beginning.
///
/// Args:
///     template: The carrier's message with audio, a `wire.media.MediaTemplate`; this end is the server, so nothing is masked.
///     audio_format: The carrier's format.
///     mark: The carrier's mark, a `wire.media.MarkTemplate`; None where it has none.
///     lead_ms: How far to send ahead of what is being played.
///     mark_every_ms: How long at least from one mark to the next; one follows the last audio of an item in any case.
///     max_queued_ms: What waits to be sent beyond this is dropped and counted. Memory is taken as it fills.
///
/// Raises:
///     InvalidConfig: A duration cannot be kept, or a frame does not hold whole samples.
#[pyclass(frozen, module = "trunkline.transport.link")]
pub(crate) struct Downlink {
    state: Mutex<State>,
}

struct State {
    core: Core,
    codec: Option<Py<WebSocketCodec>>,
    out: Vec<u8>,
}

impl Downlink {
    fn enter(&self) -> PyResult<MutexGuard<'_, State>> {
        self.state.try_lock().map_err(|_| busy("Downlink"))
    }

    fn read<'py>(&self, py: Python<'py>, data: &[u8], now: f64) -> PyResult<Fed<'py>> {
        let now = moment(now)?;
        let mut state = self.enter()?;
        let State { core, codec, out } = &mut *state;
        let codec = codec
            .as_ref()
            .ok_or_else(|| LocalProtocolError::new_err("no provider is connected"))?;
        let mut parser = codec.get().parser()?;
        let end = if data.len() < WORTH_DETACHING {
            core.feed(data, now, &mut parser, out)
        } else {
            let parser = &mut *parser;
            py.detach(|| core.feed(data, now, parser, &mut *out))
        };
        Ok((sent(py, out), message(py, end, &parser)?))
    }

    fn write_out<'py>(
        &self,
        py: Python<'py>,
        write: impl FnOnce(&mut Core, &mut Vec<u8>),
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let mut state = self.enter()?;
        let State { core, out, .. } = &mut *state;
        write(core, out);
        Ok(sent(py, out))
    }
}

#[pymethods]
impl Downlink {
    #[new]
    #[pyo3(signature = (template, audio_format, *, mark = None, lead_ms = 400.0, mark_every_ms = 200.0, max_queued_ms = 600_000.0))]
    fn new(
        template: &Bound<'_, PyAny>,
        audio_format: &Bound<'_, PyAny>,
        mark: Option<&Bound<'_, PyAny>>,
        lead_ms: f64,
        mark_every_ms: f64,
        max_queued_ms: f64,
    ) -> PyResult<Self> {
        let core = Core::new(PlayoutConfig {
            format: format(audio_format)?,
            template: shape::template(template)?,
            mark: mark.map(shape::mark).transpose()?,
            lead: lead_ms / 1000.0,
            mark_every: mark_every_ms / 1000.0,
            max_queued: max_queued_ms / 1000.0,
        })
        .map_err(raised)?;
        Ok(Self {
            state: Mutex::new(State {
                core,
                codec: None,
                out: Vec::new(),
            }),
        })
    }

    /// Take the audio of this provider from now on, until `disconnect` or the next `connect`; the gate is shut, and what is queued stays.
    ///
    /// Args:
    ///     codec: That of the provider's socket.
    ///     shape: The provider's messages with audio, a `wire.media.MediaShape`.
    ///     audio_format: The provider's format.
    ///
    /// Raises:
    ///     InvalidConfig: A path cannot be read.
    ///     RuntimeError: Another thread is using this link.
    fn connect(
        &self,
        codec: Py<WebSocketCodec>,
        shape: &Bound<'_, PyAny>,
        audio_format: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (shape, audio_format) = (shape::shape(shape)?, format(audio_format)?);
        let mut state = self.enter()?;
        state.core.connect(shape, audio_format);
        state.codec = Some(codec);
        Ok(())
    }

    /// Take no audio any more; what is queued stays, and is sent.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this link.
    fn disconnect(&self) -> PyResult<()> {
        let mut state = self.enter()?;
        state.core.disconnect();
        state.codec = None;
        Ok(())
    }

    /// Take what was read from the provider's socket.
    ///
    /// Reading stops at the first message that is not wanted audio, so that everything is handled in the order of the wire: handle that
    /// message, then call `resume`, until it returns none.
    ///
    /// Args:
    ///     data: The bytes, however they are cut.
    ///     now: The time, in seconds.
    ///
    /// Returns:
    ///     What is to be sent to the carrier now, or None; and the message that stopped it, as `WebSocketCodec.feed` tells messages, or None
    ///     if all is done. Send the first before you handle the second.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     LocalProtocolError: No provider is connected.
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

    /// Open the gate for the audio of one item, and shut it for any other.
    ///
    /// Args:
    ///     response_id: Compared with what messages say, where the shape tells where.
    ///     item_id: Likewise; and what the log calls the item.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (response_id, item_id, /))]
    fn admit(&self, response_id: &str, item_id: &str) -> PyResult<()> {
        self.enter()?.core.admit(response_id, item_id);
        Ok(())
    }

    /// Shut the gate: all audio is returned for Python to handle, until the next `admit`.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this link.
    fn shut(&self) -> PyResult<()> {
        self.enter()?.core.shut();
        Ok(())
    }

    /// Queue audio that came another way, as an item's first, which Python has read.
    ///
    /// Args:
    ///     item_id: The item it belongs to.
    ///     audio: Audio in the provider's format; in the carrier's where no provider is connected.
    ///     now: The time, in seconds.
    ///     is_converted: Whether it is in the carrier's format.
    ///
    /// Returns:
    ///     What is to be sent to the carrier now, or None.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     InvalidAudioData: `audio` is an array whose items are not those of the format, or do not lie without gaps.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (item_id, audio, now, /, *, is_converted = false))]
    fn write<'py>(
        &self,
        item_id: &str,
        audio: &Bound<'py, PyAny>,
        now: f64,
        is_converted: bool,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (bytes, now) = (buffer::audio(audio, 2)?, moment(now)?);
        self.write_out(audio.py(), |core, out| {
            core.write(item_id, bytes.as_bytes(), is_converted, now, out);
        })
    }

    /// No more audio of this item will come: its last, partial frame may go, filled up with silence, and a mark follows it.
    ///
    /// Nothing happens if another item was written since, or this one was cleared.
    ///
    /// Returns:
    ///     What is to be sent to the carrier now, or None.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (item_id, now, /))]
    fn finish<'py>(
        &self,
        py: Python<'py>,
        item_id: &str,
        now: f64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let now = moment(now)?;
        self.write_out(py, |core, out| core.finish(item_id, now, out))
    }

    /// What the lead allows to be sent to the carrier now, or None; call it at `due`, late or early as you like.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (now, /))]
    fn fill<'py>(&self, py: Python<'py>, now: f64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let now = moment(now)?;
        self.write_out(py, |core, out| core.playout().fill(now, out))
    }

    /// A mark behind all that was sent, to be sent now; None where the carrier has none.
    ///
    /// One that is sent while nothing is queued tells how long marks take to come back.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (now, /))]
    fn mark<'py>(&self, py: Python<'py>, now: f64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let now = moment(now)?;
        self.write_out(py, |core, out| core.playout().mark(now, out))
    }

    /// When `fill` has something to send again, in seconds; None while nothing waits that could be sent.
    #[getter]
    fn due(&self) -> PyResult<Option<f64>> {
        Ok(self.enter()?.core.playout().due())
    }

    /// Drop all that waits, here; that the carrier does so too is for you to ask it. The gate stays as it is.
    ///
    /// Fetch the log before, as positions begin anew.
    ///
    /// Returns:
    ///     How many bytes were dropped, in the carrier's format.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (now, /))]
    fn clear(&self, now: f64) -> PyResult<usize> {
        let now = moment(now)?;
        Ok(self.enter()?.core.clear(now))
    }

    /// Fall silent, but keep what waits and the last that was sent: `release` sends it, `clear` drops it. What is taken meanwhile waits too.
    ///
    /// That the carrier drops what it has is for you to ask it. Fetch the log before, as positions begin anew.
    ///
    /// Args:
    ///     unheard_bytes: How much of what was sent the caller has not heard, in the carrier's format; twice the lead at most.
    ///     now: The time, in seconds.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite, or `unheard_bytes` is below 0.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (unheard_bytes, now, /))]
    fn hold(&self, unheard_bytes: Integer, now: f64) -> PyResult<()> {
        let (unheard_bytes, now) = (count(unheard_bytes, "unheard_bytes")?, moment(now)?);
        let unheard_bytes = usize::try_from(unheard_bytes).unwrap_or(usize::MAX);
        self.enter()?.core.playout().hold(unheard_bytes, now);
        Ok(())
    }

    /// Go on where `hold` fell silent.
    ///
    /// Returns:
    ///     What is to be sent to the carrier now, or None.
    ///
    /// Raises:
    ///     InvalidConfig: `now` is not finite.
    ///     RuntimeError: Another thread is using this link.
    #[pyo3(signature = (now, /))]
    fn release<'py>(&self, py: Python<'py>, now: f64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let now = moment(now)?;
        self.write_out(py, |core, out| {
            core.playout().release();
            core.playout().fill(now, out);
        })
    }

    /// Milliseconds of what was sent that have not been played, if the carrier plays without a pause.
    #[pyo3(signature = (now, /))]
    fn ahead_ms(&self, now: f64) -> PyResult<f64> {
        Ok(self.enter()?.core.playout().ahead(moment(now)?) * 1000.0)
    }

    /// Bytes that wait to be sent, in the carrier's format. Where there are many, pause reading the provider's socket.
    #[getter]
    fn queued(&self) -> PyResult<usize> {
        Ok(self.enter()?.core.playout().queued())
    }

    /// What happened to the items' audio since this was last called, in order: `AudioQueued`, `AudioSent`, `MarkSent`.
    ///
    /// Raises:
    ///     RuntimeError: Another thread is using this link.
    fn take_log<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        entries(py, self.enter()?.core.playout().take_log())
    }

    /// Switch the collecting of what the carrier is sent on or off.
    #[pyo3(signature = (on, /))]
    fn collect(&self, on: bool) -> PyResult<()> {
        self.enter()?.core.collect(on);
        Ok(())
    }

    /// The audio that was sent since this was last called, if it is collected: each message's, in the carrier's format, and when it was sent.
    ///
    /// At most 500 messages wait; beyond that the oldest go.
    fn take_frames<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let collected = self.enter()?.core.playout().take_frames();
        frames(py, collected.into_iter())
    }

    /// What has gone through so far.
    #[getter]
    fn stats(&self) -> PyResult<DownlinkStats> {
        let stats = self.enter()?.core.stats();
        Ok(DownlinkStats {
            received_messages: stats.received_messages,
            received_bytes: stats.received_bytes,
            sent_messages: stats.sent_messages,
            sent_bytes: stats.sent_bytes,
            dropped_bytes: stats.dropped_bytes,
            marks: stats.marks,
            last_at: stats.last_at,
        })
    }
}

/// What has gone through a `Downlink`.
#[pyclass(frozen, get_all, eq, module = "trunkline.transport.link")]
#[derive(PartialEq)]
pub(crate) struct DownlinkStats {
    /// Messages with audio that were taken from the provider's socket.
    received_messages: u64,
    /// Bytes of audio in them, in the provider's format.
    received_bytes: u64,
    /// Messages with audio that went to the carrier.
    sent_messages: u64,
    /// Bytes of audio in them, in the carrier's format.
    sent_bytes: u64,
    /// Bytes of audio that were dropped because too much waited, in the carrier's format.
    dropped_bytes: u64,
    /// Marks that went to the carrier.
    marks: u64,
    /// When the provider's last audio came, in seconds; None if none came.
    last_at: Option<f64>,
}
