"""Functions and models become tools without anything being written twice."""

import functools
import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from trunkline.errors import InvalidConfig
from trunkline.tools import CompiledTools, ToolDefinition, ToolDispatcher, definition_of, tool


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
    (definition,) = CompiledTools([get_weather]).definitions
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


def test_the_decorator_gives_options_and_leaves_the_function_what_it_is() -> None:
    @tool(name="weather", timeout=5, on_interruption="cancel", filler="One moment.", filler_after=1)
    def decorated(city: str) -> str:
        """The weather."""
        return city

    assert decorated("Rome") == "Rome"
    definition = definition_of(decorated)
    assert (definition.name, definition.description) == ("weather", "The weather.")
    assert (definition.timeout, definition.on_interruption) == (5, "cancel")
    assert (definition.filler, definition.filler_after) == ("One moment.", 1)


async def test_a_renamed_function_is_called_by_its_new_name() -> None:
    @tool(name="weather", description="Rain or not.")
    async def get_it(city: str) -> str:
        return f"{city}: rain"

    compiled = CompiledTools([get_it])
    tools = ToolDispatcher(compiled)
    assert compiled.definitions[0].description == "Rain or not."
    assert (await tools.run("c", "weather", '{"city": "Rome"}')).result == "Rome: rain"
    assert (await tools.run("d", "get_it", "{}")).error == "Tool get_it not found"


def test_an_option_out_of_range_is_refused_when_the_function_becomes_a_tool() -> None:
    @tool(timeout=-1)
    def decorated() -> None: ...

    with pytest.raises(InvalidConfig, match="decorated"):
        CompiledTools([decorated])


async def test_a_method_is_a_tool_without_its_self() -> None:
    class Shop:
        @tool(filler="Hm.")
        def price(self, cake: Literal["plum", "poppy"]) -> float:
            """What a cake costs."""
            return 3.5 if cake == "plum" else 4

    compiled = CompiledTools([Shop().price])
    tools = ToolDispatcher(compiled)
    assert list(compiled.definitions[0].schema["properties"]) == ["cake"]
    assert compiled.definitions[0].filler == "Hm."
    assert (await tools.run("c", "price", '{"cake": "plum"}')).result == "3.5"


async def test_arguments_may_have_any_name_and_their_own_description() -> None:
    def search(json: str, model_x: Annotated[int, Field(description="how many", ge=1)], _lang: str = "en") -> list[Any]:
        return [json, model_x, _lang]

    compiled = CompiledTools([search])
    tools = ToolDispatcher(compiled)
    properties = compiled.definitions[0].schema["properties"]
    assert list(properties) == ["json", "model_x", "_lang"]
    assert properties["model_x"] == {"type": "integer", "minimum": 1, "description": "how many"}
    call = await tools.run("c", "search", '{"json": "q", "model_x": 2}')
    assert json.loads(call.result) == ["q", 2, "en"]


class Visit(BaseModel):
    day: str
    seats: int = 2


async def test_an_argument_may_be_a_model() -> None:
    def plan(visit: Visit) -> str:
        return f"{visit.day} {visit.seats}"

    call = await ToolDispatcher(CompiledTools([plan])).run("c", "plan", '{"visit": {"day": "Monday"}}')
    assert call.result == "Monday 2"


def test_what_cannot_be_a_tool_is_refused_with_its_name() -> None:
    def anything(*words: str) -> str:
        return " ".join(words)

    def foreign(what: object, which: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    class Opaque: ...

    def opaque(what: Opaque) -> None: ...

    for source, message in (
        (anything, r"\*words"),
        (foreign, "Nowhere"),
        (opaque, r"opaque\(\)"),
        (lambda: None, "no name"),
        (functools.partial(get_weather, "Rome"), "no name"),
    ):
        with pytest.raises(InvalidConfig, match=message):
            CompiledTools([source])


# ── pydantic models ──────────────────────────────────────────────────────────────────────────────────────────────────


@tool(timeout=5)
class BookTable(BaseModel):
    """Book a table
    in the restaurant.

    Not told to the model.
    """

    model_config = ConfigDict(extra="forbid")
    guests: int = Field(ge=1, le=12, description="How many people.")
    visit: Visit


class Bare(BookTable):
    pass


def test_a_model_tells_its_schema() -> None:
    definition = definition_of(BookTable)
    assert (definition.name, definition.description) == ("BookTable", "Book a table in the restaurant.")
    assert definition.schema["required"] == ["guests", "visit"]
    assert definition.schema["properties"]["guests"]["maximum"] == 12
    assert {"title", "description"}.isdisjoint(definition.schema)
    assert definition.timeout == 5


def test_a_model_inherits_neither_options_nor_words() -> None:
    definition = definition_of(Bare)
    assert (definition.name, definition.description, definition.timeout) == ("Bare", "", None)


async def test_a_models_handler_gets_the_instance() -> None:
    got: list[BookTable] = []
    tools = ToolDispatcher(CompiledTools([BookTable], {"BookTable": got.append}))
    await tools.run("c", "BookTable", '{"guests": 3, "visit": {"day": "Monday"}}')
    assert got == [BookTable(guests=3, visit=Visit(day="Monday"))]
    call = await tools.run("d", "BookTable", '{"guests": 30, "visit": {}}')
    assert call.error == ("Tool BookTable: guests: Input should be less than or equal to 12; visit.day: Field required")
    assert len(got) == 1
