"""Deepgram Nova, `/v1/listen`: results in stretches, which this side puts together to utterances.

An utterance is over when the vendor heard the pause (`speech_final`), found a gap between words (`UtteranceEnd`) or was told to finish
(`Finalize`).
"""

import json
from collections.abc import Sequence
from typing import Final

from trunkline.audio import AudioFormat
from trunkline.errors import ProviderError, RequestRejected
from trunkline.wire.fields import Fields, flag_or, number_or, objects, text_or
from trunkline.wire.stt.audio_time import AudioTime
from trunkline.wire.stt.events import ErrorReported, SpeechStarted, SpeechStopped, SttEvent, Transcript
from trunkline.wire.vendors.deepgram import READER, VENDOR

KEEP_ALIVE_AFTER: Final = 4.0
"""Seconds: the vendor asks for a message every 3 to 5 s, and closes after 10."""

_NOISE = 1.5
"""Seconds without a word after which what began as speech was none."""


class NovaCodec:
    """One session (`trunkline.wire.stt.codec.SttCodec`).

    Args:
        audio_format: The audio that is sent, as the address said.
    """

    vendor = VENDOR
    is_ready = True
    quiet_limit = KEEP_ALIVE_AFTER

    def __init__(self, audio_format: AudioFormat) -> None:
        self.audio_format = audio_format
        self.owes_final = False
        self._time = AudioTime(audio_format)
        self._stretches: list[str] = []  # the finished ones of this utterance
        self._confidences: list[float] = []
        self._interim = ""
        self._began: float | None = None  # seconds of audio
        self._heard_to = 0.0
        self._last_word = 0.0
        self._done_to = 0.0  # results that end before were flushed
        self._speech_began: float | None = None
        self._language = ""

    # ── to the vendor ────────────────────────────────────────────────────────────────────────────────────────────────

    def opening(self) -> Sequence[str | bytes]:
        """Nothing: all is in the address."""
        return ()

    def audio(self, audio: bytes) -> Sequence[str | bytes]:
        """The audio as it is; an empty message would end the session."""
        if not audio:
            return ()
        self._time.add(len(audio))
        return (audio,)

    def finalize(self) -> Sequence[str | bytes]:
        """`Finalize`; where the vendor heard nothing, it may not answer."""
        self.owes_final = self._time.sent_ms > 0
        return ('{"type":"Finalize"}',)

    def keep_alive(self) -> Sequence[str | bytes]:
        """`KeepAlive`, which is no audio."""
        return ('{"type":"KeepAlive"}',)

    def closing(self) -> Sequence[str | bytes]:
        """`CloseStream`: the vendor sends the last results and closes."""
        return ('{"type":"CloseStream"}',)

    # ── from the vendor ──────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, message: str | bytes) -> Sequence[SttEvent]:
        """What a message means."""
        fields = READER.message(message)
        match text_or(fields, "type"):
            case "Results":
                return self._take_results(fields)
            case "SpeechStarted":
                return self._take_speech(number_or(fields, "timestamp"))
            case "UtteranceEnd":
                return self._end_utterance()
            case "Error":
                return [ErrorReported(_error(fields), fatal=True)]
            case _:
                return ()

    def flush(self) -> Sequence[SttEvent]:
        """The words so far, the unfinished stretch included."""
        if self._interim:
            self._stretches.append(self._interim)
        self._done_to = self._heard_to
        return self._end_utterance()

    def _take_results(self, fields: Fields) -> Sequence[SttEvent]:
        start = number_or(fields, "start", 0.0) or 0.0
        end = start + (number_or(fields, "duration", 0.0) or 0.0)
        from_finalize = flag_or(fields, "from_finalize", default=False)
        over = from_finalize or flag_or(fields, "speech_final", default=False)
        is_final = over or flag_or(fields, "is_final", default=False)
        best = _best(fields)
        text = text_or(best, "transcript").strip() if end > self._done_to else ""
        self._heard_to = max(self._heard_to, end)
        self._interim = "" if is_final else text
        if text:
            self._note(best, start, is_final=is_final, text=text)
        if from_finalize:
            self.owes_final = False
        if over:
            return self._end_utterance()
        if text:
            return [self._transcript()]
        return self._without_words(end)

    def _note(self, best: Fields, start: float, *, is_final: bool, text: str) -> None:
        words = objects(best, "words")
        if self._began is None:
            self._began = number_or(words[0], "start", start) if words else start
        self._last_word = (number_or(words[-1], "end") if words else None) or self._heard_to
        languages = best.get("languages")
        if isinstance(languages, list) and languages and isinstance(languages[0], str):
            self._language = languages[0]
        if is_final:
            self._stretches.append(text)
            confidence = number_or(best, "confidence")
            if confidence is not None:
                self._confidences.append(confidence)

    def _take_speech(self, timestamp: float | None) -> Sequence[SttEvent]:
        if self._speech_began is not None:
            return ()  # it comes twice now and then
        self._speech_began = self._heard_to if timestamp is None else timestamp
        return [SpeechStarted(None if timestamp is None else self._ms(timestamp))]

    def _without_words(self, end: float) -> Sequence[SttEvent]:
        """What began as speech and has no words for a while was noise."""
        if self._speech_began is None or self._stretches or end - self._speech_began < _NOISE:
            return ()
        return self._stop_speech(end)

    def _end_utterance(self) -> Sequence[SttEvent]:
        self._interim = ""
        said = bool(self._stretches)
        events = list(self._stop_speech(self._last_word if said else self._heard_to))
        if said:
            events.append(self._transcript(is_final=True))
            self.owes_final = False
        self._stretches, self._confidences, self._began, self._language = [], [], None, ""
        return events

    def _stop_speech(self, at: float) -> Sequence[SttEvent]:
        if self._speech_began is None:
            return ()
        self._speech_began = None
        return [SpeechStopped(self._ms(at))]

    def _transcript(self, *, is_final: bool = False) -> Transcript:
        stable = " ".join(self._stretches)
        return Transcript(
            text=f"{stable} {self._interim}".strip(),
            is_final=is_final,
            stable=len(stable),
            confidence=sum(self._confidences) / len(self._confidences) if self._confidences else None,
            start_ms=None if self._began is None else self._ms(self._began),
            end_ms=self._ms(self._last_word),
            language=self._language,
        )

    def _ms(self, seconds: float) -> int:
        return self._time.caller_ms(seconds * 1000)


def _best(fields: Fields) -> Fields:
    channel = fields.get("channel")
    alternatives = objects(channel, "alternatives") if isinstance(channel, dict) else []
    return alternatives[0] if alternatives else {}


def _error(fields: Fields) -> ProviderError:
    message = text_or(fields, "description") or text_or(fields, "message") or json.dumps(fields)[:200]
    return RequestRejected(message, text_or(fields, "code") or text_or(fields, "variant") or None, vendor=VENDOR)
