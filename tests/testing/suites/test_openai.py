"""The suite, run by OpenAI's provider against OpenAI's simulator."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from tests.testing.suites.openai_stage import DELTA, FAULTS, OpenAIStage, openai_stage
from trunkline.realtime.events import ResponseFinished, ToolCallRequested
from trunkline.realtime.openai.session import CAPABILITIES
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.brain import CallTool, Heard, Say
from trunkline.testing.openai import Duplicate, Fault, Reorder
from trunkline.testing.suites import RealtimeProviderSuite, Scene
from trunkline.testing.suites.realtime_listener import Listener
from trunkline.tools.definition import ToolDefinition

pytestmark = pytest.mark.anyio


class TestOpenAI(RealtimeProviderSuite):
    capabilities = CAPABILITIES
    troubles = frozenset(FAULTS)

    def vendor(self, scene: Scene) -> AbstractAsyncContextManager[OpenAIStage]:
        return openai_stage(scene)


def rule(history: Sequence[Heard]) -> Sequence[Say | CallTool]:
    return [Say("It rains.")] if history[-1].role == "tool" else [CallTool("weather", {"city": "Cardiff"})]


@pytest.mark.parametrize(
    "kind",
    [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        DELTA,
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
    ],
)
@pytest.mark.parametrize("fault", [Duplicate, Reorder])
async def test_any_event_may_come_twice_or_late(fault: type[Fault], kind: str) -> None:
    config = ProcessConfig(functions=[ToolDefinition("weather")])
    with anyio.fail_after(5):
        async with openai_stage(Scene(answers=rule)) as vendor, vendor.provider.connect(config) as session:
            vendor.simulator.script([fault(on=kind)])
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
            created = [event for event in vendor.simulator.received if event["type"] == "response.create"]
            assert len(created) == 4
