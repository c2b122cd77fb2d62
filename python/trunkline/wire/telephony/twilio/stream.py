"""Twilio Media Streams, the server's side of a bidirectional stream, without I/O (Twilio, "Media Streams: WebSocket Messages").

    (opened) ── connected ──▶ connected ── start ──▶ started ── stop ──▶ stopped
                                                     ↺ media, mark, dtmf

Messages of a kind that is not known here are harmless in every state, and members that are not essential are left out where they are odd. A
message that its state does not allow, that is for another stream, or that cannot be read, raises and changes nothing, so whoever reads the
stream may go on with the next one or end the call. `stop` ends the stream whatever stands in it.
"""

from binascii import b2a_base64
from enum import Enum, auto
from json import dumps
from typing import Final

from trunkline.audio import AudioFormat
from trunkline.errors import AudioError, LocalProtocolError
from trunkline.wire.fields import Fields, Reader, int_or, object_or_empty, text_or
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
_NAME_CHARS: Final = 80  # of a name that somebody else chose, in an event
_READER: Final = Reader("twilio")


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
        self._timestamp_ms = 0

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

    def receive(self, message: str | bytes) -> StreamEvent:
        """Read one message of the socket.

        Raises:
            RemoteProtocolError: It is binary, too large, not JSON, incomplete, for another stream or not allowed in this state. The stream
                is as it was before.
        """
        fields = self._parse(message)
        kind = fields.get("event")
        if kind == "media":  # fifty times a second, so it goes first
            self._advance("media")
            return self._media(fields)
        if not isinstance(kind, str):
            raise _READER.error("must be a string", "event")
        if kind not in _KINDS:
            return UnknownReceived(kind[:_NAME_CHARS])
        following = self._advance(kind)
        event = self._read(kind, fields)
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

    def _parse(self, message: str | bytes) -> Fields:
        if not isinstance(message, str):
            raise _READER.error("a binary frame")
        if len(message) > self._max_message_chars:
            raise _READER.error(f"longer than {self._max_message_chars} characters")
        return _READER.message(message)

    def _advance(self, kind: str) -> _State:
        following = _NEXT.get((self._state, kind))
        if following is None:
            raise _READER.error(f"{kind!r} is not allowed while the stream is {self._state.name.lower()}", "event")
        return following

    def _read(self, kind: str, fields: Fields) -> StreamEvent:
        match kind:
            case "connected":
                return StreamConnected()
            case "start":
                return self._start(fields)
            case "mark":
                self._check_stream(fields)
                return MarkReceived(_READER.text(_READER.object(fields, "mark"), "name", "mark."))
            case "dtmf":
                self._check_stream(fields)
                digit = _READER.text(_READER.object(fields, "dtmf"), "digit", "dtmf.")
                if digit not in _DIGITS:
                    raise _READER.error("must be one of 0-9 * # A-D", "dtmf.digit")
                return DtmfReceived(digit)
            case _:
                self._check_stream(fields)
                return StreamStopped()

    def _media(self, fields: Fields) -> StreamEvent:
        self._check_stream(fields)
        media = _READER.object(fields, "media")
        audio = _READER.base64(media, "payload", "media.")
        if len(audio) > self._max_payload_bytes:
            raise _READER.error(f"more than {self._max_payload_bytes} bytes of audio", "media.payload")
        track = media.get("track")
        if isinstance(track, str) and track != "inbound":
            # What the caller hears, where somebody asked for both tracks: not the caller's voice.
            return UnknownReceived(f"media of track {track[:_NAME_CHARS]}")
        # Where a counter cannot be read, nothing is known to be lost.
        sequence, timestamp_ms = int_or(fields, "sequenceNumber"), int_or(media, "timestamp")
        self._sequence = self._sequence + 1 if sequence is None else sequence
        if timestamp_ms is not None:
            self._timestamp_ms = timestamp_ms
        return MediaReceived(audio, self._timestamp_ms, self._sequence)

    def _start(self, fields: Fields) -> StreamStarted:
        start = _READER.object(fields, "start")
        stream_id = _READER.text(start, "streamSid", "start.")
        if not stream_id or fields.get("streamSid", stream_id) != stream_id:
            raise _READER.error("must be the same, not empty, in the message and in its start", "streamSid")
        call_id = _READER.text(start, "callSid", "start.")
        format_ = _format(_READER.object(start, "mediaFormat", "start."))
        given = object_or_empty(start, "customParameters")
        parameters = {
            name: text_or(given, name) for name, value in given.items() if isinstance(value, str | int | float)
        }
        self._stream_id = stream_id
        self._media_head = f'{{"event":"media","streamSid":{dumps(stream_id)},"media":{{"payload":"'
        self._sequence = int_or(fields, "sequenceNumber") or 0
        return StreamStarted(stream_id, call_id, format_, parameters)

    def _check_stream(self, fields: Fields) -> None:
        stream_id = fields.get("streamSid")
        if stream_id != self._stream_id and isinstance(stream_id, str):
            raise _READER.error("not the id of this stream", "streamSid")


def _format(fields: Fields) -> AudioFormat:
    within = "start.mediaFormat."
    encoding = _READER.text(fields, "encoding", within)
    rate = _READER.integer(fields, "sampleRate", within)
    try:
        return AudioFormat(encoding, rate, int_or(fields, "channels") or 1)
    except AudioError as error:
        raise _READER.error(str(error), "start.mediaFormat") from None
