"""A definition is checked when it is made, and the vendor is told no more than it needs."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from pydantic import BaseModel

from trunkline.errors import InvalidConfig
from trunkline.tools import CompiledTools, FunctionDeclaration, Tool, ToolDefinition, tool


def test_second_names_are_the_same_class() -> None:
    assert FunctionDeclaration is Tool is ToolDefinition


def test_parameters_may_be_json_text() -> None:
    assert ToolDefinition("t", "", '{"type": "object"}').schema == {"type": "object"}
    assert ToolDefinition("t", "", "null").schema == ToolDefinition("t").schema == {"type": "object", "properties": {}}
    with pytest.raises(InvalidConfig, match="not JSON"):
        ToolDefinition("t", "", "{")


@pytest.mark.parametrize("parameters", ["[]", "3", [], 3, {"type": "string"}, {"type": ["object", "null"]}])
def test_parameters_that_are_no_object_schema_are_refused(parameters: Any) -> None:
    with pytest.raises(InvalidConfig, match="object"):
        ToolDefinition("t", "", parameters)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("timeout", 0),
        ("timeout", -1.0),
        ("timeout", float("inf")),
        ("timeout", float("nan")),
        ("timeout", True),
        ("timeout", "3"),
        ("on_interruption", "stop"),
        ("filler", None),
        ("filler_after", 0),
        ("filler_after", None),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidConfig) as refused:
        ToolDefinition(**{"name": "t", field: value})
    assert refused.value.field == field


def test_options_are_keywords_only() -> None:
    with pytest.raises(TypeError):
        ToolDefinition("t", "", None, 3.0)  # type: ignore[call-arg]


def test_a_definition_survives_json() -> None:
    definition = ToolDefinition("t", "d", {"type": "object"}, timeout=3, on_interruption="detach", filler="Hm.")
    assert ToolDefinition(**json.loads(json.dumps(asdict(definition)))) == definition


def test_json_form_has_what_differs_from_the_defaults() -> None:
    bare = ToolDefinition("t")
    assert bare.to_json() == {"name": "t", "description": "", "parameters": {"type": "object", "properties": {}}}
    full = ToolDefinition(
        "t", "d", {"type": "object"}, timeout=3, on_interruption="detach", filler="Hm.", filler_after=1
    )
    assert ToolDefinition.from_json(json.loads(json.dumps(full.to_json()))) == full
    assert ToolDefinition.from_json({"name": "t", "description": None, "parameters": ""}) == bare
    with pytest.raises(InvalidConfig, match="a tool has no 'strict'"):
        ToolDefinition.from_json({"name": "t", "strict": True})


def named(name: str) -> Any:
    def function() -> None: ...

    function.__name__ = name
    return function


@pytest.mark.parametrize(
    "name", ["check in", "order.status", "größe", "room:book", "é", "n" * 65, "", "a\n", "٣", None, 3]
)
def test_name_that_a_vendor_would_refuse_is_refused_whichever_way_it_came(name: Any) -> None:
    with pytest.raises(InvalidConfig) as refused:
        ToolDefinition(name)
    assert (refused.value.field, repr(name) in str(refused.value)) == ("name", True)
    with pytest.raises(InvalidConfig):
        ToolDefinition.from_json({"name": name})
    if not isinstance(name, str) or not name:
        return
    for source in (named(name), tool(name=name)(named("fine")), type(name, (BaseModel,), {"__annotations__": {}})):
        with pytest.raises(InvalidConfig, match="name"):
            CompiledTools([source])


@pytest.mark.parametrize("name", ["a", "Book_table-2", "n" * 64, "_", "0"])
def test_name_that_vendors_take_is_taken(name: str) -> None:
    assert CompiledTools([ToolDefinition(name), tool(name=f"{name[:-1]}x")(named("größe"))]).definitions[0].name == name
