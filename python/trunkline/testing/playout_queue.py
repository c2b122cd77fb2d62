"""What a carrier holds for the caller's ear: audio that waits to be played, with marks between."""

from collections import deque
from typing import NamedTuple


class PlayedFrame(NamedTuple):
    """One frame as the caller hears it; `queued` tells whether any of it was audio from the queue."""

    audio: bytes
    queued: bool
    marks: list[str]


class PlayoutQueue:
    """Audio of any length in, one frame out per tick of the caller's clock; time is whoever calls `next_frame`.

    A mark is reached when all audio added before it has been played to its end, that is one frame after its last byte was taken.

    Args:
        frame_bytes: Length of one frame: 160 for 20 ms of µ-law.
        silence: The byte that is heard where nothing was queued.
    """

    def __init__(self, *, frame_bytes: int = 160, silence: int = 0xFF) -> None:
        self._frame_bytes = frame_bytes
        self._silence = bytes([silence])
        self._waiting = bytearray()
        self._marks: deque[tuple[int, str]] = deque()
        self._added = 0
        self._taken = 0
        self._played = 0

    def __len__(self) -> int:
        """Bytes that wait to be played."""
        return len(self._waiting)

    def add(self, audio: bytes) -> None:
        """Queue audio behind what waits."""
        self._waiting += audio
        self._added += len(audio)

    def mark(self, name: str) -> list[str]:
        """Queue a mark; returns the marks reached by this: it alone, if nothing is left to be played."""
        self._marks.append((self._added, name))
        return self._reached()

    def clear(self) -> list[str]:
        """Forget all audio that waits; returns every pending mark, in order. The frame being heard ends as it began."""
        self._waiting.clear()
        self._added = self._played = self._taken
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def next_frame(self) -> PlayedFrame:
        """The next frame, filled up with silence, and the marks that the frames before it reached."""
        self._played = self._taken
        marks = self._reached()
        audio = bytes(self._waiting[: self._frame_bytes])
        del self._waiting[: self._frame_bytes]
        self._taken += len(audio)
        return PlayedFrame(audio.ljust(self._frame_bytes, self._silence), bool(audio), marks)

    def _reached(self) -> list[str]:
        names = []
        while self._marks and self._marks[0][0] <= self._played:
            names.append(self._marks.popleft()[1])
        return names
