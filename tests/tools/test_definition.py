"""A definition is checked when it is made, and the vendor is told no more than it needs."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from trunkline.errors import InvalidConfig
from trunkline.tools import FunctionDeclaration, Tool, ToolDefinition, tools_for_session


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


def test_the_vendor_is_told_name_description_and_parameters() -> None:
    definition = ToolDefinition("t", "d", timeout=3, on_interruption="cancel", filler="Hm.", filler_after=1)
    (told,) = tools_for_session([definition]) or []
    assert set(told["function"]) == {"name", "description", "parameters"}
