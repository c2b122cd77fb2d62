"""Tools: every call is told once, answered once with whatever can be written as JSON, and the model goes on with the results."""

import json
from dataclasses import dataclass
from typing import Any

import anyio

from trunkline.errors import LocalProtocolError, ToolError
from trunkline.realtime.events import ResponseFinished, ResponseStarted, ToolCallRequested
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.brain import CallTool, Say
from trunkline.testing.suites.realtime_checks import Played, RealtimeChecks
from trunkline.testing.suites.realtime_listener import complete, expect
from trunkline.testing.suites.realtime_stage import Scene
from trunkline.tools.definition import ToolDefinition

_A_WHILE = 0.1

TOOLS = [
    ToolDefinition(name, parameters={"type": "object", "properties": {"city": {"type": "string"}}})
    for name in ("weather", "time")
]


@dataclass
class _Weather:
    sky: str
    celsius: int


RESULTS: list[tuple[Any, Any]] = [
    ({"sky": "rain", "celsius": 17}, {"sky": "rain", "celsius": 17}),
    (["rain", 17, None], ["rain", 17, None]),
    (_Weather("rain", 17), {"sky": "rain", "celsius": 17}),
    (17, 17),
    (True, True),
    (None, None),
]
"""What a tool may return besides text, and the JSON that the model must be given."""


class Tools(RealtimeChecks):
    """What happens when the model calls tools."""

    async def test_a_tool_turn(self) -> None:
        """A call is told once with its arguments, answered once, and the model goes on with the result."""
        scene = Scene(answers=[[CallTool("weather", {"city": "Cardiff"})], [Say("It rains.")]])
        async with self.playing(scene, ProcessConfig(functions=TOOLS)) as on:
            await on.session.send_text("How is the weather?")
            call = await on.listener.until(ToolCallRequested)
            expect((call.name, json.loads(call.arguments)) == ("weather", {"city": "Cardiff"}), f"wrong call: {call}")
            await on.session.send_tool_result(call.call_id, '{"sky": "rain"}')
            await _result_is_refused(on, call.call_id, "the same call twice")
            await _result_is_refused(on, "no-such-call", "a call that was never made")
            await on.listener.until(ResponseFinished)
            complete(await on.listener.answer(), "It rains.")
            expect(list(on.vendor.tool_results) == ['{"sky": "rain"}'], f"the vendor got {on.vendor.tool_results}")
            calls = [event for event in on.listener.events if isinstance(event, ToolCallRequested)]
            expect(len(calls) == 1, f"one call was made, {len(calls)} were told")

    async def test_two_tools_in_parallel(self) -> None:
        """Two calls of one response are both told, answered in any order, and bring one response."""
        both = [CallTool("weather", {"city": "Cardiff"}), CallTool("time", {"city": "Cardiff"})]
        async with self.playing(
            Scene(answers=[both, [Say("Rain at noon.")], [Say("Once more.")]]), ProcessConfig(functions=TOOLS)
        ) as on:
            await on.session.send_text("How and when?")
            await on.listener.until(ResponseFinished)
            calls = [event for event in on.listener.events if isinstance(event, ToolCallRequested)]
            expect([call.name for call in calls] == ["weather", "time"], f"wrong calls: {calls}")
            for call in reversed(calls):
                await on.session.send_tool_result(call.call_id, f"{call.name} of Cardiff")
            complete(await on.listener.answer(), "Rain at noon.")
            expect(
                list(on.vendor.tool_results) == ["time of Cardiff", "weather of Cardiff"],
                f"the vendor got {on.vendor.tool_results}",
            )
            await on.session.send_text("Again.")
            complete(await on.listener.answer(), "Once more.")
            started = [event for event in on.listener.events if isinstance(event, ResponseStarted)]
            expect(
                len(started) == 3,
                f"two results are one reason for a response, there were {len(started)} responses for 3",
            )

    async def test_a_failing_tool(self) -> None:
        """What went wrong reaches the model as it was written."""
        scene = Scene(answers=[[CallTool("weather", {"city": "?"})], [Say("I do not know.")]])
        async with self.playing(scene, ProcessConfig(functions=TOOLS)) as on:
            await on.session.send_text("How is the weather?")
            call = await on.listener.until(ToolCallRequested)
            failure = json.dumps({"error": 'Tool weather: no city "?" — \u00fcberhaupt\n'})
            await on.session.send_tool_result(call.call_id, failure)
            await on.listener.until(ResponseFinished)
            complete(await on.listener.answer(), "I do not know.")
            expect(list(on.vendor.tool_results) == [failure], f"the vendor got {on.vendor.tool_results}")

    async def test_a_slow_tool(self) -> None:
        """The model does not go on before its call is answered."""
        scene = Scene(answers=[[CallTool("weather", {"city": "Cardiff"})], [Say("It rains.")]])
        async with self.playing(scene, ProcessConfig(functions=TOOLS)) as on:
            await on.session.send_text("How is the weather?")
            call = await on.listener.until(ToolCallRequested)
            await on.listener.until(ResponseFinished)
            with anyio.move_on_after(_A_WHILE):
                while True:
                    event = await on.listener.next()
                    expect(not isinstance(event, ResponseStarted), "the model went on before the tool had answered")
            await on.session.send_tool_result(call.call_id, "rain")
            complete(await on.listener.answer(), "It rains.")

    async def test_a_tool_result_may_be_anything_that_is_json(self) -> None:
        """A mapping, a list, a dataclass, a number, a flag and nothing reach the model as JSON."""
        answers = [turn for _ in RESULTS for turn in ([CallTool("weather", {"city": "Cardiff"})], [Say("It rains.")])]
        async with self.playing(Scene(answers=answers), ProcessConfig(functions=TOOLS)) as on:
            for result, _ in RESULTS:
                await on.session.send_text("How is the weather?")
                call = await on.listener.until(ToolCallRequested)
                await on.session.send_tool_result(call.call_id, result)
                await on.listener.until(ResponseFinished)
                complete(await on.listener.answer(), "It rains.")
            got = [json.loads(text) for text in on.vendor.tool_results]
            expect(got == [written for _, written in RESULTS], f"the vendor got {on.vendor.tool_results}")

    async def test_a_tool_result_that_is_no_json_is_refused_and_can_be_replaced(self) -> None:
        """`ToolError` is raised, nothing is sent, and the call can still be answered."""
        scene = Scene(answers=[[CallTool("weather", {"city": "Cardiff"})], [Say("It rains.")]])
        async with self.playing(scene, ProcessConfig(functions=TOOLS)) as on:
            await on.session.send_text("How is the weather?")
            call = await on.listener.until(ToolCallRequested)
            try:
                await on.session.send_tool_result(call.call_id, object())
            except ToolError:
                pass
            else:
                raise AssertionError("ToolError must be raised for a result that cannot be written as JSON")
            await on.session.send_tool_result(call.call_id, "rain")
            await on.listener.until(ResponseFinished)
            complete(await on.listener.answer(), "It rains.")
            expect(list(on.vendor.tool_results) == ["rain"], f"the vendor got {on.vendor.tool_results}")


async def _result_is_refused(on: Played, call_id: str, what: str) -> None:
    try:
        await on.session.send_tool_result(call_id, "once more")
    except LocalProtocolError:
        return
    raise AssertionError(f"LocalProtocolError must be raised for {what}")
