"""What a client sends, judged by the official SDK's types."""

import json
from typing import Any

import pytest

from tests.oracles import strict_gemini_client_message
from trunkline.conversation import HistoryItem
from trunkline.errors import InvalidConfig
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.realtime.gemini import commands as command
from trunkline.wire.realtime.gemini.schema import check_setup
from trunkline.wire.realtime.gemini.setup import (
    AutomaticActivity,
    ContextCompression,
    SessionOptions,
    setup_object,
    takes_history,
    waits_for_tools,
)

EVERYTHING: SessionOptions = {
    "voice": "Kore",
    "language": "en-US",
    "instructions": "Be brief.",
    "modality": "audio",
    "temperature": 0.7,
    "top_p": 0.95,
    "top_k": 40,
    "max_output_tokens": 1024,
    "seed": 1,
    "thinking_budget": 0,
    "thinking_level": "low",
    "affective_dialog": True,
    "proactive_audio": True,
    "turn_detection": AutomaticActivity(
        start_sensitivity="high", end_sensitivity="low", prefix_padding_ms=20, silence_duration_ms=100
    ),
    "interrupts": False,
    "turn_coverage": "TURN_INCLUDES_ONLY_ACTIVITY",
    "transcription": {"languageCodes": ["en-US"], "mode": "SMART"},
    "compression": ContextCompression(trigger_tokens=100000, target_tokens=50000),
    "resumption": True,
    "tool_behavior": "non_blocking",
}
TOOL = ToolDefinition("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})


@pytest.mark.parametrize(
    "options", [EVERYTHING, {}, {"turn_detection": None, "transcription": False, "compression": None}]
)
def test_setup_is_what_the_protocol_takes(options: SessionOptions) -> None:
    setup = setup_object("gemini-3.8-live", options, tools=[TOOL, ToolDefinition("ping")])
    check_setup(setup)
    strict_gemini_client_message(command.setup(setup))
    assert setup["model"] == "models/gemini-3.8-live"


def test_setup_says_what_was_asked_for() -> None:
    setup = setup_object("models/x", EVERYTHING, tools=[TOOL])
    assert setup["generationConfig"]["speechConfig"] == {
        "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}},
        "languageCode": "en-US",
    }
    assert setup["realtimeInputConfig"] == {
        "automaticActivityDetection": {
            "startOfSpeechSensitivity": "START_SENSITIVITY_HIGH",
            "endOfSpeechSensitivity": "END_SENSITIVITY_LOW",
            "prefixPaddingMs": 20,
            "silenceDurationMs": 100,
        },
        "activityHandling": "NO_INTERRUPTION",
        "turnCoverage": "TURN_INCLUDES_ONLY_ACTIVITY",
    }
    (function,) = setup["tools"][0]["functionDeclarations"]
    assert function["behavior"] == "NON_BLOCKING"
    assert function["parametersJsonSchema"] == TOOL.schema
    assert setup["contextWindowCompression"] == {"triggerTokens": 100000, "slidingWindow": {"targetTokens": 50000}}


def test_turns_by_hand_do_not_interrupt_unless_asked_to() -> None:
    by_hand = setup_object("m", {"turn_detection": None})["realtimeInputConfig"]
    assert by_hand == {"automaticActivityDetection": {"disabled": True}, "activityHandling": "NO_INTERRUPTION"}
    pushed = setup_object("m", {"turn_detection": None, "interrupts": True})["realtimeInputConfig"]
    assert pushed["activityHandling"] == "START_OF_ACTIVITY_INTERRUPTS"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"speed": 1}, "setup.speed"),
        ({"generationConfig": {"topP": 2}}, "setup.generationConfig.topP"),
        ({"generationConfig": {"responseModalities": ["AUDIO", "TEXT"]}}, "setup.generationConfig.responseModalities"),
        ({"tools": [{"functionDeclarations": [{"name": "7up"}]}]}, "setup.tools[0].functionDeclarations[0].name"),
    ],
)
def test_setup_with_what_the_vendor_does_not_have_is_refused(more: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        check_setup({"model": "models/x", **more})
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (
            command.send_audio(b"\xff\xfe\xfb\0", 16000),
            {"audio": {"data": "//77AA==", "mimeType": "audio/pcm;rate=16000"}},
        ),
        (command.begin_activity(), {"activityStart": {}}),
        (command.end_activity(), {"activityEnd": {}}),
        (command.send_text("hi"), {"text": "hi"}),
        (command.add_turns([], complete=True), {"turnComplete": True}),
        (
            command.add_turns([command.content("user", "a", "b")], complete=False),
            {"turns": [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]},
        ),
        (
            command.update_instructions("Be brief."),
            {"systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]}},
        ),
    ],
)
def test_message_is_what_the_protocol_takes(message: str, body: dict[str, Any]) -> None:
    strict_gemini_client_message(message)
    assert next(iter(json.loads(message).values())) == body


def test_tool_result_says_whether_it_is_an_error() -> None:
    for text, response in (
        ("rain", {"output": "rain"}),
        ('{"sky":"rain"}', {"output": '{"sky":"rain"}'}),
        ('{"error":"no"}', {"error": '{"error":"no"}'}),
    ):
        assert command.response_object(text) == response
    message = command.answer_call("fc_1", "f", {"output": "x"}, scheduling="WHEN_IDLE", will_continue=True)
    strict_gemini_client_message(message)


def test_history_is_told_in_turns_and_tools_in_words() -> None:
    turns = command.history_turns(
        [
            HistoryItem(role="user", text="My name is Ann."),
            HistoryItem(role="agent", text="Hello, Ann."),
            HistoryItem(role="tool_call", call_id="c", name="weather", arguments='{"city": "Cardiff"}'),
            HistoryItem(role="tool_result", call_id="c", text="rain"),
            HistoryItem(role="system", text="Ann is a member."),
        ]
    )
    assert [turn["role"] for turn in turns] == ["user", "model", "user"]
    assert [part["text"] for part in turns[2]["parts"]] == [
        '(The tool weather was called with {"city": "Cardiff"}.)',
        "(The tool weather gave: rain)",
        "(Note: Ann is a member.)",
    ]
    strict_gemini_client_message(command.add_turns(turns, complete=True))


def test_models_of_different_times_differ() -> None:
    assert [takes_history(m) for m in ("gemini-3.8-live", "models/gemini-2.5-flash-native-audio-latest")] == [
        True,
        False,
    ]
    assert [waits_for_tools(m, None) for m in ("gemini-3.8-live", "gemini-3.1-flash-live-preview")] == [False, True]
    assert waits_for_tools("gemini-3.8-live", "blocking")
