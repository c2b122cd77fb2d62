"""A line without a carrier: whoever reads `audio_out()` is the caller's ear, and the clock is the mark."""

from collections import deque
from collections.abc import AsyncIterator

import anyio

from trunkline.audio import AudioFormat
from trunkline.telephony.line import LineTraits


class ClockedPort:
    """A `CallLine` that hands its frames to one reader, a frame at a time.

    Nothing confirms what is heard, so the lead is short and the clock decides. What waits for the reader is bounded by the lead of playout
    as long as the reader keeps up; `clear` empties it.

    Args:
        audio_format: What the reader wants.
        max_lead_ms: How far frames may be ahead of the clock.
    """

    def __init__(self, audio_format: AudioFormat, *, max_lead_ms: int = 60) -> None:
        self.traits = LineTraits(format=audio_format, returns_marks=False, max_lead_ms=max_lead_ms)
        self._frame = audio_format.frame_bytes(self.traits.frame_ms)
        self._frames: deque[bytes] = deque()
        self._news = anyio.Event()
        self._closed = False

    async def send_media(self, payload: bytes) -> None:
        """Queue whole frames for the reader."""
        self._frames.extend(payload[start : start + self._frame] for start in range(0, len(payload), self._frame))
        self._news.set()

    async def send_mark(self, name: str) -> None:
        """Nothing: this line returns no marks."""

    async def clear(self) -> None:
        """Drop what the reader has not taken."""
        self._frames.clear()

    async def read(self) -> AsyncIterator[bytes]:
        """Frames as they are to be heard; ends with the call."""
        while True:
            while self._frames:
                yield self._frames.popleft()
            if self._closed:
                return
            self._news = anyio.Event()
            await self._news.wait()

    def close(self) -> None:
        """No more frames; what waits can still be read."""
        self._closed = True
        self._news.set()
