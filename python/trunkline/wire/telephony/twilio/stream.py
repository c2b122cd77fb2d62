"""Twilio Media Streams, the server's side of a bidirectional stream, without I/O (Twilio, "Media Streams: WebSocket Messages").

    (opened) ── connected ──▶ connected ── start ──▶ started ── stop ──▶ stopped
                                                     ↺ media, mark, dtmf

Messages of a kind that is not known here are harmless in every state. A message that its state does not allow, or that cannot be read,
raises and changes nothing, so the caller may go on with the next one or end the call.
"""

from binascii import a2b_base64, b2a_base64
from enum import Enum, auto
from json import dumps
from typing import Any, Final

from pydantic_core import from_json

from trunkline.audio import AudioFormat
from trunkline.errors import AudioError, LocalProtocolError, RemoteProtocolError
from trunkline.wire.telephony.events import (
    DtmfReceived,
    MarkReceived,
    MediaReceived,
    StreamConnected,
    StreamEvent,
    StreamStarted,
    StreamStopped,
    UnknownReceived,
)


class _State(Enum):
    OPENED = auto()
    CONNECTED = auto()
    STARTED = auto()
    STOPPED = auto()


_NEXT: Final = {
    (_State.OPENED, "connected"): _State.CONNECTED,
    (_State.CONNECTED, "start"): _State.STARTED,
    (_State.STARTED, "media"): _State.STARTED,
    (_State.STARTED, "mark"): _State.STARTED,
    (_State.STARTED, "dtmf"): _State.STARTED,
    (_State.STARTED, "stop"): _State.STOPPED,
}
_KINDS: Final = frozenset(kind for _, kind in _NEXT)
_DIGITS: Final = frozenset("0123456789*#ABCD")
_COUNTER_DIGITS: Final = 18
_NAME_CHARS: Final = 80  # of a name that somebody else chose, in an event


class TwilioStream:
    """One media stream: feed each message of the socket to `receive`, send what the commands return.

    Args:
        max_message_chars: A longer message is refused before it is parsed.
        max_payload_bytes: A media message with more audio is refused; Twilio sends 160 bytes.
    """

    def __init__(self, *, max_message_chars: int = 65_536, max_payload_bytes: int = 16_000) -> None:
        self._max_message_chars = max_message_chars
        self._max_payload_bytes = max_payload_bytes
        self._state = _State.OPENED
        self._stream_id = ""
        self._media_head = ""
        self._sequence = 0
        self._missing = 0
        self._reordered = 0

    @property
    def stream_id(self) -> str:
        """The stream's id, empty until `start` was received."""
        return self._stream_id

    @property
    def started(self) -> bool:
        """Whether the stream runs: commands are allowed now."""
        return self._state is _State.STARTED

    @property
    def stopped(self) -> bool:
        """Whether Twilio said that the stream is over."""
        return self._state is _State.STOPPED

    @property
    def missing(self) -> int:
        """How many sequence numbers were skipped so far, whether or not they came later."""
        return self._missing

    @property
    def reordered(self) -> int:
        """How many messages came with a sequence number that is not above all before it: late or repeated."""
        return self._reordered

    def receive(self, message: str | bytes) -> StreamEvent:
        """Read one message of the socket.

        Raises:
            RemoteProtocolError: It is binary, too large, not JSON, incomplete, for another stream or not allowed in this state. The stream
                is as it was before.
        """
        told = self._parse(message)
        kind = told.get("event")
        if kind == "media":  # fifty times a second, so it goes first
            self._advance("media")
            return self._media(told)
        if not isinstance(kind, str):
            raise _error("must be a string", "event")
        if kind not in _KINDS:
            if "sequenceNumber" in told:  # every message is numbered, so this one must not look like a gap
                self._count(_counter(told, "sequenceNumber"))
            return UnknownReceived(kind[:_NAME_CHARS])
        following = self._advance(kind)
        event = self._read(kind, told)
        self._state = following
        return event

    def send_media(self, payload: bytes) -> str:
        """The message that queues 8 kHz µ-law audio, of any length, at Twilio.

        Raises:
            LocalProtocolError: The stream does not run, or there is no audio.
        """
        self._must_run()
        if not payload:
            raise LocalProtocolError("a media message needs audio")
        return f'{self._media_head}{b2a_base64(payload, newline=False).decode("ascii")}"}}}}'

    def send_mark(self, name: str) -> str:
        """The message that asks for `MarkReceived(name)` when all that was sent before has been played or cleared.

        Raises:
            LocalProtocolError: The stream does not run, or the name is empty.
        """
        self._must_run()
        if not name:
            raise LocalProtocolError("a mark needs a name")
        return f'{{"event":"mark","streamSid":{dumps(self._stream_id)},"mark":{{"name":{dumps(name)}}}}}'

    def clear(self) -> str:
        """The message that drops all audio not yet played; every pending mark comes back at once.

        Raises:
            LocalProtocolError: The stream does not run.
        """
        self._must_run()
        return f'{{"event":"clear","streamSid":{dumps(self._stream_id)}}}'

    def _must_run(self) -> None:
        if self._state is not _State.STARTED:
            raise LocalProtocolError(f"the media stream is {self._state.name.lower()}, not started")

    def _parse(self, message: str | bytes) -> dict[str, Any]:
        if not isinstance(message, str):
            raise _error("a binary frame")
        if len(message) > self._max_message_chars:
            raise _error(f"longer than {self._max_message_chars} characters")
        try:
            told = from_json(message)
        except (ValueError, TypeError):  # the second for text that is no Unicode
            raise _error("not JSON") from None
        if not isinstance(told, dict):
            raise _error("not a JSON object")
        return told

    def _advance(self, kind: str) -> _State:
        following = _NEXT.get((self._state, kind))
        if following is None:
            raise _error(f"{kind!r} is not allowed while the stream is {self._state.name.lower()}", "event")
        return following

    def _read(self, kind: str, told: dict[str, Any]) -> StreamEvent:
        if kind == "connected":
            return StreamConnected()
        if kind == "start":
            return self._start(told)
        self._check_stream(told)
        sequence = _counter(told, "sequenceNumber")
        event: StreamEvent
        if kind == "mark":
            event = MarkReceived(_string(_object(told, "mark"), "name", "mark.name"))
        elif kind == "dtmf":
            digit = _string(_object(told, "dtmf"), "digit", "dtmf.digit")
            if digit not in _DIGITS:
                raise _error("must be one of 0-9 * # A-D", "dtmf.digit")
            event = DtmfReceived(digit)
        else:
            event = StreamStopped()
        self._count(sequence)
        return event

    def _media(self, told: dict[str, Any]) -> StreamEvent:
        self._check_stream(told)
        sequence = _counter(told, "sequenceNumber")
        media = _object(told, "media")
        track = _string(media, "track", "media.track")
        timestamp = _counter(media, "timestamp", "media.timestamp")
        payload = _string(media, "payload", "media.payload")
        try:
            audio = a2b_base64(payload, strict_mode=True)
        except ValueError:
            raise _error("not base64", "media.payload") from None
        if len(audio) > self._max_payload_bytes:
            raise _error(f"more than {self._max_payload_bytes} bytes of audio", "media.payload")
        self._count(sequence)
        if track != "inbound":  # what the caller hears, where somebody asked for both tracks: not the caller's voice
            return UnknownReceived(f"media of track {track[:_NAME_CHARS]}")
        return MediaReceived(audio, timestamp, sequence)

    def _start(self, told: dict[str, Any]) -> StreamStarted:
        start = _object(told, "start")
        stream_id = _string(start, "streamSid", "start.streamSid")
        if not stream_id or told.get("streamSid") != stream_id:
            raise _error("must be the same, not empty, in the message and in its start", "streamSid")
        format_ = _object(start, "mediaFormat", "start.mediaFormat")
        parameters = start.get("customParameters", {})
        if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
            raise _error("must be an object of strings", "start.customParameters")
        event = StreamStarted(stream_id, _string(start, "callSid", "start.callSid"), _format(format_), parameters)
        self._count(_counter(told, "sequenceNumber"))
        self._stream_id = stream_id
        self._media_head = f'{{"event":"media","streamSid":{dumps(stream_id)},"media":{{"payload":"'
        return event

    def _check_stream(self, told: dict[str, Any]) -> None:
        if told.get("streamSid") != self._stream_id:
            raise _error("not the id of this stream", "streamSid")

    def _count(self, sequence: int) -> None:
        if sequence <= self._sequence:
            self._reordered += 1
            return
        self._missing += sequence - self._sequence - 1
        self._sequence = sequence


def _format(told: dict[str, Any]) -> AudioFormat:
    encoding = _string(told, "encoding", "start.mediaFormat.encoding")
    rate, channels = told.get("sampleRate"), told.get("channels")
    if type(rate) is not int or type(channels) is not int:
        raise _error("sampleRate and channels must be whole numbers", "start.mediaFormat")
    try:
        return AudioFormat(encoding, rate, channels)
    except AudioError as error:
        raise _error(str(error), "start.mediaFormat") from None


def _object(told: dict[str, Any], key: str, path: str = "") -> dict[str, Any]:
    value = told.get(key)
    if not isinstance(value, dict):
        raise _error("must be an object", path or key)
    return value


def _string(told: dict[str, Any], key: str, path: str = "") -> str:
    value = told.get(key)
    if not isinstance(value, str):
        raise _error("must be a string", path or key)
    return value


def _counter(told: dict[str, Any], key: str, path: str = "") -> int:
    """Counters are strings of digits on this wire."""
    value = told.get(key)
    if not isinstance(value, str) or len(value) > _COUNTER_DIGITS or not (value.isascii() and value.isdigit()):
        raise _error("must be a string of digits", path or key)
    return int(value)


def _error(reason: str, path: str = "") -> RemoteProtocolError:
    return RemoteProtocolError("twilio", reason, path=path)
