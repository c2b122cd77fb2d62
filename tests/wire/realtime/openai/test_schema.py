"""Every field of a session and of a response, checked before it is sent."""

import json
from typing import Any

import pytest

from tests.oracles import strict_client_event
from trunkline.errors import InvalidConfig
from trunkline.wire.realtime.openai import commands as command
from trunkline.wire.realtime.openai.schema import check_response, check_session


def _session(path: str, value: Any) -> dict[str, Any]:
    """A session with one field."""
    told: Any = value
    for name in reversed(path.split(".")):
        told = {name: told}
    return {"type": "realtime", **told}


TOOL = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
MCP = {"type": "mcp", "server_label": "docs", "server_url": "https://x", "allowed_tools": ["a"]}

GOOD: list[tuple[str, Any]] = [
    ("output_modalities", ["text"]),
    ("instructions", ""),
    ("tools", []),
    ("tools", [TOOL, {**MCP, "require_approval": "never", "authorization": "a", "headers": {"X": "y"}}]),
    ("tool_choice", "required"),
    ("tool_choice", {"type": "mcp", "server_label": "docs", "name": "a"}),
    ("parallel_tool_calls", True),
    ("reasoning", {"effort": "xhigh"}),
    ("max_output_tokens", "inf"),
    ("max_output_tokens", 4096),
    ("prompt", {"id": "pmpt_1"}),
    ("truncation", {"type": "retention_ratio", "retention_ratio": 0}),
    ("tracing", None),
    ("tracing", "auto"),
    ("include", ["item.input_audio_transcription.logprobs"]),
    ("audio.input.transcription", None),
    ("audio.input.transcription", {"model": "m", "language": None, "languages": ["en"], "delay": "minimal"}),
    ("audio.input.noise_reduction", None),
    ("audio.input.noise_reduction", {"type": "near_field", "strength": 0.5}),
    ("audio.input.turn_detection", None),
    ("audio.input.turn_detection", {"type": "server_vad", "idle_timeout_ms": None}),
    ("audio.input.turn_detection", {"type": "semantic_vad", "eagerness": "high"}),
    ("audio.output.voice", {"id": "voice_1"}),
    ("audio.output.speed", 0.25),
    ("audio.output.format", {"type": "audio/pcm", "rate": 24000}),
]


@pytest.mark.parametrize(("path", "value"), GOOD)
def test_what_the_vendor_takes(path: str, value: Any) -> None:
    session = _session(path, value)
    check_session(session)
    strict_client_event(command.update_session(session))


BAD: list[tuple[str, Any, str]] = [
    ("colour", "red", "colour"),
    ("model", "gpt-realtime", "model"),
    ("modalities", ["text"], "modalities"),
    ("output_modalities", ["audio", "text"], "output_modalities"),
    ("output_modalities", ["video"], "output_modalities[0]"),
    ("output_modalities", "audio", "output_modalities"),
    ("instructions", None, "instructions"),
    ("tools", [{"type": "function"}], "tools[0].name"),
    ("tools", [{"type": "web"}], "tools[0].type"),
    ("tools", [{**TOOL, "strict": True}], "tools[0].strict"),
    ("tools", [{**MCP, "url": "x"}], "tools[0].url"),
    ("tools", ["f"], "tools[0]"),
    ("tools", [{**TOOL, "name": "check in"}], "tools[0].name"),
    ("tools", [{**TOOL, "name": "größe"}], "tools[0].name"),
    ("tools", [{**TOOL, "name": "n" * 65}], "tools[0].name"),
    ("tools", [{**TOOL, "name": "order.status"}], "tools[0].name"),
    ("tools", [{**TOOL, "name": "end\n"}], "tools[0].name"),
    ("tool_choice", "maybe", "tool_choice"),
    ("tool_choice", {"type": "function"}, "tool_choice.name"),
    ("parallel_tool_calls", 1, "parallel_tool_calls"),
    ("reasoning", {"effort": "some"}, "reasoning.effort"),
    ("max_output_tokens", 0, "max_output_tokens"),
    ("max_output_tokens", 4097, "max_output_tokens"),
    ("max_output_tokens", True, "max_output_tokens"),
    ("prompt", {"version": "1"}, "prompt.id"),
    ("truncation", "never", "truncation"),
    ("truncation", {"type": "retention_ratio", "retention_ratio": 1.1}, "truncation.retention_ratio"),
    ("tracing", {"name": "x"}, "tracing.name"),
    ("include", ["everything"], "include[0]"),
    ("audio", "loud", "audio"),
    ("audio.input.transcription", {"modell": "m"}, "audio.input.transcription.modell"),
    ("audio.input.transcription", {"languages": "en"}, "audio.input.transcription.languages"),
    ("audio.input.noise_reduction", {"type": "medium_field"}, "audio.input.noise_reduction.type"),
    ("audio.input.turn_detection", {"threshold": 0.5}, "audio.input.turn_detection.type"),
    ("audio.input.turn_detection", {"type": "server_vad", "threshold": 2}, "audio.input.turn_detection.threshold"),
    (
        "audio.input.turn_detection",
        {"type": "server_vad", "idle_timeout_ms": 4999},
        "audio.input.turn_detection.idle_timeout_ms",
    ),
    (
        "audio.input.turn_detection",
        {"type": "semantic_vad", "threshold": 0.5},
        "audio.input.turn_detection.threshold",
    ),
    ("audio.input.format", {"type": "audio/pcm"}, "audio.input.format.rate"),
    ("audio.input.format", {"type": "audio/pcm", "rate": 16000}, "audio.input.format.rate"),
    ("audio.input.format", {"type": "audio/opus"}, "audio.input.format.type"),
    ("audio.output.voice", "", "audio.output.voice"),
    ("audio.output.voice", {"name": "x"}, "audio.output.voice.name"),
    ("audio.output.speed", 0.2, "audio.output.speed"),
    ("audio.output.speed", 1.6, "audio.output.speed"),
    ("audio.output.speed", "fast", "audio.output.speed"),
]


@pytest.mark.parametrize(("path", "value", "named"), BAD, ids=[f"{path}={value}" for path, value, _ in BAD])
def test_what_it_does_not_take_is_named(path: str, value: Any, named: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        check_session(_session(path, value))
    assert caught.value.field == f"session.{named}"


def test_temperature_is_of_the_older_dialect_alone() -> None:
    check_session(_session("temperature", 0.8), flat=True)
    check_response({"temperature": 1.2}, flat=True)
    for value, beta in ((0.8, False), (0.5, True), (1.3, True)):
        with pytest.raises(InvalidConfig, match=r"session\.temperature"):
            check_session(_session("temperature", value), flat=beta)
        with pytest.raises(InvalidConfig, match=r"response\.temperature"):
            check_response({"temperature": value}, flat=beta)


def test_a_session_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"session\.type"):
        check_session({"type": "transcription"})


RESPONSES: list[dict[str, Any]] = [
    {},
    {"instructions": "Greet the caller.", "output_modalities": ["audio"]},
    {"conversation": "none", "metadata": {"topic": "summary"}, "input": []},
    {"input": [command.message_item("user", "Sum up.")]},
    {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": True, "reasoning": {"effort": "low"}},
    {"audio": {"output": {"voice": "cedar", "format": {"type": "audio/pcmu"}}}, "max_output_tokens": "inf"},
]


@pytest.mark.parametrize("response", RESPONSES, ids=json.dumps)
def test_what_one_answer_may_have_of_its_own(response: dict[str, Any]) -> None:
    check_response(response)
    strict_client_event(command.create_response(response))


def test_an_answer_may_refer_to_items() -> None:
    check_response({"input": [{"type": "item_reference", "id": "item_1"}]})  # which the SDK's types do not have


@pytest.mark.parametrize(
    ("response", "named"),
    [
        ({"voice": "alloy"}, "voice"),
        ({"truncation": "auto"}, "truncation"),
        ({"audio": {"input": {}}}, "audio.input"),
        ({"conversation": "mine"}, "conversation"),
        ({"input": ["hello"]}, "input[0]"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": {"a" * 65: "x"}}, "metadata." + "a" * 65),
        ({"metadata": {"a": "x" * 513}}, "metadata.a"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
    ],
)
def test_what_it_may_not(response: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        check_response(response)
    assert caught.value.field == f"response.{named}"
