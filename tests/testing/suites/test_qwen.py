"""The suite, run by Qwen's provider against Qwen's simulator."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from tests.testing.suites.qwen_stage import DELTA, FAULTS, QwenStage, qwen_stage
from trunkline.realtime.events import ResponseFinished, ToolCallRequested
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.qwen.provider import DEFAULT_MODEL
from trunkline.realtime.qwen.session import capabilities_of
from trunkline.testing.brain import CallTool, Heard, Say
from trunkline.testing.openai import Duplicate, Fault, Reorder
from trunkline.testing.suites import RealtimeProviderSuite, Scene
from trunkline.testing.suites.realtime_listener import Listener
from trunkline.tools.definition import ToolDefinition

pytestmark = pytest.mark.anyio


class TestQwen(RealtimeProviderSuite):
    capabilities = capabilities_of(DEFAULT_MODEL)
    troubles = frozenset(FAULTS)

    def vendor(self, scene: Scene) -> AbstractAsyncContextManager[QwenStage]:
        return qwen_stage(scene)


def test_skips_are_those_of_capabilities_that_say_no() -> None:
    assert set(TestQwen.skipped().values()) == {
        "Capabilities.truncate is False",
        "Capabilities.seeds_tool_calls is False",
        "Capabilities.speaks_during_calls is False",
    }


def rule(history: Sequence[Heard]) -> Sequence[Say | CallTool]:
    return [Say("It rains.")] if history[-1].role == "tool" else [CallTool("weather", {"city": "Cardiff"})]


@pytest.mark.parametrize(
    "kind",
    [
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.done",
        "response.content_part.added",
        "response.audio_transcript.delta",
        DELTA,
        "response.audio.done",
        "response.audio_transcript.done",
        "response.content_part.done",
    ],
)
async def test_any_event_may_come_twice(kind: str) -> None:
    await two_tool_turns(Duplicate(on=kind))


@pytest.mark.parametrize(
    "kind", ["conversation.item.created", "response.output_item.added", "response.function_call_arguments.done", DELTA]
)
async def test_events_may_change_places(kind: str) -> None:
    await two_tool_turns(Reorder(on=kind))


async def two_tool_turns(fault: Fault) -> None:
    config = ProcessConfig(functions=[ToolDefinition("weather")])
    with anyio.fail_after(5):
        async with qwen_stage(Scene(answers=rule)) as vendor, vendor.provider.connect(config) as session:
            vendor.simulator.script([fault])
            listener = Listener(session)
            for turn in range(1, 3):
                await session.send_text("How is the weather?")
                call = await listener.until(ToolCallRequested)
                await session.send_tool_result(call.call_id, f"rain {turn}")
                answered: set[str] = {call.response_id}
                while len(answered) < 2:
                    answered.add((await listener.until(ResponseFinished)).response_id)
            assert list(vendor.tool_results) == ["rain 1", "rain 2"]
            calls = [event.call_id for event in listener.events if isinstance(event, ToolCallRequested)]
            assert len(calls) == len(set(calls)) == 2
            assert listener.errors == []
            finished = [event.response_id for event in listener.events if isinstance(event, ResponseFinished)]
            assert len(finished) == len(set(finished)) == 4
