"""Deepgram Flux, `/v2/listen`: transcript and end of turn from one model.

idle --StartOfTurn--> speaking --Update*--> speaking
speaking --EagerEndOfTurn--> maybe done --TurnResumed--> speaking
speaking | maybe done --EndOfTurn--> idle
"""

from collections.abc import Sequence
from typing import Final

from trunkline.audio import AudioFormat
from trunkline.errors import ProviderError, ProviderUnavailable, RequestRejected
from trunkline.wire.fields import Fields, int_or, number_or, objects, text_or
from trunkline.wire.stt.audio_time import AudioTime
from trunkline.wire.stt.deepgram.query import mean_confidence
from trunkline.wire.stt.events import (
    ErrorReported,
    SpeechStarted,
    SpeechStopped,
    SttEvent,
    Transcript,
    TurnEndLikely,
    TurnResumed,
)
from trunkline.wire.vendors.deepgram import READER, VENDOR

CHUNK_MS: Final = 80
"""Milliseconds of audio in one message, as the vendor advises."""
SILENCE_AFTER: Final = 0.5
"""Seconds without audio after which silence is sent: the vendor's time is audio, and a turn never ends without it."""


class FluxCodec:
    """One session (`trunkline.wire.stt.codec.SttCodec`).

    Args:
        audio_format: The audio that is sent, as the address said.
    """

    vendor = VENDOR
    quiet_limit = SILENCE_AFTER

    def __init__(self, audio_format: AudioFormat) -> None:
        self.audio_format = audio_format
        self.is_ready = False
        self.owes_final = False
        self._time = AudioTime(audio_format)
        self._chunk = audio_format.frame_bytes(CHUNK_MS)
        self._waiting = bytearray()
        self._latest: Transcript | None = None  # of the turn that is going on
        self._in_turn = False
        self._likely: str | None = None
        self._turn = -1
        self._flushed_turn: int | None = None

    # ── to the vendor ────────────────────────────────────────────────────────────────────────────────────────────────

    def opening(self) -> Sequence[str | bytes]:
        """Nothing: all is in the address."""
        return ()

    def audio(self, audio: bytes) -> Sequence[str | bytes]:
        """The audio in pieces of 80 ms; what is left over waits."""
        self._waiting += audio
        pieces = []
        while len(self._waiting) >= self._chunk:
            pieces.append(self._piece(self._chunk))
        return pieces

    def finalize(self) -> Sequence[str | bytes]:
        """`ForceEndTurn`, behind the audio that waited; outside a turn it does nothing."""
        self.owes_final = self._in_turn
        rest = [self._piece(len(self._waiting))] if self._waiting else []
        return [*rest, '{"type":"ForceEndTurn"}']

    def keep_alive(self) -> Sequence[str | bytes]:
        """Silence in real time; the interface has no `KeepAlive`."""
        rest = [self._piece(len(self._waiting))] if self._waiting else []
        silence = self.audio_format.silence(SILENCE_AFTER * 1000)
        self._time.put_in(len(silence))
        return [*rest, silence]

    def closing(self) -> Sequence[str | bytes]:
        """`CloseStream`."""
        rest = [self._piece(len(self._waiting))] if self._waiting else []
        return [*rest, '{"type":"CloseStream"}']

    def _piece(self, size: int) -> bytes:
        piece = bytes(self._waiting[:size])
        del self._waiting[:size]
        self._time.add(len(piece))
        return piece

    # ── from the vendor ──────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, message: str | bytes) -> Sequence[SttEvent]:
        """What a message means."""
        fields = READER.message(message)
        match text_or(fields, "type"):
            case "Connected":
                self.is_ready = True
            case "TurnInfo":
                return self._take_turn(fields)
            case "Error":
                return [ErrorReported(_error(fields), fatal=True)]
        return ()

    def flush(self) -> Sequence[SttEvent]:
        """The words of the turn so far."""
        self._flushed_turn = self._turn if self._in_turn else None
        return self._end_turn(self._latest)

    def _take_turn(self, fields: Fields) -> Sequence[SttEvent]:
        self._turn = int_or(fields, "turn_index", self._turn) or 0
        if self._turn == self._flushed_turn:
            return ()
        words = self._transcript(fields)
        event = text_or(fields, "event")
        if event == "EndOfTurn":
            return self._end_turn(words)
        events: list[SttEvent] = []
        if event == "TurnResumed" and self._likely is not None:
            self._likely = None
            events.append(TurnResumed())
        if not words.text:
            return events
        if not self._in_turn:  # also where an update comes before the start
            self._in_turn = True
            events.append(SpeechStarted(words.start_ms))
        if event == "EagerEndOfTurn":
            self._likely = words.text
            events += [words, TurnEndLikely(words.text, words.end_of_turn)]
        elif self._latest is None or words.text != self._latest.text or event != "Update":
            events.append(words)
        self._latest = words
        return events

    def _end_turn(self, words: Transcript | None) -> Sequence[SttEvent]:
        events: list[SttEvent] = []
        text = words.text if words is not None else ""
        if self._likely is not None and self._likely != text:
            events.append(TurnResumed())
        if self._in_turn:
            events.append(SpeechStopped(words.end_ms if words is not None else None))
        if words is not None and text:
            events.append(
                Transcript(
                    text=text,
                    is_final=True,
                    confidence=words.confidence,
                    end_of_turn=words.end_of_turn,
                    start_ms=words.start_ms,
                    end_ms=words.end_ms,
                    language=words.language,
                )
            )
        self._likely, self._latest, self._in_turn, self.owes_final = None, None, False, False
        return events

    def _transcript(self, fields: Fields) -> Transcript:
        words = objects(fields, "words")
        start = number_or(fields, "audio_window_start")
        end = number_or(fields, "audio_window_end")
        if words:
            start = number_or(words[0], "start", start)
            end = number_or(words[-1], "end", end)
        languages = fields.get("languages")
        first = languages[0] if isinstance(languages, list) and languages else ""
        return Transcript(
            text=text_or(fields, "transcript").strip(),
            confidence=mean_confidence(words),
            end_of_turn=number_or(fields, "end_of_turn_confidence"),
            start_ms=self._ms(start),
            end_ms=self._ms(end),
            language=first if isinstance(first, str) else "",
        )

    def _ms(self, seconds: float | None) -> int | None:
        return None if seconds is None else self._time.caller_ms(seconds * 1000)


def _error(fields: Fields) -> ProviderError:
    code = text_or(fields, "code")
    kind = ProviderUnavailable if code.startswith("INTERNAL") else RequestRejected
    return kind(text_or(fields, "description") or code or "an error without a message", code or None, vendor=VENDOR)
