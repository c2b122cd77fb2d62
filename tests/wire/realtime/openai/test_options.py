"""The session that is asked for, out of options by their own names: exact shapes, judged by the official SDK's types."""

import itertools
from typing import Any

import pytest

from tests.oracles import strict_client_event
from trunkline.errors import InvalidConfig
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.realtime.openai import commands as command
from trunkline.wire.realtime.openai.options import (
    SemanticVad,
    ServerVad,
    SessionOptions,
    Transcription,
    refuse_unknown,
    session_object,
)
from trunkline.wire.realtime.openai.schema import check_session
from trunkline.wire.realtime.openai.session import PCM, PCMA, PCMU
from trunkline.wire.settings import merged

WEATHER = ToolDefinition("get_weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}})

FULL: SessionOptions = {
    "voice": {"id": "voice_1"},
    "instructions": "Be brief.",
    "speed": 1.25,
    "turn_detection": ServerVad(idle_timeout_ms=6000),
    "noise_reduction": "far_field",
    "transcription": Transcription(language="en", prompt="pizza", keywords=["margherita"], delay="low"),
    "max_output_tokens": 512,
    "output_modalities": ["text"],
    "tool_choice": {"type": "function", "name": "get_weather"},
    "parallel_tool_calls": False,
    "reasoning_effort": "minimal",
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 5000}},
    "tracing": {"workflow_name": "calls", "group_id": "g", "metadata": {"a": "b"}},
    "prompt": {"id": "pmpt_1", "version": "2", "variables": {"name": "Ada"}},
    "include": ["item.input_audio_transcription.logprobs"],
}


def test_every_option_has_its_place() -> None:
    session = session_object(FULL, input_format=PCMU, output_format=PCMA, tools=[WEATHER, ToolDefinition("hang_up")])
    strict_client_event(command.update_session(session))
    check_session(session)
    assert session == {
        "type": "realtime",
        "output_modalities": ["text"],
        "instructions": "Be brief.",
        "max_output_tokens": 512,
        "tool_choice": {"type": "function", "name": "get_weather"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "minimal"},
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 5000}},
        "tracing": {"workflow_name": "calls", "group_id": "g", "metadata": {"a": "b"}},
        "prompt": {"id": "pmpt_1", "version": "2", "variables": {"name": "Ada"}},
        "include": ["item.input_audio_transcription.logprobs"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {
                    "model": "gpt-realtime-whisper",
                    "language": "en",
                    "prompt": "pizza",
                    "keywords": ["margherita"],
                    "delay": "low",
                },
                "noise_reduction": {"type": "far_field"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "create_response": True,
                    "interrupt_response": True,
                    "idle_timeout_ms": 6000,
                },
            },
            "output": {"format": {"type": "audio/pcma"}, "voice": {"id": "voice_1"}, "speed": 1.25},
        },
        "tools": [
            {
                "type": "function",
                "name": "get_weather",
                "description": "The weather.",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            },
            {
                "type": "function",
                "name": "hang_up",
                "description": "",
                "parameters": {"type": "object", "properties": {}},
            },
        ],
    }


def test_what_is_off_is_said_to_be_off_and_what_is_none_is_left_out() -> None:
    nothing: Any = dict.fromkeys(SessionOptions.__annotations__)
    nothing |= {"voice": "alloy", "output_modalities": ["audio"]}
    session = session_object(nothing)
    strict_client_event(command.update_session(session))
    check_session(session)
    assert session == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transcription": None, "turn_detection": None},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"},
        },
    }


CHOICES: dict[str, list[Any]] = {
    "turn_detection": [
        None,
        ServerVad(create_response=False, interrupt_response=False, threshold=1, prefix_padding_ms=0),
        ServerVad(idle_timeout_ms=30_000, silence_duration_ms=0),
        SemanticVad(),
        SemanticVad(eagerness="low", create_response=False, interrupt_response=False),
    ],
    "transcription": [None, "whisper-1", Transcription(), Transcription(languages=["en", "de"])],
    "noise_reduction": [None, "near_field"],
    "tool_choice": ["none", "required", {"type": "mcp", "server_label": "docs"}],
    "truncation": [None, "auto", "disabled"],
    "tracing": [None, "auto"],
    "speed": [None, 0.25, 1],
}


def test_every_combination_is_what_the_sdk_knows() -> None:
    formats = itertools.cycle(itertools.product((PCM, PCMU, PCMA), repeat=2))
    for chosen in itertools.product(*CHOICES.values()):
        options: Any = dict(zip(CHOICES, chosen, strict=True))
        hears, speaks = next(formats)
        session = session_object(options, input_format=hears, output_format=speaks, tools=[WEATHER])
        check_session(session)
        strict_client_event(command.update_session(session))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 1.1),
        ("threshold", -0.1),
        ("prefix_padding_ms", -1),
        ("silence_duration_ms", -1),
        ("idle_timeout_ms", 4999),
        ("idle_timeout_ms", 30001),
    ],
)
def test_turn_detection_out_of_range_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidConfig, match=field):
        ServerVad(**{field: value})


def test_an_unknown_eagerness_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="eagerness"):
        SemanticVad(eagerness="keen")  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["turn_detection", "transcription"])
def test_an_option_of_another_kind_is_refused(field: str) -> None:
    options: Any = {field: {"type": "server_vad"}}
    with pytest.raises(InvalidConfig, match=field):
        session_object(options)


def test_an_unknown_option_is_refused_by_name() -> None:
    refuse_unknown(SessionOptions.__annotations__)
    with pytest.raises(InvalidConfig, match=r"voize: there is no such option; .* voice"):
        refuse_unknown(["voice", "voize"])


def test_merging_replaces_an_object_of_another_type() -> None:
    base = {"a": {"type": "x", "one": 1, "two": 2}, "b": 1}
    assert merged(base, {"a": {"two": 3}}) == {"a": {"type": "x", "one": 1, "two": 3}, "b": 1}
    assert merged(base, {"a": {"type": "y"}, "b": None}) == {"a": {"type": "y"}, "b": None}
    assert base == {"a": {"type": "x", "one": 1, "two": 2}, "b": 1}
