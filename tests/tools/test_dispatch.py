"""Every tool call gets exactly one answer, whatever the tool does."""

import json
import threading
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.tools.phone import WEATHER, Phone, advance, hang, settle, weather
from trunkline.clock import ManualClock
from trunkline.errors import InvalidConfig, ToolError
from trunkline.tools import CompiledTools, ToolCounters, ToolDispatcher


def get_weather(city: str, days: int = 1) -> str:
    return f"{city} {days}"


def test_a_handler_without_its_tool_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="get_time"):
        CompiledTools([WEATHER], {"get_time": lambda _: ""})


async def test_a_plain_function_is_called_by_name_with_checked_arguments() -> None:
    tools = ToolDispatcher(CompiledTools([get_weather]))
    call = await tools.run("c1", "get_weather", '{"city": "London", "days": "3"}')
    assert (call.name, call.result, call.error) == ("get_weather", "London 3", "")
    assert call.arguments == {"city": "London", "days": "3"}


async def test_a_handler_gets_one_mapping() -> None:
    async def handler(arguments: dict[str, Any]) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return {"told": arguments["city"]}

    call = await ToolDispatcher(CompiledTools([WEATHER], {"get_weather": handler})).run(
        "c1", "get_weather", '{"city": "Rome"}'
    )
    assert json.loads(call.result) == {"told": "Rome"}


async def test_on_function_call_gets_id_name_and_json_text() -> None:
    got: list[tuple[str, str, str]] = []

    def on_function_call(call_id: str, name: str, arguments: str) -> None:
        got.append((call_id, name, arguments))

    call = await ToolDispatcher(CompiledTools([WEATHER], on_function_call=on_function_call)).run(
        "c7", "get_weather", '{"city":"X"}'
    )
    assert got == [("c7", "get_weather", '{"city":"X"}')]
    assert call.result == "null"


@dataclass
class Report:
    sky: str


@pytest.mark.parametrize(
    ("value", "text"), [("as is", "as is"), (None, "null"), ([1, 2.5], "[1,2.5]"), (Report("grey"), '{"sky":"grey"}')]
)
async def test_results_of_any_json_type(value: object, text: str) -> None:
    call = await ToolDispatcher(CompiledTools([WEATHER], {"get_weather": lambda _: value})).run(
        "c", "get_weather", "{}"
    )
    assert call.result == text


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("get_time", "{}", "Tool get_time not found"),
        ("get_weather", "{", "the arguments are not JSON"),
        ("get_weather", "[]", "the arguments are not a JSON object"),
        ("get_weather", "{}", "city: Field required"),
        ("get_weather", '{"city": "X", "town": 1}', "town: Extra inputs are not permitted"),
        ("fails", "{}", "Tool fails: no such city"),
        ("leaks", "{}", "Tool leaks: failed"),
        ("unspeakable", "{}", "cannot be written as JSON"),
    ],
)
async def test_a_failure_is_told_to_the_model_as_json(name: str, arguments: str, error: str) -> None:
    def fails() -> str:
        raise ToolError("fails", "no such city")

    def leaks() -> str:
        raise LookupError("no host at db://user:secret@db")

    def unspeakable() -> object:
        return object()

    call = await ToolDispatcher(CompiledTools([get_weather, fails, leaks, unspeakable])).run("c", name, arguments)
    assert "secret" not in call.result
    assert error in call.error
    assert json.loads(call.result) == {"error": call.error}


@pytest.mark.parametrize(("own", "seconds"), [(None, 20), (3, 3), (60, 60)])
async def test_a_tool_that_hangs_is_timed_out(own: float | None, seconds: int) -> None:
    clock = ManualClock()
    tools = ToolDispatcher(CompiledTools([weather(timeout=own)], {"get_weather": hang}), clock=clock)
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        await phone.request("c")
        await advance(clock, seconds - 1)
        assert phone.told == {}
        await advance(clock, 1)
        assert phone.told == {"c": {"error": f"Tool get_weather: no answer within {seconds} s"}}
    assert phone.calls["c"].duration_ms == seconds * 1000
    assert tools.counters == ToolCounters(calls=1, timeouts=1, rounds=1, mean_ms=seconds * 1000, max_ms=seconds * 1000)


async def test_waiting_for_a_place_counts_as_time() -> None:
    clock = ManualClock()
    tools = ToolDispatcher(CompiledTools([WEATHER], {"get_weather": hang}), limit=1, timeout=5, clock=clock)
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        await phone.request("a")
        await advance(clock, 2)
        await phone.request("b")
        await advance(clock, 3.5)
        assert list(phone.told) == ["a"]
        assert tools.cancel("b")
        await settle()
    assert phone.told["b"] == {"error": "Tool get_weather: cancelled: the model took the call back"}


async def test_a_sync_tool_runs_in_a_thread_of_its_own() -> None:
    release = threading.Event()

    def blocks() -> str:
        assert release.wait(10)
        return threading.current_thread().name

    answers: list[str] = []
    tools = ToolDispatcher(CompiledTools([blocks]))

    async def run() -> None:
        answers.append((await tools.run("c", "blocks", "{}")).result)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert answers != [threading.current_thread().name]


async def test_a_tool_cancelled_from_within_is_answered_too() -> None:
    async def stray(_: object) -> None:
        raise anyio.get_cancelled_exc_class()

    if anyio.get_cancelled_exc_class().__module__.startswith("trio"):  # where nobody can raise it
        return
    call = await ToolDispatcher(CompiledTools([WEATHER], {"get_weather": stray})).run("c", "get_weather", "{}")
    assert call.error == "Tool get_weather: stopped without an answer"


async def test_the_one_error_of_a_tools_task_group_is_told() -> None:
    async def grouped(_: object) -> None:
        async with anyio.create_task_group():
            raise ToolError("get_weather", "no such city")

    call = await ToolDispatcher(CompiledTools([WEATHER], {"get_weather": grouped})).run("c", "get_weather", "{}")
    assert call.error == "Tool get_weather: no such city"


async def test_a_failure_is_in_the_log_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: object) -> str:
        raise LookupError("no such city")

    await ToolDispatcher(CompiledTools([WEATHER], {"get_weather": fails})).run("c", "get_weather", "{}")
    (record,) = caplog.records
    assert record.exc_info
    assert "no such city" in caplog.text


async def test_cancelling_the_task_ends_the_tool_and_is_not_swallowed() -> None:
    ended: list[str] = []

    async def handler(_: object) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("ended")

    for policy in ("finish", "detach"):
        tools = ToolDispatcher(CompiledTools([weather(on_interruption=policy)], {"get_weather": handler}))
        async with anyio.create_task_group() as background:
            tools.start(background)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(tools.run, "c", "get_weather", "{}")
                    await settle()
                    scope.cancel()
            assert scope.cancelled_caught
        assert tools.counters.cancelled == 1
    assert ended == ["ended", "ended"]


async def test_no_more_run_at_once_than_the_limit() -> None:
    running: list[int] = []
    at_once: list[int] = []
    may_end = anyio.Event()

    async def handler(_: object) -> None:
        running.append(1)
        at_once.append(len(running))
        await may_end.wait()
        running.pop()

    tools = ToolDispatcher(CompiledTools([WEATHER], {"get_weather": handler}), limit=2)
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        for number in range(5):
            await phone.request(str(number))
        assert len(running) == 2
        may_end.set()
    assert len(phone.told) == 5
    assert max(at_once) == 2


async def test_a_sync_tool_past_its_time_is_left_to_its_thread() -> None:
    clock = ManualClock()
    release = threading.Event()

    def blocks(_: object) -> str:
        assert release.wait(10)
        return "too late"

    tools = ToolDispatcher(CompiledTools([WEATHER], {"get_weather": blocks}), clock=clock)
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        await phone.request("c")
        await advance(clock, 21)
        assert phone.told == {"c": {"error": "Tool get_weather: no answer within 20 s"}}
        release.set()
    assert tools.counters.timeouts == 1


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"timeout": float("inf")}, {"limit": 0}, {"max_rounds": 0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=next(iter(wrong))):
        ToolDispatcher(CompiledTools(), **wrong)


def test_tools_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="two tools called 'get_weather'"):
        CompiledTools([get_weather, WEATHER])
    with pytest.raises(InvalidConfig, match="its own handler"):
        CompiledTools([get_weather], {"get_weather": hang})
    with pytest.raises(InvalidConfig, match="not str"):
        CompiledTools(["get_weather"])  # type: ignore[list-item]
