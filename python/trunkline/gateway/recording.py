"""Recording a call: a stereo WAV file, the caller on the left and what they heard of the agent on the right."""

import logging
from collections import deque
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from trunkline.audio import AudioFormat, Encoding, convert
from trunkline.audio.wav import WavWriter
from trunkline.clock import Clock

if TYPE_CHECKING:  # a gateway that records nothing does not load it
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger("trunkline.gateway")

WRITE_EVERY: Final = 1.0
"""Seconds between two writes."""
SETTLED_AFTER: Final = 5.0
"""Seconds after which audio is written: by then it has come, however busy the program was, and is known to have been heard or cut."""
LATEST: Final = 30.0
"""Seconds that a carrier's timestamps may be behind the time at which audio comes; beyond that they count anew."""
EARLIEST: Final = 1.0
"""Seconds that they may be ahead of it."""
SNAP: Final = 0.01
"""Seconds: audio that begins within so much of the end of what went before follows it without a gap."""


class _Channel:
    """One side: pieces of audio, each from a sample on, in order."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.pieces: deque[tuple[int, bytes]] = deque()
        self.end = 0
        self._format = audio_format
        self._linear = AudioFormat(Encoding.LINEAR16, audio_format.sample_rate, 1)

    def add(self, start: int, audio: bytes) -> None:
        """Audio that begins at a sample; where that is before the end of what is there, it follows it."""
        start = max(start, self.end)
        self.pieces.append((start, audio))
        self.end = start + len(audio) // self._format.sample_bytes

    def drop_last(self, size: int) -> None:
        """Take the last `size` bytes away."""
        while size > 0 and self.pieces:
            start, audio = self.pieces.pop()
            if len(audio) > size:
                self.pieces.append((start, audio[: len(audio) - size]))
            size -= len(audio)
        self.end = 0
        if self.pieces:
            start, audio = self.pieces[-1]
            self.end = start + len(audio) // self._format.sample_bytes

    def take(self, before: int) -> list[tuple[int, bytes]]:
        """The pieces that begin before a sample; what lies behind it stays."""
        taken = []
        while self.pieces and self.pieces[0][0] < before:
            start, audio = self.pieces.popleft()
            size = (before - start) * self._format.sample_bytes
            if len(audio) > size:
                self.pieces.appendleft((before, audio[size:]))
                audio = audio[:size]
            taken.append((start, audio))
        return taken

    def samples(self, pieces: list[tuple[int, bytes]], start: int, size: int) -> "NDArray[np.int16]":
        """Pieces as one stretch of `size` samples from `start` on, with silence where there are none."""
        import numpy as np

        stretch = np.zeros(size, np.int16)
        for begins, audio in pieces:
            linear = np.frombuffer(convert(audio, self._format, self._linear), np.int16)
            linear = linear[max(0, start - begins) :]
            at = max(0, begins - start)
            stretch[at : at + len(linear)] = linear[: size - at]
        return stretch


class Recording:
    """Records one call.

    The caller's audio is placed by the carrier's timestamps, the agent's by when it was heard; what was cut by an interruption is not in
    it. The event loop only keeps the audio of the last seconds: conversion and disk are a thread's. A disk that fails ends the recording,
    not the call. The file can be read by its owner alone.

    Args:
        directory: Where the file is made; the directory, too, if there is none.
        call_id: What it is named after, besides the time.
        audio_format: The format of the line.
        clock: What the agent's audio and audio without timestamps are placed by.

    Attributes:
        path: The file, once it is there.
    """

    def __init__(self, directory: Path, call_id: str, audio_format: AudioFormat, *, clock: Clock) -> None:
        self.path: Path | None = None
        self._directory = directory
        self._name = f"{clock.wall():%Y%m%dT%H%M%SZ}-{''.join(c if c.isalnum() else '_' for c in call_id[:64])}"
        self._format = audio_format
        self._rate = audio_format.sample_rate
        self._clock = clock
        self._began = clock.now()
        self._caller = _Channel(audio_format)
        self._agent = _Channel(audio_format)
        self._offset: float | None = None
        """When the carrier's timestamps began, in seconds of the recording."""
        self._paused_since: int | None = None
        self._pauses: list[tuple[int, int]] = []
        self._written = 0
        self._finished = anyio.Event()
        self._over = anyio.Event()

    # ── what the bridge shows ────────────────────────────────────────────────────────────────────────────────────────

    def caller_audio(self, audio: bytes, timestamp_ms: int | None) -> None:
        """Audio of the caller came."""
        if (
            self._over.is_set() or self._paused_since is not None
        ):  # also what is placed before the pause, but came in it
            return
        now = self._clock.now() - self._began
        begins = max(0.0, now - self._format.duration_ms(len(audio)) / 1000)
        if timestamp_ms is not None:
            by_carrier = (self._offset or 0.0) + timestamp_ms / 1000
            if self._offset is None or not now - LATEST <= by_carrier <= now + EARLIEST:
                self._offset = begins - timestamp_ms / 1000
            else:
                begins = by_carrier
        self._caller.add(self._sample(begins, self._caller.end), audio)

    def agent_audio(self, audio: bytes, begins: float) -> None:
        """Audio of the agent is heard from `begins` on."""
        if self._over.is_set():
            return
        self._agent.add(self._sample(begins - self._began, self._agent.end), audio)

    def agent_cut(self, size: int) -> None:
        """The end of it is not."""
        self._agent.drop_last(size)

    def _sample(self, seconds: float, follows: int) -> int:
        sample = max(0, round(seconds * self._rate))
        return follows if abs(sample - follows) <= SNAP * self._rate else sample

    # ── the application ──────────────────────────────────────────────────────────────────────────────────────────────

    def pause(self) -> None:
        """Record silence from now on."""
        if self._paused_since is None:
            self._paused_since = self._now()

    def resume(self) -> None:
        """Record again."""
        if self._paused_since is not None:
            self._pauses.append((self._paused_since, self._now()))
            self._paused_since = None

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Write until `finish`, or cancelled; in both cases the file is completed. Its time counts from here, not from the dialling."""
        self._began = self._clock.now()
        self._pauses.clear()
        if self._paused_since is not None:
            self._paused_since = 0
        try:
            file = await anyio.to_thread.run_sync(self._open)
            try:
                await self._write_until_finished(file)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._write(file, self._now())
                    await anyio.to_thread.run_sync(file.close)
        except OSError:
            logger.exception("a recording failed; its call goes on")
        finally:
            self._over.set()

    async def finish(self) -> None:
        """The call is over; returns when the file is complete."""
        self._finished.set()
        await self._over.wait()

    async def _write_until_finished(self, file: WavWriter) -> None:
        while not self._finished.is_set():
            with self._clock.move_on_after(WRITE_EVERY):
                await self._finished.wait()
            await self._write(file, self._now() - round(SETTLED_AFTER * self._rate))

    async def _write(self, file: WavWriter, before: int) -> None:
        size = before - self._written
        if size <= 0:
            return
        sides = self._caller.take(before), self._agent.take(before)
        paused_since = before if self._paused_since is None else self._paused_since
        pauses = [*self._pauses, (paused_since, before)]
        self._pauses = [pause for pause in self._pauses if pause[1] > before]
        start, self._written = self._written, before
        await anyio.to_thread.run_sync(self._write_stretch, file, sides, pauses, start, size)

    def _write_stretch(
        self,
        file: WavWriter,
        sides: tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]],
        pauses: list[tuple[int, int]],
        start: int,
        size: int,
    ) -> None:
        import numpy as np

        stereo = np.empty((size, 2), np.int16)
        stereo[:, 0] = self._caller.samples(sides[0], start, size)
        stereo[:, 1] = self._agent.samples(sides[1], start, size)
        for since, until in pauses:
            stereo[max(0, since - start) : max(0, until - start)] = 0
        file.write(stereo.tobytes())

    def _open(self) -> WavWriter:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = self._new_file()
        return WavWriter(self.path, AudioFormat(Encoding.LINEAR16, self._rate, 2))

    def _new_file(self) -> Path:
        for number in count(1):
            path = self._directory / (f"{self._name}.wav" if number == 1 else f"{self._name}-{number}.wav")
            with suppress(FileExistsError):
                path.touch(mode=0o600, exist_ok=False)
                return path
        raise AssertionError("unreachable")

    def _now(self) -> int:
        return round((self._clock.now() - self._began) * self._rate)
