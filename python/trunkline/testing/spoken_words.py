"""A caller, heard by a simulated service: what has been said so far, by the time of the audio. Only the brain is waited for."""

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.audio.local_vad import LocalVad
from trunkline.testing.brain import Brain
from trunkline.testing.hearing import EAR

WORD_MS = 250
"""How much speech makes the next word of a transcript known, in milliseconds."""
PAUSE_MS = 160
"""How much silence may be the end of what is said, in milliseconds."""

_PIECE_MS = 20


@dataclass(frozen=True, slots=True)
class Began:
    """The caller began to speak."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class Words:
    """One word more is known; `resumed` tells that it is the first after a pause that might have been the end."""

    text: str
    at_ms: int
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Paused:
    """There is a short silence; `text` is all that was said."""

    text: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The silence is long enough, or the end was asked for; `end_ms` is where the last sound was."""

    text: str
    start_ms: int
    end_ms: int
    at_ms: int


Moment = Began | Words | Paused | Ended


class SpokenWords:
    """Hears one session.

    Args:
        brain: Detects speech, and understands it where there are no transcripts.
        transcripts: What is said, utterance after utterance.
        audio_format: What is fed.
        silence_ms: How much silence ends an utterance; None for none.
    """

    def __init__(
        self, brain: Brain, transcripts: Iterator[str] | None, audio_format: AudioFormat, silence_ms: int | None
    ) -> None:
        self._brain = brain
        self._transcripts = transcripts
        self._format = audio_format
        self._piece = audio_format.frame_bytes(_PIECE_MS)
        self._converter = StreamConverter(audio_format, EAR)
        # A detector hears windows of its own length, so the shortest silence is one of them.
        self._vad = LocalVad(
            brain.detector(), audio_format, begins_after_ms=_PIECE_MS, ends_after_ms=max(_PIECE_MS, silence_ms or 10**9)
        )
        self._fed = 0
        self._pcm = bytearray()
        self._began_ms = 0
        self._loud_ms = 0
        self._script: list[str] = []
        self._known = 0
        self._paused = False

    @property
    def at_ms(self) -> int:
        """Milliseconds of audio fed so far."""
        return round(self._format.duration_ms(self._fed))

    @property
    def speaks(self) -> bool:
        """Whether something is being said."""
        return self._vad.speaks

    async def feed(self, audio: bytes) -> list[Moment]:
        """Take audio and tell what was noticed in it, in order."""
        moments: list[Moment] = []
        for start in range(0, len(audio), self._piece):
            piece = audio[start : start + self._piece]
            self._fed += len(piece)
            self._pcm += self._converter.convert(piece)
            ago_ms = self._vad.feed(piece)
            if ago_ms is not None and self._vad.speaks:
                self._begin(ago_ms)
                moments.append(Began(self._began_ms))
            elif ago_ms is not None:
                moments.append(await self._end(self.at_ms - ago_ms))
            elif self._vad.speaks:
                moments += self._go_on()
            else:
                del self._pcm[: -_PIECE_MS * 32 * 10]  # 200 ms of 16 kHz before the first sound
        return moments

    async def finish(self) -> Ended | None:
        """End what is being said; None if nothing is."""
        if not self._vad.speaks:
            return None
        silent_ms = self._vad.against_ms
        self._vad.speaks, self._vad.against_ms = False, 0
        return await self._end(self.at_ms - silent_ms)

    def _begin(self, ago_ms: int) -> None:
        self._began_ms = max(0, self.at_ms - ago_ms)
        self._script = [] if self._transcripts is None else next(self._transcripts, "").split()
        self._known, self._paused, self._loud_ms = 0, False, 0

    def _go_on(self) -> list[Moment]:
        if self._vad.against_ms:
            if self._vad.against_ms < PAUSE_MS or self._paused or not self._script:
                return []
            self._paused, self._known = True, max(self._known, 1)
            return [Paused(" ".join(self._script[: self._known]), self.at_ms)]
        self._loud_ms += _PIECE_MS
        due = min(len(self._script), self._loud_ms // WORD_MS)
        resumed = self._paused
        if due <= self._known and not resumed:
            return []
        self._known = min(len(self._script), max(due, self._known + 1))
        self._paused = False
        return [Words(" ".join(self._script[: self._known]), self.at_ms, resumed)] if self._script else []

    async def _end(self, end_ms: int) -> Ended:
        text = " ".join(self._script)
        if self._transcripts is None:
            text = await self._brain.transcribe(bytes(self._pcm)) or ""
        self._pcm.clear()
        return Ended(text, self._began_ms, end_ms, self.at_ms)
