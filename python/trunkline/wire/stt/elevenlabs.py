"""ElevenLabs Scribe: the realtime interface, and the answer of the one for whole utterances."""

import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from trunkline.audio import AudioFormat
from trunkline.errors import (
    AuthFailed,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
)
from trunkline.wire.fields import number_or, objects, text_or
from trunkline.wire.stt.audio_time import AudioTime
from trunkline.wire.stt.events import ErrorReported, SttEvent, Transcript
from trunkline.wire.vendors.elevenlabs import READER, VENDOR, without_key

FORMATS: Final[Mapping[AudioFormat, str]] = {
    AudioFormat("mulaw", 8_000): "ulaw_8000",
    AudioFormat("linear16", 8_000): "pcm_8000",
    AudioFormat("linear16", 16_000): "pcm_16000",
    AudioFormat("linear16", 22_050): "pcm_22050",
    AudioFormat("linear16", 24_000): "pcm_24000",
    AudioFormat("linear16", 44_100): "pcm_44100",
    AudioFormat("linear16", 48_000): "pcm_48000",
}
CHUNK_MS: Final = 100
SILENCE_AFTER: Final = 0.5
"""Seconds without audio after which silence is sent: the vendor ends sessions that are not active, and forgets what it was doing."""

_SHORTEST_COMMIT_MS = 300
"""With less audio since the last commit the vendor ends the session."""

_ERRORS: dict[str, type[ProviderError]] = {
    "auth_error": AuthFailed,
    "quota_exceeded": QuotaExceeded,
    "unaccepted_terms": AuthFailed,
    "rate_limited": RateLimited,
    "resource_exhausted": RateLimited,
    "queue_overflow": RateLimited,
    "commit_throttled": RateLimited,
    "invalid_request": RequestRejected,
    "input_error": RequestRejected,
    "chunk_size_exceeded": RequestRejected,
    "error": ProviderUnavailable,
    "session_time_limit_exceeded": ProviderUnavailable,
    "insufficient_audio_activity": ProviderUnavailable,
    "transcriber_error": ProviderUnavailable,
}


def realtime_query(parameters: Mapping[str, str | float | Sequence[str] | None], audio_format: AudioFormat) -> str:
    """The query of a session; of a list each member is a parameter of its own, and None is left out."""
    pairs: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if isinstance(value, str | int | float):
            pairs.append((name, str(value)))
        elif value is not None:
            pairs += [(name, member) for member in value]
    return urlencode([*pairs, ("audio_format", FORMATS[audio_format])])


def transcription(body: str | bytes) -> tuple[str, float | None, str]:
    """Text, confidence and language of the answer to a whole utterance.

    Raises:
        RemoteProtocolError: It cannot be read.
    """
    fields = READER.message(body)
    scores = [
        score
        for word in objects(fields, "words")
        if text_or(word, "type") == "word" and (score := number_or(word, "logprob")) is not None
    ]
    confidence = math.exp(min(0.0, sum(scores) / len(scores))) if scores else None
    return READER.text(fields, "text").strip(), confidence, text_or(fields, "language_code")


class ScribeCodec:
    """One session of the realtime interface (`trunkline.wire.stt.codec.SttCodec`).

    Args:
        audio_format: The audio that is sent, one of `FORMATS`.
        commits: Whether the vendor commits by itself, when it hears silence.
    """

    vendor = VENDOR
    quiet_limit = SILENCE_AFTER

    def __init__(self, audio_format: AudioFormat, *, commits: bool = False) -> None:
        self.audio_format = audio_format
        self.is_ready = False
        self.owes_final = False
        self._commits = commits
        self._time = AudioTime(audio_format)
        self._chunk = audio_format.frame_bytes(CHUNK_MS)
        self._waiting = bytearray()
        self._partial = ""
        self._committed_ms = 0.0  # where the last commit was, in the vendor's audio
        self._dropped = 0  # commits whose words were flushed

    # ── to the vendor ────────────────────────────────────────────────────────────────────────────────────────────────

    def opening(self) -> Sequence[str | bytes]:
        """Nothing: all is in the address."""
        return ()

    def audio(self, audio: bytes) -> Sequence[str | bytes]:
        """The audio in pieces of 100 ms; what is left over waits."""
        self._waiting += audio
        messages = []
        while len(self._waiting) >= self._chunk:
            messages.append(self._piece(self._chunk))
        return messages

    def finalize(self) -> Sequence[str | bytes]:
        """A commit, behind the audio that waited; not where nothing was said, and with enough audio for the vendor to take it."""
        messages = [self._piece(len(self._waiting))] if self._waiting else []
        fresh_ms = self._time.sent_ms - self._committed_ms
        if fresh_ms < _SHORTEST_COMMIT_MS:
            if not self._partial:
                return messages
            silence = self.audio_format.silence(_SHORTEST_COMMIT_MS - fresh_ms + 1)
            self._time.put_in(len(silence))
            messages.append(self._chunk_message(silence))
        self._committed_ms = self._time.sent_ms
        self.owes_final = True
        return [*messages, self._chunk_message(b"", commit=True)]

    def keep_alive(self) -> Sequence[str | bytes]:
        """Silence in real time."""
        messages = [self._piece(len(self._waiting))] if self._waiting else []
        silence = self.audio_format.silence(SILENCE_AFTER * 1000)
        self._time.put_in(len(silence))
        return [*messages, self._chunk_message(silence)]

    def closing(self) -> Sequence[str | bytes]:
        """Nothing: the connection is closed."""
        return ()

    def _piece(self, size: int) -> str:
        piece = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._time.add(len(piece))
        return self._chunk_message(piece)

    def _chunk_message(self, audio: bytes, *, commit: bool = False) -> str:
        return (
            f'{{"message_type":"input_audio_chunk","audio_base_64":"{b64encode(audio).decode()}",'
            f'"commit":{"true" if commit else "false"},"sample_rate":{self.audio_format.sample_rate}}}'
        )

    # ── from the vendor ──────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, message: str | bytes) -> Sequence[SttEvent]:
        """What a message means."""
        fields = READER.message(message)
        kind = text_or(fields, "message_type")
        match kind:
            case "session_started":
                self.is_ready = True
            case "partial_transcript":
                return self._take_partial(text_or(fields, "text").strip())
            case "committed_transcript":
                return self._take_committed(text_or(fields, "text").strip())
            case _ if kind in _ERRORS or (kind.endswith("_error") and "error" in fields):
                said = without_key(text_or(fields, "error")) or json.dumps(fields)[:200]
                error = _ERRORS.get(kind, ProviderUnavailable)(said, kind, vendor=VENDOR)
                return [ErrorReported(error, fatal=True)]
        return ()

    def flush(self) -> Sequence[SttEvent]:
        """The last partial."""
        if self.owes_final:
            self._dropped += 1
        return self._final(self._partial)

    def _take_partial(self, text: str) -> Sequence[SttEvent]:
        if not text or text == self._partial or self._dropped:
            return ()
        self._partial = text
        return [Transcript(text=text, end_ms=self._end_ms)]

    def _take_committed(self, text: str) -> Sequence[SttEvent]:
        if self._dropped:
            self._dropped -= 1
            return ()
        if self._commits:
            self._committed_ms = self._time.sent_ms
        return self._final(text)

    def _final(self, text: str) -> Sequence[SttEvent]:
        self._partial = ""
        self.owes_final = False
        return [Transcript(text=text, is_final=True, end_ms=self._end_ms)] if text else ()

    @property
    def _end_ms(self) -> int:
        return self._time.caller_ms(self._time.sent_ms)
