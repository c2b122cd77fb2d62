"""The caller's speech, noticed on this side of the provider: for interruptions that cannot wait, or vendors that do not tell."""

from typing import Protocol

from trunkline.audio import AudioFormat, StreamConverter

SAMPLE_RATE = 16_000


class Detector(Protocol):
    """What the ear needs of a voice activity detector; those of `trunkline.audio.vad` are ones."""

    @property
    def window_ms(self) -> int:
        """How much audio one probability is about."""
        ...

    def feed(self, pcm: bytes) -> list[float]:
        """The probabilities of speech of the windows that are complete now, of PCM16 at 16 kHz."""
        ...


class LocalEar:
    """Tells when the caller begins to speak and when they stop.

    Args:
        detector: Tells speech from other sounds; the ear owns it.
        audio_format: What the ear is fed.
        threshold: The probability from which a window is speech.
        begins_after_ms: How much speech on end begins a turn.
        ends_after_ms: How much silence on end ends it.
    """

    def __init__(
        self,
        detector: Detector,
        audio_format: AudioFormat,
        *,
        threshold: float = 0.5,
        begins_after_ms: int = 60,
        ends_after_ms: int = 500,
    ) -> None:
        self._detector = detector
        target = AudioFormat(encoding="linear16", sample_rate=SAMPLE_RATE)
        self._converter = StreamConverter(audio_format, target)
        self._threshold = threshold
        self._begins_after_ms = begins_after_ms
        self._ends_after_ms = ends_after_ms
        self._speaks = False
        self._against_ms = 0

    def feed(self, audio: bytes) -> bool | None:
        """True when the caller has just begun to speak, False when they have just stopped, None when nothing has changed."""
        changed = None
        for probability in self._detector.feed(self._converter.convert(audio)):
            if (probability >= self._threshold) == self._speaks:
                self._against_ms = 0
                continue
            self._against_ms += self._detector.window_ms
            if self._against_ms >= (self._ends_after_ms if self._speaks else self._begins_after_ms):
                self._speaks = changed = not self._speaks
                self._against_ms = 0
        return changed
