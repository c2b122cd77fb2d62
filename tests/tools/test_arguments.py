"""Wrong arguments are told to the model, path by path, and never reach a handler."""

import json
import socket
import subprocess
import sys
from typing import Any

import pytest

from trunkline.errors import InvalidConfig
from trunkline.tools import CompiledTools, ToolDefinition, ToolDispatcher

ORDER = ToolDefinition(
    "order",
    "",
    {
        "type": "object",
        "properties": {
            "cake": {"enum": ["plum", "poppy"]},
            "pieces": {"type": "integer", "maximum": 12},
            "boxes": {"type": "array", "items": {"type": "object", "properties": {"label": {"type": "string"}}}},
            "code": {"type": "string", "pattern": "^(a+)+$"},
        },
        "required": ["cake"],
        "additionalProperties": False,
    },
)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("{}", '"cake" is a required property'),
        ('{"cake": "plum", "pieces": "3"}', 'pieces: the value is not of type "integer"'),
        ('{"cake": "apple"}', 'cake: the value is not one of "plum" or "poppy"'),
        ('{"cake": "plum", "boxes": [{}, {"label": 3}]}', 'boxes.1.label: the value is not of type "string"'),
        ('{"cake": "plum", "town": 1}', "Additional properties are not allowed ('town' was unexpected)"),
        (
            '{"cake": "a", "pieces": 13}',
            'cake: the value is not one of "plum" or "poppy"; pieces: the value is greater than the maximum of 12',
        ),
        ('{"cake": NaN}', "the arguments are not JSON"),
        ("[" * 5000, "the arguments are not JSON"),
        ('{"cake": "\\ud800"}', "the arguments are not JSON"),
        ("null", "the arguments are not a JSON object"),
    ],
)
async def test_what_is_wrong_is_told_with_its_path(arguments: str, error: str) -> None:
    ran: list[Any] = []
    call = await ToolDispatcher(CompiledTools([ORDER], {"order": ran.append})).run("c", "order", arguments)
    assert call.error.startswith(f"Tool order: {error}")
    assert json.loads(call.result) == {"error": call.error}
    assert ran == []


async def test_the_list_of_complaints_is_short() -> None:
    boxes = json.dumps({"cake": "plum", "boxes": [3] * 1000})
    call = await ToolDispatcher(CompiledTools([ORDER], {"order": lambda _: ""})).run("c", "order", boxes)
    assert call.error.endswith("; and 995 more")
    assert len(call.error) < 400


async def test_a_pattern_cannot_be_made_to_take_forever() -> None:
    arguments = json.dumps({"cake": "plum", "code": "a" * 5000 + "b"})
    call = await ToolDispatcher(CompiledTools([ORDER], {"order": lambda _: ""})).run("c", "order", arguments)
    assert call.error.startswith("Tool order: code: ")


async def test_right_arguments_reach_on_function_call_only() -> None:
    got: list[str] = []
    tools = ToolDispatcher(CompiledTools([ORDER], on_function_call=lambda *call: got.append(call[2])))
    await tools.run("a", "order", '{"cake": "apple"}')
    await tools.run("b", "order", '{"cake": "plum"}')
    assert got == ['{"cake": "plum"}']


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": "object", "properties": {"a": {"type": "nonsense"}}},
        {"properties": {"a": {"pattern": "("}}},
        {"required": "a"},
        {"properties": {"a": {"$ref": "#/$defs/missing"}}},
        {"properties": {"a": {"default": object()}}},
    ],
)
def test_a_schema_that_is_not_valid_is_refused_when_the_dispatcher_is_built(parameters: dict[str, Any]) -> None:
    definition = ToolDefinition("order", "", parameters)
    with pytest.raises(InvalidConfig, match="parameters: of tool 'order'"):
        CompiledTools([definition])


def test_a_schema_may_not_refer_to_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        with pytest.raises(InvalidConfig, match="parameters: of tool 'order'"):
            CompiledTools([ToolDefinition("order", "", {"properties": {"a": {"$ref": address}}})])
        with pytest.raises(BlockingIOError):
            server.accept()


def test_importing_tools_does_not_load_the_validator() -> None:
    program = "import sys, trunkline.tools; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert "trunkline.tools" in done.stdout
    assert "jsonschema_rs" not in done.stdout
