"""Every tool call gets exactly one answer, whatever the tool does."""

import json
import threading
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from trunkline.clock import ManualClock
from trunkline.errors import InvalidConfig
from trunkline.tools import ToolDefinition, ToolDispatcher

WEATHER = ToolDefinition(
    "get_weather", "Weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}
)


def get_weather(city: str, days: int = 1) -> str:
    """Get the weather
    of a city.

    Args:
        city: Name of the city.
        days: How many days
            to look ahead.
    """
    return f"{city} {days}"


def test_a_plain_function_tells_its_schema() -> None:
    (definition,) = ToolDispatcher([get_weather]).definitions
    assert definition == ToolDefinition(
        "get_weather",
        "Get the weather of a city.",
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "city": {"type": "string", "description": "Name of the city."},
                "days": {"type": "integer", "default": 1, "description": "How many days to look ahead."},
            },
            "required": ["city"],
        },
    )


def test_parameters_may_be_json_text() -> None:
    assert ToolDefinition("t", "", '{"type": "object"}').schema == {"type": "object"}
    with pytest.raises(InvalidConfig, match="not JSON"):
        ToolDefinition("t", "", "{")
    with pytest.raises(InvalidConfig, match="needs a name"):
        ToolDefinition("")


def test_a_function_whose_arguments_have_no_names_is_refused() -> None:
    def anything(*words: str) -> str:
        return " ".join(words)

    with pytest.raises(InvalidConfig, match=r"\*words"):
        ToolDispatcher([anything])


def test_a_handler_without_its_tool_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="get_time"):
        ToolDispatcher([WEATHER], {"get_time": lambda _: ""})


async def test_a_plain_function_is_called_by_name_with_checked_arguments() -> None:
    tools = ToolDispatcher([get_weather])
    call = await tools.run("c1", "get_weather", '{"city": "London", "days": "3"}')
    assert (call.name, call.result, call.error) == ("get_weather", "London 3", "")
    assert call.arguments == {"city": "London", "days": "3"}


async def test_a_handler_gets_one_mapping() -> None:
    async def handler(arguments: dict[str, Any]) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return {"told": arguments["city"]}

    call = await ToolDispatcher([WEATHER], {"get_weather": handler}).run("c1", "get_weather", '{"city": "Rome"}')
    assert json.loads(call.result) == {"told": "Rome"}


async def test_on_function_call_gets_id_name_and_json_text() -> None:
    got: list[tuple[str, str, str]] = []

    def on_function_call(call_id: str, name: str, arguments: str) -> None:
        got.append((call_id, name, arguments))

    call = await ToolDispatcher([WEATHER], on_function_call=on_function_call).run("c7", "get_weather", '{"city":"X"}')
    assert got == [("c7", "get_weather", '{"city":"X"}')]
    assert call.result == "null"


@dataclass
class Report:
    sky: str


@pytest.mark.parametrize(
    ("value", "text"), [("as is", "as is"), (None, "null"), ([1, 2.5], "[1,2.5]"), (Report("grey"), '{"sky":"grey"}')]
)
async def test_results_of_any_json_type(value: object, text: str) -> None:
    call = await ToolDispatcher([WEATHER], {"get_weather": lambda _: value}).run("c", "get_weather", "{}")
    assert call.result == text


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("get_time", "{}", "Tool get_time not found"),
        ("get_weather", "{", "the arguments are not JSON"),
        ("get_weather", "[]", "the arguments are not a JSON object"),
        ("get_weather", "{}", "city: Field required"),
        ("get_weather", '{"city": "X", "town": 1}', "town: Extra inputs are not permitted"),
        ("fails", "{}", "no such city"),
        ("unspeakable", "{}", "cannot be written as JSON"),
    ],
)
async def test_a_failure_is_told_to_the_model_as_json(name: str, arguments: str, error: str) -> None:
    def fails() -> str:
        raise LookupError("no such city")

    def unspeakable() -> object:
        return object()

    call = await ToolDispatcher([get_weather, fails, unspeakable]).run("c", name, arguments)
    assert error in call.error
    assert json.loads(call.result) == {"error": call.error}


async def test_a_tool_that_hangs_is_timed_out() -> None:
    clock = ManualClock()
    answered: list[str] = []

    async def hangs(_: object) -> None:
        await anyio.sleep_forever()

    tools = ToolDispatcher([WEATHER], {"get_weather": hangs}, timeout=20, clock=clock)

    async def run() -> None:
        answered.append((await tools.run("c", "get_weather", "{}")).error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.advance(19.9)
        assert answered == []
        await clock.advance(0.2)
        assert answered == ["Tool get_weather: no answer within 20 s"]


async def test_a_sync_tool_runs_in_a_thread_of_its_own() -> None:
    release = threading.Event()

    def blocks() -> str:
        assert release.wait(10)
        return threading.current_thread().name

    answers: list[str] = []
    tools = ToolDispatcher([blocks])

    async def run() -> None:
        answers.append((await tools.run("c", "blocks", "{}")).result)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert answers != [threading.current_thread().name]
