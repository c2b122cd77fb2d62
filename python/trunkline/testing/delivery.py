"""The speed at which a simulated model's answers come."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio.lowlevel

from trunkline.audio import AudioFormat
from trunkline.clock import Clock
from trunkline.errors import InvalidConfig

MOUTH = AudioFormat("linear16", 24_000)
"""What `Brain.speak` gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How audio is handed out: `speed` times as fast as it plays, or all at once if None, in pieces of `chunk_ms`."""

    clock: Clock
    speed: float | None
    chunk_ms: int

    def __post_init__(self) -> None:
        if self.speed is not None and self.speed <= 0:
            raise InvalidConfig("speed", "must be above 0, or None")
        if self.chunk_ms < 1:
            raise InvalidConfig("chunk_ms", "must be at least 1")

    @property
    def lead(self) -> float:
        """Which part of an answer is still to be played when all of it has been handed out."""
        return 1.0 if self.speed is None else max(0.0, 1 - 1 / self.speed)

    async def hand_out(
        self,
        words: Sequence[str],
        audio: bytes,
        audio_format: AudioFormat,
        give: Callable[[Sequence[str], bytes], bool],
    ) -> None:
        """Give the words and the audio of one sentence piece by piece, each when its time has come, until `give` says False."""
        size = audio_format.frame_bytes(self.chunk_ms)
        count = math.ceil(len(audio) / size)
        began, given = self.clock.now(), 0
        for position in range(count):
            if self.speed is not None:
                await self.clock.sleep_until(began + position * self.chunk_ms / 1000 / self.speed)
                await anyio.lowlevel.checkpoint_if_cancelled()
            due = math.ceil(len(words) * (position + 1) / count)
            if not give(words[given:due], audio[position * size : (position + 1) * size]):
                return
            given = due
        if given < len(words):
            give(words[given:], b"")
