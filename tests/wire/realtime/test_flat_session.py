"""Client events in the older dialect, judged by the official SDK's types of that dialect."""

import itertools
from typing import Any

import pytest

from tests.oracles import strict_beta_client_event
from trunkline.errors import InvalidConfig
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.realtime.flat_session import FIELDS, FORMATS, FlatShape
from trunkline.wire.realtime.openai import commands as command
from trunkline.wire.realtime.openai.options import SemanticVad, ServerVad, Transcription, session_object
from trunkline.wire.realtime.openai.session import PCM, PCMA, PCMU

HANG_UP = ToolDefinition("hang_up", "End the call.")


FLAT = FlatShape()


def flat_session(session: dict[str, Any]) -> dict[str, Any]:
    """The session, judged by the SDK."""
    flat = FLAT.session(session)
    strict_beta_client_event(command.update_session(flat))
    return flat


def test_the_session_is_flat() -> None:
    session = session_object(
        {
            "voice": "alloy",
            "instructions": "Be brief.",
            "speed": 1.1,
            "noise_reduction": "near_field",
            "transcription": Transcription(model="whisper-1", language="en"),
            "max_output_tokens": 99,
            "tool_choice": "auto",
            "tracing": "auto",
            "temperature": 0.7,
        },
        input_format=PCMU,
        output_format=PCMA,
        tools=[HANG_UP],
    )
    assert flat_session(session) == {
        "modalities": ["audio", "text"],
        "instructions": "Be brief.",
        "voice": "alloy",
        "speed": 1.1,
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "g711_alaw",
        "input_audio_transcription": {"model": "whisper-1", "language": "en"},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 500,
            "create_response": True,
            "interrupt_response": True,
        },
        "max_response_output_tokens": 99,
        "tool_choice": "auto",
        "tracing": "auto",
        "temperature": 0.7,
        "tools": [
            {
                "type": "function",
                "name": "hang_up",
                "description": "End the call.",
                "parameters": {"type": "object", "properties": {}},
            }
        ],
    }


def test_every_combination_is_what_the_sdk_knows() -> None:
    detections = [None, ServerVad(), SemanticVad(eagerness="low")]
    transcriptions = [None, "whisper-1"]
    modalities = [["audio"], ["text"]]
    for detection, transcription, wanted in itertools.product(detections, transcriptions, modalities):
        for hears, speaks in itertools.product((PCM, PCMU, PCMA), repeat=2):
            options: Any = {"turn_detection": detection, "transcription": transcription, "output_modalities": wanted}
            session = session_object(options, input_format=hears, output_format=speaks)
            told = flat_session(session)
            assert told["modalities"] == (["text"] if wanted == ["text"] else ["audio", "text"])
            assert (told["turn_detection"] is None) == (detection is None)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("reasoning_effort", "low", "reasoning"),
        ("truncation", "auto", "truncation"),
        ("parallel_tool_calls", True, "parallel_tool_calls"),
        ("prompt", {"id": "p"}, "prompt"),
        ("include", ["x"], "include"),
        ("voice", {"id": "voice_1"}, "audio.output.voice"),
        ("tool_choice", {"type": "function", "name": "f"}, "tool_choice"),
        ("turn_detection", ServerVad(idle_timeout_ms=6000), "audio.input.turn_detection.idle_timeout_ms"),
        ("transcription", Transcription(delay="low"), "audio.input.transcription.delay"),
    ],
)
def test_what_the_dialect_does_not_have_is_refused(field: str, value: Any, named: str) -> None:
    options: Any = {field: value}
    with pytest.raises(InvalidConfig, match="the older dialect") as caught:
        FLAT.session(session_object(options))
    assert caught.value.field == f"session.{named}"


def test_a_tool_of_another_kind_is_refused() -> None:
    session = {"type": "realtime", "tools": [{"type": "mcp", "server_label": "docs"}]}
    with pytest.raises(InvalidConfig, match="'mcp'"):
        FLAT.session(session)


def test_one_answers_own_settings_are_flat_too() -> None:
    response = {
        "instructions": "Greet.",
        "output_modalities": ["audio"],
        "audio": {"output": {"voice": "alloy", "format": {"type": "audio/pcm", "rate": 24000}}},
        "max_output_tokens": "inf",
        "conversation": "none",
        "metadata": {"a": "b"},
        "input": [command.message_item("assistant", "Yes.")],
    }
    flat = FLAT.response(response)
    strict_beta_client_event(command.create_response(flat))
    assert flat == {
        "instructions": "Greet.",
        "modalities": ["audio", "text"],
        "voice": "alloy",
        "output_audio_format": "pcm16",
        "max_response_output_tokens": "inf",
        "conversation": "none",
        "metadata": {"a": "b"},
        "input": [{"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Yes."}]}],
    }


def test_what_the_assistant_said_is_called_text() -> None:
    item = FLAT.item(command.message_item("assistant", "Yes."))
    strict_beta_client_event(command.create_item(item))
    assert item["content"] == [{"type": "text", "text": "Yes."}]
    assert FLAT.item(command.message_item("user", "Hm."))["content"][0]["type"] == "input_text"
    assert FLAT.item(command.function_output_item("call_1", "{}")) == command.function_output_item("call_1", "{}")


def test_another_vendors_flat_session_has_its_own_names_and_formats() -> None:
    shape = FlatShape({**FIELDS, "max_output_tokens": "max_tokens"}, {**FORMATS, "audio/pcm": "pcm"})
    flat = shape.session(session_object({"max_output_tokens": 9, "transcription": None, "turn_detection": None}))
    assert (flat["max_tokens"], flat["input_audio_format"]) == (9, "pcm")
    assert "max_response_output_tokens" not in flat
