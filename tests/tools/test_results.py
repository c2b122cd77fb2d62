"""Whatever a tool returns, the model is given text that can be sent."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from trunkline.errors import ToolError
from trunkline.tools.results import detached_text, error_text, result_text


class Sky(BaseModel):
    colour: str


@dataclass
class Report:
    sky: Sky


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as is", "as is"),
        ("", ""),
        (None, "null"),
        ([1, 2.5], "[1,2.5]"),
        (Sky(colour="grey"), '{"colour":"grey"}'),
        ({"at": Report(Sky(colour="grey"))}, '{"at":{"sky":{"colour":"grey"}}}'),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
        (float("nan"), "null"),
        ("half \ud83d", "half ?"),
    ],
)
def test_a_result_is_text_or_json(value: Any, text: str) -> None:
    assert result_text("t", value) == text


def test_what_is_not_json_is_a_tool_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (object(), b"\xff", endless, ["\ud83d"]):
        with pytest.raises(ToolError, match="Tool t: its result cannot be written as JSON"):
            result_text("t", value)


def test_errors_and_detached_calls_are_valid_json() -> None:
    assert json.loads(error_text('a "quoted"\nline')) == {"error": 'a "quoted"\nline'}
    assert json.loads(detached_text("t"))["status"] == "running"
