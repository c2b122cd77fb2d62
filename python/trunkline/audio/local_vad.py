"""When the caller speaks, noticed on this side: for vendors that do not report speech, and for interruptions that cannot wait."""

from trunkline.audio.converter import StreamConverter
from trunkline.audio.formats import AudioFormat
from trunkline.audio.vad import VoiceActivityDetector


class LocalVad:
    """Turns the probabilities of a detector into beginnings and ends of speech, with hysteresis.

    Args:
        detector: Tells speech from other sounds, in linear16 at its own rate; it hears this caller alone.
        audio_format: The format of the audio that is fed.
        threshold: The probability from which a window is speech.
        begins_after_ms: How much speech without a pause begins a turn.
        ends_after_ms: How much silence without a word ends it.
    """

    def __init__(
        self,
        detector: VoiceActivityDetector,
        audio_format: AudioFormat,
        *,
        threshold: float = 0.5,
        begins_after_ms: int = 60,
        ends_after_ms: int = 500,
    ) -> None:
        self._detector = detector
        self._converter = StreamConverter(audio_format, AudioFormat("linear16", detector.sample_rate))
        self._threshold = threshold
        self._begins_after_ms = begins_after_ms
        self._ends_after_ms = ends_after_ms
        self.speaks = False
        self.against_ms = 0
        """How much of the opposite has been heard without a break: silence while the caller speaks, speech while they are silent."""

    def feed(self, audio: bytes) -> int | None:
        """Listen to the next audio.

        Returns:
            If the caller has begun or stopped to speak, as `speaks` tells, how many milliseconds ago that was; None if nothing changed.
        """
        changed = None
        for probability in self._detector.feed(self._converter.convert(audio)):
            if (probability >= self._threshold) == self.speaks:
                self.against_ms = 0
                continue
            self.against_ms += self._detector.window_ms
            if self.against_ms >= (self._ends_after_ms if self.speaks else self._begins_after_ms):
                changed = self.against_ms
                self.speaks = not self.speaks
                self.against_ms = 0
        return changed

    def stop(self) -> int | None:
        """Take a pause that has begun for the end of the speech: how many milliseconds ago; None where there is no pause."""
        if not (self.speaks and self.against_ms):
            return None
        ago_ms, self.speaks, self.against_ms = self.against_ms, False, 0
        return ago_ms
