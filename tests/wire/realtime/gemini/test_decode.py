"""What a server sends, read leniently."""

import json
from typing import Any

import pytest

from trunkline.errors import RemoteProtocolError
from trunkline.wire.realtime.gemini.decode import parse
from trunkline.wire.realtime.gemini.events import (
    AudioPiece,
    CallsCancelled,
    FunctionCall,
    GenerationComplete,
    GoAway,
    InputText,
    InterimInputText,
    Interrupted,
    OutputText,
    ResumptionUpdate,
    SetupComplete,
    TextPiece,
    ToolCalls,
    TurnComplete,
    Unreadable,
    UsageTold,
)
from trunkline.wire.realtime.usage import Usage

USAGE = {
    "promptTokenCount": 1197,
    "responseTokenCount": 37,
    "totalTokenCount": 1234,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1196}, {"modality": "AUDIO", "tokenCount": 1}],
    "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 37}],
    "thoughtsTokenCount": 28,
}


def content(**members: Any) -> str:
    return json.dumps({"serverContent": members})


def audio(data: str, kind: str = "audio/pcm;rate=24000") -> str:
    return content(modelTurn={"parts": [{"inlineData": {"mimeType": kind, "data": data}}]})


@pytest.mark.parametrize(
    ("message", "events"),
    [
        ('{"setupComplete":{}}', [SetupComplete()]),
        ('{"setupComplete":{"sessionId":"s"}}', [SetupComplete("s")]),
        (audio("AAE="), [AudioPiece(b"\0\1", 24000)]),
        (audio("AAE=", "audio/pcm"), [AudioPiece(b"\0\1", 24000)]),
        (audio("AAE=", "audio/pcm;rate=16000"), [AudioPiece(b"\0\1", 16000)]),
        (content(modelTurn={"parts": [{"text": "hm", "thought": True}, {"text": "Hi"}]}), [TextPiece("Hi")]),
        (content(modelTurn={"parts": [{"executableCode": {"code": "1"}}]}), []),
        (content(inputTranscription={"text": " Hello"}), [InputText(" Hello")]),
        (content(inputTranscription={"finished": True}), [InputText("", True)]),
        (content(interimInputTranscription={"text": "Hel"}), [InterimInputText("Hel")]),
        (content(interrupted=True), [Interrupted()]),
        (content(generationComplete=True), [GenerationComplete()]),
        (content(), []),
        (content(turnComplete=True, turnCompleteReason="NEED_MORE_INPUT"), [TurnComplete("NEED_MORE_INPUT")]),
        (content(interrupted=True, turnComplete=True), [Interrupted(), TurnComplete()]),
        (
            '{"toolCall":{"functionCalls":[{"id":"fc_1","name":"f","args":{"a":1}},{"name":"g"},{"id":"x"}]}}',
            [ToolCalls((FunctionCall("fc_1", "f", '{"a":1}'), FunctionCall("", "g", "{}")))],
        ),
        ('{"toolCallCancellation":{"ids":["fc_1",7]}}', [CallsCancelled(("fc_1",))]),
        ('{"sessionResumptionUpdate":{"newHandle":"h","resumable":true}}', [ResumptionUpdate("h")]),
        ('{"sessionResumptionUpdate":{}}', [ResumptionUpdate(None)]),
        ('{"sessionResumptionUpdate":{"newHandle":"h"}}', [ResumptionUpdate(None)]),
        ('{"goAway":{"timeLeft":"9.8s"}}', [GoAway(9.8)]),
        ('{"goAway":{"timeLeft":"soon"}}', [GoAway(0.0)]),
        ('{"interactionStatus":"IDLE","somethingNew":{}}', []),
        ('{"serverContent":7,"toolCall":[],"goAway":{"timeLeft":"50s"}}', [GoAway(50.0)]),
    ],
)
def test_message_becomes_events(message: str, events: list[object]) -> None:
    assert parse(message) == events
    assert parse(message.encode()) == events


def test_several_things_in_one_message_come_in_order() -> None:
    both = content(outputTranscription={"text": "It is"}, modelTurn={"parts": [{"inlineData": {"data": "AAE="}}]})
    assert parse(both) == [OutputText("It is"), AudioPiece(b"\0\1", 24000)]
    end = json.dumps({"serverContent": {"turnComplete": True}, "usageMetadata": USAGE})
    usage, complete = parse(end)
    assert complete == TurnComplete()
    assert isinstance(usage, UsageTold)


def test_usage_counts_thoughts_among_the_output_and_nothing_twice() -> None:
    (told,) = parse(json.dumps({"usageMetadata": USAGE}))
    assert told == UsageTold(
        Usage(
            input_tokens=1197,
            output_tokens=65,
            total_tokens=1234,
            input_text_tokens=1196,
            input_audio_tokens=1,
            output_audio_tokens=37,
            reasoning_tokens=28,
        )
    )
    (other,) = parse('{"usageMetadata":{"candidatesTokenCount":3,"promptTokensDetails":[{"modality":"TEXT"}]}}')
    assert other == UsageTold(Usage(output_tokens=3, total_tokens=3))


@pytest.mark.parametrize(
    ("data", "kind"), [("?", "audio/pcm"), ("AAE=", "image/png"), ("AAE=", "audio/pcm;rate=12345")]
)
def test_part_that_cannot_be_read_costs_nothing_but_itself(data: str, kind: str) -> None:
    message = json.loads(audio(data, kind))
    message["serverContent"]["turnComplete"] = True
    unreadable, complete = parse(json.dumps(message))
    assert isinstance(unreadable, Unreadable)
    assert complete == TurnComplete()


@pytest.mark.parametrize("message", ["", "[]", "{", b"\xff\xfe", "7"])
def test_what_is_no_object_is_refused(message: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="gemini"):
        parse(message)
