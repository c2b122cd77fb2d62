"""One media socket as Twilio drives it: 20 ms frames out, audio, marks and clears in, everything checked strictly.

The messages are written out here instead of taken from the package's codec, so that a mistake in one of the two shows.
"""

import base64
import json
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Literal
from uuid import uuid4

import anyio

from trunkline.clock import Clock
from trunkline.errors import ProtocolError, TransportError
from trunkline.testing.call_audio import CallAudio
from trunkline.testing.playout_queue import PlayoutQueue
from trunkline.testing.timeline import Timeline
from trunkline.transport import WebSocketConnection

FRAME_S: Final = 0.02

End = Literal["caller", "server", "dropped", "carrier"]
"""Who ended a stream: the caller by hanging up, the server by closing, nobody properly, or Twilio, which was told so over REST."""

_MEMBERS: Final = {"media": "payload", "mark": "name", "clear": None}


class InvalidMessage(Exception):
    """Twilio would ignore this message and warn about it; `code` is its warning's."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(code, reason)


class TwilioLine:
    """The media stream of a call, from Twilio's side.

    Args:
        socket: The open media socket; whoever opened it closes it after `run`.
        audio: What the caller says, and where what is sent and heard is kept.
        timeline: Told of everything that happens.
        warn: Called with the code and the reason for each message that Twilio would ignore.
        mark_delay_ms: How long after it was reached a mark is returned.
        clock: The caller's clock.
    """

    def __init__(
        self,
        socket: WebSocketConnection,
        *,
        audio: CallAudio,
        timeline: Timeline,
        warn: Callable[[int, str], None],
        mark_delay_ms: float,
        clock: Clock,
    ) -> None:
        self.stream_sid = f"MZ{uuid4().hex}"
        self.close_code: int | None = None
        self._socket = socket
        self._audio = audio
        self._timeline = timeline
        self._warn = warn
        self._mark_delay_s = mark_delay_ms / 1000
        self._clock = clock
        self._ear = PlayoutQueue()
        self._turn = anyio.Lock()
        self._sequence = count(1)
        self._chunk = count(1)
        self._held: list[str] = []
        self._hold_frames = 0
        self._late_marks: list[tuple[float, str]] = []
        self._reading = anyio.Event()
        self._reading.set()
        self._receiving = anyio.CancelScope()
        self._end: End | None = None
        self._ended = anyio.Event()

    async def run(self, start: dict[str, Any], *, started: Callable[[], None]) -> End:
        """Tell of the start, call `started`, and stream until one side ends it."""
        try:
            async with self._turn:
                await self._socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
                await self._send_numbered("start", {"start": start})
        except TransportError as error:
            self._lost(error)
        else:
            self._timeline.note("stream started")
            started()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen)
                tasks.start_soon(self._play)
                await self._ended.wait()
                tasks.cancel_scope.cancel()
            self._audio.end_stream()
        assert self._end is not None  # noqa: S101 - `_ended` is set after it
        return self._end

    # ── what the caller does ─────────────────────────────────────────────────────────────────────────────────────────

    async def press(self, digit: str) -> None:
        """Press one key."""
        self._timeline.note(f"dtmf {digit}")
        await self._tell("dtmf", {"dtmf": {"track": "inbound_track", "digit": digit}})

    async def stop(self, *, account_sid: str, call_sid: str, by: Literal["caller", "carrier"] = "caller") -> None:
        """Say `stop`, behind all that was held back, and close; nothing follows it."""
        async with self._turn:
            if self._end is not None:
                return
            self._hold_frames = 0
            try:
                await self._send_numbered("stop", {"stop": {"accountSid": account_sid, "callSid": call_sid}})
            except TransportError as error:
                self._lost(error)
                return
            self._timeline.note("stream stopped")
            self._end = by
            try:
                await self._socket.aclose(1000)
            finally:
                self._ended.set()

    async def drop(self) -> None:
        """Let the connection vanish: no `stop`, no close frame."""
        async with self._turn:
            if self._end is not None:
                return
            self._timeline.note("dropped")
            self._end = "dropped"
            try:  # no method of a connection is so rude as to leave without a close frame
                await self._socket.abort()
            finally:
                self._ended.set()

    async def send_raw(self, message: str | bytes) -> None:
        """Send something that Twilio would not, as it is; it counts in no counter."""
        async with self._turn:
            await self._socket.send(message)

    def hold(self, frames: int) -> None:
        """Keep back everything for so many frames, then send it back to back."""
        self._hold_frames = frames

    def stop_reading(self) -> None:
        """Leave what the server sends on the network, from now on."""
        if self._reading.is_set():
            self._reading = anyio.Event()
            self._receiving.cancel()

    def read_on(self) -> None:
        """Read again."""
        self._reading.set()

    # ── what Twilio does ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _play(self) -> None:
        """Each 20 ms by the clock, without drift: one frame to the caller's ear, one frame of the caller's voice to the server."""
        began = self._clock.now()
        self._audio.begin_stream()
        for frame in count():
            await self._clock.sleep_until(began + frame * FRAME_S)
            played = self._ear.next_frame()
            self._audio.hear(played.audio, queued=played.queued)
            for name in played.marks:
                await self._return_mark(name)
            while self._late_marks and self._late_marks[0][0] <= self._clock.now():
                await self._tell_mark(self._late_marks.pop(0)[1])
            await self._speak(frame)

    async def _speak(self, frame: int) -> None:
        payload = base64.b64encode(self._audio.next_sent()).decode()
        media = {
            "track": "inbound",
            "chunk": str(next(self._chunk)),
            "timestamp": str(frame * 20),
            "payload": payload,
        }
        self._hold_frames = max(0, self._hold_frames - 1)
        await self._tell("media", {"media": media})
        self._audio.frame_left()

    async def _listen(self) -> None:
        while True:
            while not self._reading.is_set():  # no turn of anybody else's between this and the scope
                await self._reading.wait()
            message: str | bytes | None = None
            try:
                with anyio.CancelScope() as self._receiving:
                    message = await self._socket.receive()
            except (TransportError, ProtocolError) as error:
                self._lost(error)
                return
            try:
                if message is not None:
                    await self._obey(message)
            except InvalidMessage as refused:
                self._warn(refused.code, refused.reason)

    async def _obey(self, message: str | bytes) -> None:
        event, value = self._read(message)
        if event == "media":
            self._ear.add(value)
            return
        self._timeline.note("clear" if event == "clear" else f"queued mark {value}")
        for name in self._ear.clear() if event == "clear" else self._ear.mark(value):
            await self._return_mark(name)

    def _read(self, message: str | bytes) -> tuple[str, Any]:
        """The event of a server's message and what it carries; every member is checked, unknown ones too."""
        if isinstance(message, bytes):
            raise InvalidMessage(31950, "a binary frame")
        try:
            told = json.loads(message)
        except (ValueError, RecursionError):
            raise InvalidMessage(31951, "not JSON") from None
        if not isinstance(told, dict):
            raise InvalidMessage(31951, "not an object")
        event = told.get("event")
        if not isinstance(event, str) or event not in _MEMBERS:
            raise InvalidMessage(31951, f"unknown event {event!r}")
        if told.get("streamSid") != self.stream_sid:
            raise InvalidMessage(31951, f"{event}: streamSid is not the stream's")
        member = _MEMBERS[event]
        if told.keys() != {"event", "streamSid"} | ({event} if member else set()):
            raise InvalidMessage(31951, f"{event}: unknown or missing members: {', '.join(map(str, told))}")
        if member is None:
            return event, ""
        body = told[event]
        if not isinstance(body, dict) or body.keys() != {member} or not isinstance(body[member], str):
            raise InvalidMessage(31951, f"{event}: must hold {member!r}, a string, and nothing else")
        if event == "mark":
            return event, body[member]
        try:
            return event, base64.b64decode(body[member], validate=True)
        except ValueError:
            raise InvalidMessage(31951, "media: the payload is not base64") from None

    async def _return_mark(self, name: str) -> None:
        if self._mark_delay_s:
            self._late_marks.append((self._clock.now() + self._mark_delay_s, name))
        else:
            await self._tell_mark(name)

    async def _tell_mark(self, name: str) -> None:
        self._timeline.note(f"mark {name}")
        await self._tell("mark", {"mark": {"name": name}})

    async def _tell(self, event: str, members: dict[str, Any]) -> None:
        """Send one message behind all that is being sent; once the stream has ended, nothing."""
        try:
            async with self._turn:
                if self._end is None:
                    await self._send_numbered(event, members)
        except TransportError as error:
            self._lost(error)

    async def _send_numbered(self, event: str, members: dict[str, Any]) -> None:
        """Whose turn it is sends the next number, so the numbers are those of the wire's order."""
        told = {"event": event, "sequenceNumber": str(next(self._sequence)), "streamSid": self.stream_sid}
        self._held.append(json.dumps(told | members))
        while self._held and not self._hold_frames:
            await self._socket.send(self._held.pop(0))

    def _lost(self, error: TransportError | ProtocolError) -> None:
        if self._end is not None:
            return
        self._end = "server"
        code = getattr(error, "code", 1006)
        self.close_code = code if isinstance(code, int) else 1006
        self._timeline.note(f"closed by the server {self.close_code}")
        self._ended.set()
