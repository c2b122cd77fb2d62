"""What is asked for and what the echo says, by the families of models."""

from typing import Any

import pytest

from trunkline.audio import AudioFormat
from trunkline.errors import InvalidConfig, RemoteProtocolError
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.realtime.qwen.schema import check_response, check_session
from trunkline.wire.realtime.qwen.session import (
    INPUT,
    OUTPUT,
    SessionOptions,
    TurnDetection,
    check_model,
    read_session,
    session_object,
)

NEWEST, NEW, OLD = "qwen3.8-omni-flash-realtime", "qwen3.5-omni-flash-realtime", "qwen3-omni-flash-realtime"
L8 = AudioFormat("linear16", 8000)
MULAW = AudioFormat("mulaw", 8000)


def wanted(model: str = NEW, options: SessionOptions | None = None, **more: Any) -> dict[str, Any]:
    session = session_object(options or {}, model=model, **more)
    check_session(session)
    check_model(session, model)
    return session


def test_the_session_is_flat_unless_something_else_is_asked_for() -> None:
    assert wanted(options={"voice": "Tina", "instructions": "Be brief.", "temperature": 0.5}) == {
        "modalities": ["text", "audio"],
        "voice": "Tina",
        "instructions": "Be brief.",
        "input_audio_format": "pcm16",
        "output_audio_format": "pcm16",
        "input_audio_transcription": {"model": "qwen3-asr-flash-realtime"},
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 800,
        },
        "temperature": 0.5,
    }


def test_the_voice_is_left_to_the_service_unless_it_is_named() -> None:
    assert "voice" not in wanted()


def test_the_newest_models_have_format_and_voice_in_audio() -> None:
    session = wanted(NEWEST, {"voice": "longanlingxin"})
    assert session["audio"] == {
        "input": {"format": {"type": "pcm", "sample_rate": 16000}},
        "output": {"format": {"type": "pcm", "sample_rate": 24000}, "voice": "longanlingxin"},
    }
    assert not {"voice", "input_audio_format", "output_audio_format"} & set(session)


@pytest.mark.parametrize("asked", [L8, MULAW, AudioFormat("alaw", 8000)])
def test_a_telephones_rate_is_asked_of_models_that_have_it(asked: AudioFormat) -> None:
    session = wanted(NEW, input_format=asked)
    assert session["audio"]["input"]["format"]["sample_rate"] == 8000
    assert session["audio"]["output"]["format"]["sample_rate"] == 24000
    assert "audio" not in wanted(OLD, input_format=asked)


def test_a_rate_that_no_model_has_is_no_reason_to_refuse() -> None:
    assert "audio" not in wanted(NEW, input_format=AudioFormat("linear16", 11025))


def test_turns_by_hand_and_no_transcripts_are_said_as_null() -> None:
    session = wanted(options={"turn_detection": None, "transcription": False})
    assert session["turn_detection"] is None
    assert session["input_audio_transcription"] is None


def test_tools_are_nested() -> None:
    (tool,) = wanted(tools=[ToolDefinition("hang_up", "End the call.")])["tools"]
    assert tool["function"]["name"] == "hang_up"


@pytest.mark.parametrize(
    ("model", "options", "field"),
    [
        (OLD, {"turn_detection": TurnDetection(type="semantic_vad")}, "session.turn_detection.type"),
        (NEW, {"turn_detection": TurnDetection(type="smart_turn")}, "session.turn_detection.type"),
        (NEW, {"modalities": ["audio"]}, "session.modalities"),
        (OLD, {"enable_search": True}, "session.enable_search"),
        (NEW, {"smooth_output": True}, "session.smooth_output"),
        (NEW, {"voice": ""}, "session.voice"),
        (NEW, {"temperature": 2.0}, "session.temperature"),
        (NEW, {"top_k": 101}, "session.top_k"),
    ],
)
def test_what_a_model_does_not_have_is_refused(model: str, options: Any, field: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        wanted(model, options)
    assert refused.value.field == field


def test_tools_and_web_search_exclude_each_other() -> None:
    tools = [ToolDefinition("hang_up")]
    with pytest.raises(InvalidConfig, match="enable_search"):
        wanted(NEW, {"enable_search": True}, tools=tools)
    with pytest.raises(InvalidConfig, match="no tools"):
        wanted(OLD, tools=tools)


@pytest.mark.parametrize("values", [{"threshold": 1.5}, {"silence_duration_ms": 100}, {"idle_timeout_ms": 1000}])
def test_turn_detection_out_of_range_is_refused(values: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"turn_detection\."):
        TurnDetection(**values)


def test_a_response_takes_instructions_and_modalities_only() -> None:
    check_response({"instructions": "Be kind.", "modalities": ["text"]})
    with pytest.raises(InvalidConfig, match="tool_choice"):
        check_response({"tool_choice": "none"})


# ── the echo ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["pcm", "pcm16", "pcm24"])
def test_the_rates_are_fixed_whatever_the_service_calls_the_format(name: str) -> None:
    info = read_session({"id": "sess_1", "input_audio_format": name, "output_audio_format": name})
    assert (info.input_format, info.output_format) == (INPUT, OUTPUT)


def test_the_nested_format_of_the_echo_holds() -> None:
    audio = {"input": {"format": {"type": "pcm", "sample_rate": 8000}}}
    info = read_session({"audio": audio, "output_audio_format": "pcm"})
    assert (info.input_format, info.output_format) == (L8, OUTPUT)


def test_turn_detection_that_is_left_out_is_off() -> None:
    off = read_session({"id": "sess_1"})
    assert (off.detects_turns, off.answers_turns, off.interrupts) == (False, False, False)
    on = read_session({"turn_detection": {"type": "server_vad", "interrupt_response": False}})
    assert (on.detects_turns, on.answers_turns, on.interrupts) == (True, True, False)


@pytest.mark.parametrize("format_", [{"type": "wav", "sample_rate": 8000}, {"type": "pcm", "sample_rate": -1}])
def test_a_format_that_cannot_be_read_is_an_error(format_: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError, match=r"session\.audio\.output\.format"):
        read_session({"audio": {"output": {"format": format_}}})
