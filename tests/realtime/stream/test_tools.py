"""Tools that are run between two streams: every call gets one answer."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.realtime.doubles import FedProvider, Source, until_quiet
from trunkline.clock import ManualClock
from trunkline.realtime import AudioChunk, AudioStream, ProcessConfig, ToolDefinition
from trunkline.realtime.events import (
    SessionEnded,
    ToolCallCancelled,
    ToolCallRequested,
)


@pytest.fixture
def source() -> Any:
    made = Source()
    yield made
    made.close()


async def _chunks(stream: AudioStream) -> list[AudioChunk]:
    return [chunk async for chunk in stream.audio]


async def test_a_tool_is_run_and_answered_once(source: Source) -> None:
    calls = []

    async def weather(call_id: str, name: str, arguments: str) -> dict[str, int]:
        calls.append((call_id, name, arguments))
        return {"celsius": 21}

    clock, provider = ManualClock(), FedProvider()
    config = ProcessConfig(functions=[ToolDefinition("weather")], on_function_call=weather)
    async with provider.process_audio_stream(source, config, clock=clock) as stream:
        await until_quiet()
        request = ToolCallRequested("c1", "weather", '{"city": "Rome"}', "r")
        provider.session.feed(request, request)
        await until_quiet()
        provider.session.feed(request)
        source.end()
        await clock.advance(4.9)
        assert not provider.session.over  # the answer to the result may still come
        await clock.advance(0.2)
        assert await _chunks(stream) == []
        assert provider.session.results == {"c1": '{"celsius":21}'}
        assert calls == [("c1", "weather", '{"city": "Rome"}')]
        assert stream.stats.tool_calls == 1


async def test_a_tool_that_fails_or_is_taken_back(source: Source) -> None:
    started, ended = anyio.Event(), anyio.Event()

    async def run(call_id: str, name: str, arguments: str) -> str:
        if name == "slow":
            started.set()
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()
        raise ValueError("no such city")

    provider = FedProvider()
    async with provider.process_audio_stream(source, ProcessConfig(on_function_call=run)):
        provider.session.feed(ToolCallRequested("c1", "slow", "{}"), ToolCallRequested("c2", "fails", "{}"))
        await started.wait()
        provider.session.feed(ToolCallCancelled("c1"))
        await until_quiet()
        assert ended.is_set()
        assert provider.session.results == {"c2": '{"error": "Tool fails: failed"}'}


async def test_a_running_tool_ends_with_the_stream(source: Source) -> None:
    ended = anyio.Event()

    async def run(call_id: str, name: str, arguments: str) -> str:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        return ""

    provider = FedProvider()
    async with provider.process_audio_stream(source, ProcessConfig(on_function_call=run)) as stream:
        provider.session.feed(ToolCallRequested("c1", "slow", "{}"))
        await until_quiet()
        provider.session.feed(SessionEnded("closed_by_vendor"))
        assert await _chunks(stream) == []
        assert ended.is_set()
