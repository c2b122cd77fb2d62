"""The nested shape, from every way to write a tool."""

import pytest

from trunkline.errors import InvalidConfig
from trunkline.tools import Tool
from trunkline.wire.realtime.qwen.tools import tools_for_session

EMPTY = {"type": "object", "properties": {}}


def opening_hours(day: str) -> str:
    """When the shop is open."""
    return day


def test_each_tool_is_nested_and_has_a_schema() -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}}
    nested = tools_for_session(
        [
            Tool("transfer", "To a person", schema, timeout=3),
            {"name": "hang_up", "description": None, "parameters": ""},
            {"name": "", "description": "nameless"},
            {"description": "nameless too"},
            opening_hours,
        ]
    )
    assert nested is not None
    assert nested[:2] == [
        {"type": "function", "function": {"name": "transfer", "description": "To a person", "parameters": schema}},
        {"type": "function", "function": {"name": "hang_up", "description": "", "parameters": EMPTY}},
    ]
    assert [tool["function"]["name"] for tool in nested] == ["transfer", "hang_up", "opening_hours"]


def test_without_tools_there_is_nothing() -> None:
    assert tools_for_session([]) is None
    assert tools_for_session([{"name": ""}]) is None


def test_a_definition_that_is_not_valid_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="not JSON"):
        tools_for_session([{"name": "x", "parameters": "{"}])
