"""What the caller and the model do while tools run: interrupt, take calls back, wait, repeat themselves."""

from typing import get_args

import anyio
import pytest

from tests.tools.phone import WEATHER, Phone, advance, hang, settle, weather
from trunkline.clock import ManualClock
from trunkline.errors import LocalProtocolError
from trunkline.tools import CompiledTools, OnInterruption, ToolDefinition, ToolDispatcher


def get_weather(city: str) -> str:
    return city


async def test_a_call_is_never_run_twice() -> None:
    tools = ToolDispatcher(CompiledTools([get_weather]))
    await tools.run("c", "get_weather", '{"city": "Rome"}')
    with pytest.raises(LocalProtocolError, match="'c' was run before"):
        await tools.run("c", "get_weather", '{"city": "Rome"}')
    assert tools.counters.calls == 1


async def test_an_interruption_does_to_each_tool_what_it_asks() -> None:
    clock = ManualClock()
    may_end = anyio.Event()
    late: list[tuple[str, str, int]] = []

    async def handler(_: object) -> str:
        await may_end.wait()
        return '"done"'

    names = get_args(OnInterruption)
    tools = ToolDispatcher(
        CompiledTools([ToolDefinition(name, on_interruption=name) for name in names], dict.fromkeys(names, handler)),
        on_late=lambda call_id, call: late.append((call_id, call.result, call.duration_ms)),
        clock=clock,
    )
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        for name in names:
            await phone.request(f"c-{name}", name)
        await advance(clock, 1)
        tools.interrupt()
        await settle()
        assert phone.told["c-cancel"] == {"error": "Tool cancel: cancelled: the caller interrupted"}
        assert phone.told["c-detach"]["status"] == "running"
        assert phone.calls["c-detach"].duration_ms == 1000
        assert "c-finish" not in phone.told
        tools.interrupt()
        await advance(clock, 2)
        may_end.set()
        await settle()
        assert phone.told["c-finish"] == "done"
        assert late == [("c-detach", '"done"', 3000)]
        counters = tools.counters
        assert (counters.calls, counters.successes, counters.cancelled, counters.detached) == (3, 2, 1, 1)
        assert (counters.max_ms, round(counters.mean_ms)) == (3000, 2333)


async def test_a_detached_tool_may_still_be_taken_back_or_time_out() -> None:
    clock = ManualClock()
    late: list[str] = []
    tools = ToolDispatcher(
        CompiledTools([weather(on_interruption="detach")], {"get_weather": hang}),
        on_late=lambda _, call: late.append(call.error),
        clock=clock,
    )
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        await phone.request("a")
        await phone.request("b")
        tools.interrupt()
        assert tools.cancel("a")
        await settle()
        await advance(clock, 21)
    assert late == [
        "Tool get_weather: cancelled: the model took the call back",
        "Tool get_weather: no answer within 20 s",
    ]
    assert [told["status"] for told in phone.told.values()] == ["running", "running"]


async def test_a_listener_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("listener")

    clock = ManualClock()
    tools = ToolDispatcher(
        CompiledTools([weather(on_interruption="detach", filler="One moment.", timeout=5)], {"get_weather": hang}),
        on_late=refuse,
        on_slow=refuse,
        clock=clock,
    )
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        await phone.request("a")
        await advance(clock, 3)
        tools.interrupt()
        await advance(clock, 3)
    assert phone.told["a"]["status"] == "running"
    assert caplog.text.count("a listener to tools failed") == 2


async def test_the_end_of_the_telephone_call_is_an_answer_too() -> None:
    late: list[str] = []
    tools = ToolDispatcher(
        CompiledTools([weather(on_interruption="detach")], {"get_weather": hang}),
        on_late=lambda _, call: late.append(call.error),
    )
    ended = "Tool get_weather: cancelled: the telephone call ended"
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        async with anyio.create_task_group() as background:
            tools.start(background)
            await phone.request("detached")
            tools.interrupt()
            await phone.request("waiting")
            background.cancel_scope.cancel()
    assert phone.told["waiting"] == {"error": ended}
    assert late == [ended]
    assert tools.counters.cancelled == 2


async def test_a_tool_that_may_be_detached_needs_a_task_group() -> None:
    tools = ToolDispatcher(CompiledTools([weather(on_interruption="detach")], {"get_weather": hang}))
    with pytest.raises(LocalProtocolError, match="start"):
        await tools.run("c", "get_weather", "{}")


async def test_the_model_takes_a_call_back_before_during_and_after_it() -> None:
    ran: list[str] = []

    async def handler(_: object) -> None:
        ran.append("ran")
        await anyio.sleep_forever()

    tools = ToolDispatcher(CompiledTools([WEATHER], {"get_weather": handler}))
    cancelled = {"error": "Tool get_weather: cancelled: the model took the call back"}
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        assert not tools.cancel("before")
        await phone.request("before")
        assert phone.told == {"before": cancelled}
        assert ran == []
        await phone.request("during")
        assert tools.cancel("during")
        await settle()
        assert phone.told == {"before": cancelled, "during": cancelled}
        assert not tools.cancel("during")


async def test_the_filler_of_a_slow_tool_is_told_once_and_only_of_a_slow_one() -> None:
    clock = ManualClock()
    slow: list[tuple[str, str, str]] = []
    may_end = anyio.Event()

    async def handler(_: object) -> str:
        await may_end.wait()
        return "1"

    tools = ToolDispatcher(
        CompiledTools(
            [
                weather(filler="One moment.", filler_after=1.5),
                ToolDefinition("silent"),
                ToolDefinition("detached", filler="Hm.", on_interruption="detach"),
            ],
            {"get_weather": handler, "silent": handler, "detached": handler},
        ),
        on_slow=lambda *facts: slow.append(facts),
        clock=clock,
    )
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        for call_id, name in (("a", "get_weather"), ("b", "silent"), ("c", "detached")):
            await phone.request(call_id, name)
        tools.interrupt()
        await advance(clock, 1.4)
        assert slow == []
        await advance(clock, 5)
        may_end.set()
        await settle()
        await phone.request("d", "get_weather")
        await advance(clock, 5)
    assert slow == [("a", "get_weather", "One moment.")]
