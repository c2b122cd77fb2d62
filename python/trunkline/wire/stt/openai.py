"""OpenAI: transcription sessions of the Realtime API, and the answer of the interface for whole utterances."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trunkline.audio import AudioFormat
from trunkline.wire.fields import Fields, int_or, object_or_empty, objects, text_or
from trunkline.wire.realtime.openai.errors import error_from, is_benign
from trunkline.wire.realtime.openai.events import VendorError
from trunkline.wire.realtime.openai.session import READER, VENDOR
from trunkline.wire.stt.audio_time import AudioTime
from trunkline.wire.stt.events import ErrorReported, SpeechStarted, SpeechStopped, SttEvent, Transcript

FORMATS: Final[Mapping[AudioFormat, Mapping[str, Any]]] = {
    AudioFormat("mulaw", 8_000): {"type": "audio/pcmu"},
    AudioFormat("alaw", 8_000): {"type": "audio/pcma"},
    AudioFormat("linear16", 24_000): {"type": "audio/pcm", "rate": 24_000},
}
NO_KEEP_ALIVE: Final = 3600.0
"""Seconds: a client that sends nothing is not cut before the session's end, which is no later than this."""

_SHORTEST_COMMIT_MS = 100
_FATAL = {"session_expired", "invalid_api_key", "insufficient_quota", "model_not_found", "invalid_model"}


def transcription(body: str | bytes) -> tuple[str, None, str]:
    """Text and language of the answer to a whole utterance; the vendor tells no confidence.

    Raises:
        RemoteProtocolError: It cannot be read.
    """
    fields = READER.message(body)
    languages = [text_or(language, "code") for language in objects(fields, "languages")]
    return READER.text(fields, "text").strip(), None, languages[0] if languages else text_or(fields, "language")


class TranscriptionCodec:
    """One session (`trunkline.wire.stt.codec.SttCodec`).

    The final words of different turns may come in another order than the turns; they are told in the turns' order.

    Args:
        audio_format: The audio that is sent, one of `FORMATS`.
        transcription: The vendor's object of that name: model, language and the rest.
        turn_detection: The vendor's object of that name; None where this side commits.
    """

    vendor = VENDOR
    quiet_limit = NO_KEEP_ALIVE

    def __init__(
        self,
        audio_format: AudioFormat,
        *,
        transcription: Mapping[str, Any],
        turn_detection: Mapping[str, Any] | None = None,
    ) -> None:
        self.audio_format = audio_format
        self.is_ready = False
        self._transcription = transcription
        self._turn_detection = turn_detection
        self._time = AudioTime(audio_format)
        self._committed_ms = 0.0
        self._unnamed = 0  # commits that the vendor has not confirmed
        self._turns: dict[str, str] = {}  # the words so far of each turn that is not told yet, by item, in order
        self._done: dict[str, str] = {}  # the words of those that are complete
        self._owed: set[str] = set()  # items that were committed
        self._flushed: set[str] = set()

    @property
    def owes_final(self) -> bool:
        """Whether a turn was committed whose words are not complete."""
        return bool(self._unnamed or self._owed)

    # ── to the vendor ────────────────────────────────────────────────────────────────────────────────────────────────

    def opening(self) -> Sequence[str | bytes]:
        """What the session is to be."""
        hears = {
            "format": FORMATS[self.audio_format],
            "transcription": self._transcription,
            "turn_detection": self._turn_detection,
        }
        return [json.dumps({"type": "session.update", "session": {"type": "transcription", "audio": {"input": hears}}})]

    def audio(self, audio: bytes) -> Sequence[str | bytes]:
        """The audio as it comes."""
        if not audio:
            return ()
        self._time.add(len(audio))
        return [f'{{"type":"input_audio_buffer.append","audio":"{b64encode(audio).decode()}"}}']

    def finalize(self) -> Sequence[str | bytes]:
        """A commit, where there is enough audio for one."""
        if self._time.sent_ms - self._committed_ms < _SHORTEST_COMMIT_MS:
            return ()
        self._committed_ms = self._time.sent_ms
        self._unnamed += 1
        return ['{"type":"input_audio_buffer.commit"}']

    def keep_alive(self) -> Sequence[str | bytes]:
        """Nothing is needed."""
        return ()

    def closing(self) -> Sequence[str | bytes]:
        """Nothing: the connection is closed."""
        return ()

    # ── from the vendor ──────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, message: str | bytes) -> Sequence[SttEvent]:
        """What a message means."""
        fields = READER.message(message)
        item_id = text_or(fields, "item_id")
        match text_or(fields, "type"):
            case "session.updated":
                self.is_ready = True
            case "input_audio_buffer.speech_started":
                return [SpeechStarted(int_or(fields, "audio_start_ms"))]
            case "input_audio_buffer.speech_stopped":
                return [SpeechStopped(int_or(fields, "audio_end_ms"))]
            case "input_audio_buffer.committed":
                self._unnamed = max(0, self._unnamed - 1)
                self._turns.setdefault(item_id, "")
                self._owed.add(item_id)
            case "conversation.item.input_audio_transcription.delta":
                return self._take_delta(item_id, text_or(fields, "delta"))
            case "conversation.item.input_audio_transcription.completed":
                return self._complete(item_id, text_or(fields, "transcript").strip())
            case "conversation.item.input_audio_transcription.failed":
                failed = ErrorReported(error_from(_vendor_error(object_or_empty(fields, "error"))))
                return [failed, *self._complete(item_id, self._turns.get(item_id, ""))]
            case "error":
                return self._take_error(_vendor_error(object_or_empty(fields, "error")))
        return ()

    def flush(self) -> Sequence[SttEvent]:
        """The words so far of every turn."""
        events: list[SttEvent] = []
        for item_id in list(self._turns):
            if item_id not in self._done:
                self._flushed.add(item_id)
            self._owed.discard(item_id)
            events += self._told(self._done.pop(item_id, self._turns[item_id]))
        self._turns.clear()
        self._owed.clear()
        self._unnamed = 0
        return events

    def _take_delta(self, item_id: str, delta: str) -> Sequence[SttEvent]:
        if item_id in self._flushed or item_id in self._done:
            return ()
        self._turns[item_id] = self._turns.get(item_id, "") + delta
        return self._partial()

    def _complete(self, item_id: str, text: str) -> Sequence[SttEvent]:
        self._owed.discard(item_id)
        if item_id in self._flushed:
            self._flushed.discard(item_id)
            return ()
        self._turns.setdefault(item_id, "")
        self._done[item_id] = text
        events: list[SttEvent] = []
        while self._turns and (first := next(iter(self._turns))) in self._done:
            del self._turns[first]
            events += self._told(self._done.pop(first))
        return [*events, *self._partial()] if events else ()

    def _told(self, text: str) -> Sequence[SttEvent]:
        return [Transcript(text=text.strip(), is_final=True)] if text.strip() else ()

    def _partial(self) -> Sequence[SttEvent]:
        text = next(iter(self._turns.values()), "").strip()
        return [Transcript(text=text)] if text else ()

    def _take_error(self, error: VendorError) -> Sequence[SttEvent]:
        if error.code == "input_audio_buffer_commit_empty":
            self._unnamed = max(0, self._unnamed - 1)
        if is_benign(error):
            return ()
        return [ErrorReported(error_from(error), fatal=not self.is_ready or error.code in _FATAL)]


def _vendor_error(fields: Fields) -> VendorError:
    return VendorError(
        text_or(fields, "message"),
        code=text_or(fields, "code"),
        kind=text_or(fields, "type"),
        param=text_or(fields, "param"),
    )
