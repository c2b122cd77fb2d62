"""What `session.update` merges, fills in and refuses."""

from datetime import UTC, datetime
from typing import Any

import pytest

from trunkline.testing.openai.refusal import Refusal
from trunkline.testing.openai.settings import DEFAULT_INSTRUCTIONS, Settings


def settings(model: str = "gpt-realtime-2.1", kind: str = "realtime") -> Settings:
    return Settings(kind=kind, model=model, session_id="sess_1", expires_at=datetime(2026, 1, 1, tzinfo=UTC))


def update(told: Settings, **changes: Any) -> None:
    told.update({"type": "realtime", **changes}, spoken=False)


def test_the_session_begins_as_it_was_recorded() -> None:
    told = settings("gpt-realtime").wire
    assert list(told) == [
        "type",
        "object",
        "id",
        "model",
        "output_modalities",
        "instructions",
        "tools",
        "tool_choice",
        "max_output_tokens",
        "tracing",
        "truncation",
        "prompt",
        "expires_at",
        "audio",
        "include",
    ]
    assert told["audio"] == {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "idle_timeout_ms": None,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    }
    assert told["expires_at"] == 1767225600


def test_only_what_is_given_changes() -> None:
    told = settings()
    update(told, audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}})
    update(told, audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}})
    turns = told.hears["turn_detection"]
    assert (turns["threshold"], turns["silence_duration_ms"], turns["prefix_padding_ms"]) == (0.7, 300, 300)
    assert told.hears["format"] == {"type": "audio/pcm", "rate": 24000}


def test_another_kind_of_turn_detection_or_format_replaces_the_old() -> None:
    told = settings()
    update(told, audio={"input": {"turn_detection": {"type": "semantic_vad"}, "format": {"type": "audio/pcma"}}})
    assert told.hears["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    assert told.hears["format"] == {"type": "audio/pcma"}
    update(told, audio={"input": {"turn_detection": None}})
    assert told.hears["turn_detection"] is None


def test_transcription_is_echoed_whole_but_for_its_delay() -> None:
    told = settings()
    update(told, audio={"input": {"transcription": {"model": "gpt-realtime-whisper", "delay": "low"}}})
    update(told, audio={"input": {"transcription": {"language": "en"}}})
    assert told.hears["transcription"] == {"model": "gpt-realtime-whisper", "language": "en", "prompt": None}


def test_empty_instructions_bring_the_default_back() -> None:
    told = settings()
    update(told, instructions="Be brief.")
    assert told.wire["instructions"] == "Be brief."
    update(told, instructions="")
    assert told.wire["instructions"] == DEFAULT_INSTRUCTIONS


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({"temperature": 0.8}, "unknown_parameter", "session.temperature"),
        ({"audio": {"input": {"vad": {}}}}, "unknown_parameter", "session.audio.input.vad"),
        ({"tools": [{"type": "function", "function": {}}]}, "unknown_parameter", "session.tools[0].function"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        ({"tools": [{"type": "retrieval"}]}, "invalid_value", "session.tools[0].type"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"type": None}, "missing_required_parameter", "session.type"),
        ({"model": "gpt-realtime"}, "invalid_value", "session.model"),
        ({"output_modalities": ["text", "audio"]}, "invalid_value", "session.output_modalities"),
        ({"output_modalities": "audio"}, "invalid_value", "session.output_modalities"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
        ({"max_output_tokens": 4097}, "invalid_value", "session.max_output_tokens"),
        ({"max_output_tokens": "all"}, "invalid_value", "session.max_output_tokens"),
        ({"audio": {"output": {"speed": 1.6}}}, "invalid_value", "session.audio.output.speed"),
        ({"audio": {"output": {"voice": {}}}}, "missing_required_parameter", "session.audio.output.voice.id"),
        (
            {"audio": {"output": {"format": {"type": "audio/pcm"}}}},
            "missing_required_parameter",
            "session.audio.output.format.rate",
        ),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            "integer_below_min_value",
            "session.audio.input.format.rate",
        ),
        ({"audio": {"input": {"format": {"type": "g711_ulaw"}}}}, "invalid_value", "session.audio.input.format.type"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcmu", "rate": 8000}}}},
            "unknown_parameter",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.1}}}},
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": -1}}}},
            "integer_below_min_value",
            "session.audio.input.turn_detection.silence_duration_ms",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 30001}}}},
            "invalid_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "threshold": 0.5}}}},
            "unknown_parameter",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"transcription": {"model": "whisper-1", "delay": "none"}}}},
            "invalid_value",
            "session.audio.input.transcription.delay",
        ),
        (
            {"audio": {"input": {"transcription": {"language": "en"}}}},
            "missing_required_parameter",
            "session.audio.input.transcription.model",
        ),
    ],
)
def test_a_refused_update_names_the_field_and_changes_nothing(changes: dict[str, Any], code: str, param: str) -> None:
    told = settings()
    before = repr(told.wire)
    with pytest.raises(Refusal) as refused:
        update(told, instructions="Changed.", **changes)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert repr(told.wire) == before


def test_wording_of_refusals() -> None:
    with pytest.raises(Refusal) as refused:
        update(settings(), output_modalities=["audio", "text"])
    assert refused.value.message == (
        "Invalid modalities: ['audio', 'text']. Supported combinations are: ['text'] and ['audio']."
    )
    with pytest.raises(Refusal) as refused:
        update(settings(), modalities=[])
    assert refused.value.message == "Unknown parameter: 'session.modalities'."
    with pytest.raises(Refusal) as refused:
        update(settings(), tool_choice="bogus")
    assert refused.value.message == "Invalid value: 'bogus'. Supported values are: 'auto', 'none', 'required'."
