"""Tools that are run between two streams: every call gets one answer."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.realtime.stream.source import Source, make_provider, read_all, until_quiet
from trunkline.clock import ManualClock
from trunkline.realtime import ProcessConfig, ToolDefinition
from trunkline.realtime.events import (
    SessionEnded,
    ToolCallCancelled,
    ToolCallRequested,
)
from trunkline.testing.fake_provider import BAREST, FakeSession
from trunkline.tools import tool


@pytest.fixture
def source() -> Any:
    made = Source()
    yield made
    made.close()


async def test_a_tool_is_run_and_answered_once(source: Source) -> None:
    calls = []

    async def weather(call_id: str, name: str, arguments: str) -> dict[str, int]:
        calls.append((call_id, name, arguments))
        return {"celsius": 21}

    clock, provider = ManualClock(), make_provider()
    config = ProcessConfig(functions=[ToolDefinition("weather")], on_function_call=weather)
    async with provider.process_audio_stream(source, config, clock=clock) as stream:
        await until_quiet()
        request = ToolCallRequested("c1", "weather", '{"city": "Rome"}', "r")
        provider.session.feed(request, request)
        await until_quiet()
        provider.session.feed(request)
        source.end()
        await clock.advance(4.9)
        assert not provider.session.closed  # the answer to the result may still come
        await clock.advance(0.2)
        assert await read_all(stream) == []
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

    provider = make_provider()
    async with provider.process_audio_stream(source, ProcessConfig(on_function_call=run)):
        provider.session.feed(ToolCallRequested("c1", "slow", "{}", "r"), ToolCallRequested("c2", "fails", "{}", "r"))
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

    provider = make_provider()
    async with provider.process_audio_stream(source, ProcessConfig(on_function_call=run)) as stream:
        provider.session.feed(ToolCallRequested("c1", "slow", "{}", "r"))
        await until_quiet()
        provider.session.feed(SessionEnded("closed_by_vendor"))
        assert await read_all(stream) == []
        assert ended.is_set()


async def weather(city: str) -> str:
    """The weather."""
    return f"rain in {city}"


async def test_tools_answer_in_the_twelfth_turn_as_in_the_first() -> None:
    """The vendor tells nothing but its answers: the limit on rounds is for a model that goes in circles, not for a conversation."""
    results: list[str] = []

    async def script(session: FakeSession) -> None:
        for turn in range(12):
            results.append(await session.call_tool("weather", city=str(turn)))
            session.answer("There.")
        session.feed(SessionEnded("closed_by_vendor"))

    provider = make_provider(capabilities=BAREST, script=script)
    source = Source()
    async with provider.process_audio_stream(source, ProcessConfig(functions=[weather])) as stream:
        await read_all(stream)
    source.close()
    assert results == [f"rain in {turn}" for turn in range(12)]


async def test_model_that_goes_in_circles_is_refused_and_no_other_stream_feels_it() -> None:
    results: list[str] = []

    async def script(session: FakeSession) -> None:
        results.extend([await session.call_tool("weather", city="Rome") for _ in range(11)])
        session.feed(SessionEnded("closed_by_vendor"))

    config = ProcessConfig(functions=[weather])
    provider = make_provider(capabilities=BAREST, script=script)
    for _ in range(2):
        source = Source()
        async with provider.process_audio_stream(source, config) as stream:
            await read_all(stream)
        source.close()
    assert ["too many tool calls" in result for result in results] == ([False] * 10 + [True]) * 2


async def test_detachable_tool_answers_as_any_other(source: Source) -> None:
    detachable = tool(on_interruption="detach")(weather)
    provider = make_provider()
    async with provider.process_audio_stream(source, ProcessConfig(functions=[detachable])) as stream:
        provider.session.feed(ToolCallRequested("c1", "weather", '{"city": "Rome"}', "r"))
        await until_quiet()
        assert provider.session.results == {"c1": "rain in Rome"}
        assert stream.error is None


async def test_filler_of_a_slow_tool_is_said(source: Source) -> None:
    @tool(filler="One moment.", filler_after=1)
    async def slow() -> str:
        await anyio.sleep_forever()
        raise AssertionError("woke up")

    clock, provider = ManualClock(), make_provider()
    async with provider.process_audio_stream(source, ProcessConfig(functions=[slow]), clock=clock):
        await until_quiet()
        provider.session.feed(ToolCallRequested("c1", "slow", "{}", "r"))
        await clock.advance(1.5)
        assert provider.session.commands == [("say", "One moment.")]


def test_tools_of_a_configuration_are_compiled_once() -> None:
    config = ProcessConfig(functions=[weather])
    assert config.compiled_tools is config.compiled_tools
    assert config.definitions is config.compiled_tools.definitions
