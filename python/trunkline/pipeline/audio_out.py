"""The outgoing half of a line in memory: whoever reads `audio_out()` is the listener, and the clock tells what was heard."""

from collections import deque
from collections.abc import AsyncIterator

import anyio

from trunkline.audio import AudioFormat
from trunkline.telephony.line import LineTraits

LEAD_MS = 60
"""How far ahead of the clock frames are given: what a reader may be late without a gap."""
KEPT_MS = 1000
"""How much waits for a reader that does not read; after that the oldest goes, which by the clock was heard long ago."""


class AudioOut:
    """Hands its frames to one reader.

    Args:
        audio_format: The format of the frames.

    Attributes:
        dropped_bytes: What nobody read in time.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self.traits = LineTraits(format=audio_format, whole_frames=True, returns_marks=False, max_lead_ms=LEAD_MS)
        self.dropped_bytes = 0
        self._frame = audio_format.frame_bytes(self.traits.frame_ms)
        self._most = KEPT_MS // self.traits.frame_ms
        self._frames: deque[bytes] = deque()
        self._news = anyio.Event()
        self._closed = False

    async def send_media(self, payload: bytes) -> None:
        """Queue whole frames for the reader."""
        self._frames.extend(payload[start : start + self._frame] for start in range(0, len(payload), self._frame))
        while len(self._frames) > self._most:
            self.dropped_bytes += len(self._frames.popleft())
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
