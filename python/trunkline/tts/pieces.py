"""Pieces of speech on their way from the vendor to whoever plays them."""

from collections import deque
from typing import Final

import anyio

from trunkline.audio import AudioFormat
from trunkline.clock import Clock
from trunkline.errors import ConnectionFailed, DeadlineExceeded, ProviderError
from trunkline.tts.provider import SpeechPiece, SpokenWord

TIMEOUT: Final = "timeout"
"""The code of the error where the vendor says nothing."""


class PieceQueue:
    """Filled by whoever reads the vendor, emptied by one iterating task; nothing is filled in after its end.

    The vendor must say something within `patience` seconds while speech is owed: after a text, and after the last text until the end.

    Args:
        audio_format: The format of the audio; half a sample at the end of a piece waits for the next.
        vendor: The vendor's name, for the error.
        patience: Seconds.
        clock: Where time comes from.
    """

    def __init__(self, audio_format: AudioFormat, *, vendor: str, patience: float, clock: Clock) -> None:
        self.received_bytes = 0
        self._sample_bytes = audio_format.sample_bytes
        self._vendor = vendor
        self._patience = patience
        self._clock = clock
        self._pieces: deque[SpeechPiece] = deque()
        self._half_sample = b""
        self._changed = anyio.Event()
        self._owed_since: float | None = None
        self._last_text = False
        self._over = False
        self._error: ProviderError | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is filled in."""
        return self._over

    @property
    def error(self) -> ProviderError | None:
        """Why it is over, if that was an error."""
        return self._error

    # ── filling ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def expect(self, *, last: bool = False) -> None:
        """A text was sent, or with `last` the end of all texts: from now on speech is owed."""
        self._last_text = self._last_text or last
        if self._owed_since is None:
            self._owed_since = self._clock.now()
        self._changed.set()

    def put(self, audio: bytes, words: tuple[SpokenWord, ...] = (), sentence: int | None = None) -> None:
        """Audio came, or words, or both."""
        if self._over:
            return
        self._owed_since = self._clock.now() if self._last_text else None
        self.received_bytes += len(audio)
        if self._half_sample:
            audio = self._half_sample + audio
        whole = len(audio) - len(audio) % self._sample_bytes
        self._half_sample = audio[whole:]
        if whole or words:
            self._pieces.append(SpeechPiece(audio[:whole] if self._half_sample else audio, words, sentence))
            self._changed.set()

    def end(self, error: ProviderError | None = None) -> None:
        """Nothing more comes; with the reason, if it is an error. The first call counts."""
        if not self._over:
            self._over = True
            self._error = error
            self._changed.set()

    # ── emptying ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def next(self) -> SpeechPiece | None:
        """The next piece; None at the end.

        Raises:
            ProviderError: Why it ended, after all that came before.
        """
        while not self._pieces:
            if self._over:
                if self._error is not None:
                    raise self._error
                return None
            self._changed = anyio.Event()
            await self._wait()
        return self._pieces.popleft()

    async def _wait(self) -> None:
        """Wait for a change, or end it all where the vendor owes speech and says nothing."""
        if self._owed_since is None:
            await self._changed.wait()
            return
        left = self._owed_since + self._patience - self._clock.now()
        with self._clock.move_on_after(max(0.0, left)) as deadline:
            await self._changed.wait()
        if deadline.cancelled_caught:
            late = DeadlineExceeded("speaking a text", self._patience)
            error = ConnectionFailed(str(late), TIMEOUT, vendor=self._vendor)
            error.__cause__ = late
            self.end(error)
