"""The input audio buffer and the server's voice activity detection: appended bytes in, turns out.

Nothing here waits: time is the audio's own. Positions are milliseconds of all audio appended in the session, measured on the 16 kHz audio
that the detector hears.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.audio.vad import VoiceActivityDetector

EAR = AudioFormat("linear16", 16_000)
_SAMPLES_PER_MS = 16
SHORTEST_COMMIT_MS = 100
# What the semantic detector does with meaning is done with pauses here.
_SEMANTIC = {"threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500, "idle_timeout_ms": None}


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Speech was detected; padding included, it starts at `start_ms`."""

    start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The configured silence has followed; `audio` is the turn, padding and silence included."""

    end_ms: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class NobodySpoke:
    """Nothing was said for the idle timeout after the answer had been played; `audio` is that silence."""

    start_ms: int
    end_ms: int
    audio: bytes


class TooShort(Exception):
    """Less audio was appended than a commit must have; `fresh_ms` is how much."""

    def __init__(self, fresh_ms: float) -> None:
        self.fresh_ms = fresh_ms
        super().__init__(fresh_ms)


class Hearing:
    """The input side of one session."""

    def __init__(self, detector: VoiceActivityDetector, audio: AudioFormat, turns: Mapping[str, Any] | None) -> None:
        self._detector = detector
        self._window = detector.window_ms * _SAMPLES_PER_MS
        self._format = audio
        self._converter = StreamConverter(audio, EAR)
        self._turns: Mapping[str, Any] | None = None
        self._held = bytearray()
        self._held_from = 0
        self._total = 0
        self._judged = 0
        self._fresh_ms = 0.0
        self._began: int | None = None
        self._loud_until = 0
        self._answered_at: int | None = None
        self.configure(audio, turns)

    @property
    def format(self) -> AudioFormat:
        """The format that is appended now."""
        return self._format

    @property
    def position_ms(self) -> int:
        """Milliseconds of audio appended so far."""
        return self._total // _SAMPLES_PER_MS

    def configure(self, audio: AudioFormat, turns: Mapping[str, Any] | None) -> None:
        """Hear another format, or detect turns otherwise; None for the client's own turns."""
        if audio != self._format:
            self._format = audio
            self._converter = StreamConverter(audio, EAR)
        if turns is not None and turns.get("type") == "semantic_vad":
            turns = {**turns, **_SEMANTIC}
        if turns is None:
            self._began = None
        elif self._turns is None:
            self._detector.reset()
            self._judged = self._total
        self._turns = turns

    def append(self, data: bytes) -> list[SpeechBegan | SpeechEnded | NobodySpoke]:
        """Take audio in any number of bytes and tell what was noticed in it, in order."""
        self._fresh_ms += self._format.duration_ms(len(data))
        pcm = self._converter.convert(data)
        self._held += pcm
        self._total = self._held_from + len(self._held) // 2
        noticed: list[SpeechBegan | SpeechEnded | NobodySpoke] = []
        if self._turns is not None:
            for probability in self._detector.feed(pcm):
                self._judged += self._window
                if (moment := self._judge(probability, self._turns)) is not None:
                    noticed.append(moment)
        return noticed

    def commit(self) -> bytes:
        """Everything since the last commit, or since speech began; the buffer is empty then.

        Raises:
            TooShort: Under 100 ms were appended since the last commit.
        """
        if self._fresh_ms < SHORTEST_COMMIT_MS:
            raise TooShort(self._fresh_ms)
        return self.take_all()

    @property
    def hears_speech(self) -> bool:
        """Whether speech began and did not end."""
        return self._began is not None

    def take_all(self) -> bytes:
        """Everything since speech began, or since the buffer was empty, however short; it is empty then."""
        audio = self._between(self._held_from if self._began is None else self._began, self._total)
        self.clear()
        return audio

    def clear(self) -> None:
        """Empty the buffer; positions go on."""
        self._drop_before(self._total)
        self._fresh_ms = 0.0
        self._began = None

    def expect_reply_from(self, position_ms: float | None) -> None:
        """Where on the time line the answer has been played to its end, for the idle timeout; None while none has."""
        self._answered_at = None if position_ms is None else int(position_ms * _SAMPLES_PER_MS)

    def _judge(self, probability: float, turns: Mapping[str, Any]) -> SpeechBegan | SpeechEnded | NobodySpoke | None:
        end = self._judged
        if probability >= turns["threshold"]:
            self._loud_until = end
            if self._began is None:
                prefix = turns["prefix_padding_ms"] * _SAMPLES_PER_MS
                self._began = max(self._held_from, end - self._window - prefix)
                self._answered_at = None
                return SpeechBegan(self._began // _SAMPLES_PER_MS)
        elif self._began is not None:
            if end - self._loud_until >= turns["silence_duration_ms"] * _SAMPLES_PER_MS:
                return SpeechEnded(end // _SAMPLES_PER_MS, self._take(self._began, end))
        else:
            return self._wait_for_speech(end, turns)
        return None

    def _wait_for_speech(self, end: int, turns: Mapping[str, Any]) -> NobodySpoke | None:
        since, patience = self._answered_at, turns["idle_timeout_ms"]
        if since is not None and patience is not None and end - since >= patience * _SAMPLES_PER_MS:
            self._answered_at = None
            return NobodySpoke(since // _SAMPLES_PER_MS, end // _SAMPLES_PER_MS, self._take(since, end))
        kept = end - turns["prefix_padding_ms"] * _SAMPLES_PER_MS
        self._drop_before(kept if since is None or patience is None else min(kept, since))
        return None

    def _take(self, begin: int, end: int) -> bytes:
        audio = self._between(begin, end)
        self._drop_before(end)
        self._began = None
        self._fresh_ms = (self._total - end) / _SAMPLES_PER_MS
        return audio

    def _between(self, begin: int, end: int) -> bytes:
        return bytes(self._held[2 * max(0, begin - self._held_from) : 2 * (end - self._held_from)])

    def _drop_before(self, sample: int) -> None:
        gone = min(sample, self._total) - self._held_from
        if gone > 0:
            del self._held[: 2 * gone]
            self._held_from += gone
