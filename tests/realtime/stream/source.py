"""What the tests of streams share: a source of audio, and a provider as they expect it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio

from trunkline.audio import OPENAI
from trunkline.realtime import AudioChunk, AudioStream, Capabilities
from trunkline.testing.fake_provider import FULL, FakeProvider


class Source:
    """Audio that a test gives, until it ends it."""

    def __init__(self, *audio: bytes) -> None:
        self._pieces, self._given = anyio.create_memory_object_stream[bytes](100), 0
        self.give(*audio)

    def give(self, *audio: bytes) -> None:
        for piece in audio:
            self._pieces[0].send_nowait(piece)

    def end(self) -> None:
        self._pieces[0].close()

    def close(self) -> None:
        for side in self._pieces:
            side.close()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._pieces[1].receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


def make_provider(capabilities: Capabilities = FULL, **options: Any) -> FakeProvider:
    """A vendor that can do everything, unless told otherwise, with PCM16 at 24 kHz both ways."""
    capabilities = replace(capabilities, input_rate=OPENAI.sample_rate, output_rate=OPENAI.sample_rate)
    return FakeProvider(capabilities=capabilities, input_format=OPENAI, output_format=OPENAI, **options)


async def read_all(stream: AudioStream) -> list[AudioChunk]:
    return [chunk async for chunk in stream.audio]


async def until_quiet() -> None:
    """Let every task run as far as it can."""
    await anyio.wait_all_tasks_blocked()
