"""What is sent to OpenAI Realtime: exact shapes, judged by the official SDK's types."""

import base64
import json
from typing import Any

import pytest

from tests.oracles import strict_client_event
from trunkline.wire.realtime.openai import commands as command

COMMANDS: list[tuple[str, dict[str, Any]]] = [
    (command.append_audio(b"\x00\x01\x02"), {"type": "input_audio_buffer.append", "audio": "AAEC"}),
    (command.commit_audio(), {"type": "input_audio_buffer.commit"}),
    (command.clear_audio(), {"type": "input_audio_buffer.clear"}),
    (
        command.create_item(command.message_item("user", "hé\n\U0001f600")),
        {
            "type": "conversation.item.create",
            "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hé\n\U0001f600"}]},
        },
    ),
    (
        command.create_item(command.message_item("assistant", "yes"), previous_item_id="root"),
        {
            "type": "conversation.item.create",
            "previous_item_id": "root",
            "item": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]},
        },
    ),
    (
        command.create_item(command.function_output_item("call_1", '{"a":1}')),
        {
            "type": "conversation.item.create",
            "item": {"type": "function_call_output", "call_id": "call_1", "output": '{"a":1}'},
        },
    ),
    (
        command.truncate_item("item_1", audio_end_ms=1500),
        {"type": "conversation.item.truncate", "item_id": "item_1", "content_index": 0, "audio_end_ms": 1500},
    ),
    (command.create_response(), {"type": "response.create"}),
    (
        command.create_response({"instructions": "Greet the caller."}, event_id="c-1"),
        {"type": "response.create", "event_id": "c-1", "response": {"instructions": "Greet the caller."}},
    ),
    (command.cancel_response(), {"type": "response.cancel"}),
    (command.cancel_response("resp_1"), {"type": "response.cancel", "response_id": "resp_1"}),
    (
        command.update_session({"type": "realtime", "instructions": ""}),
        {"type": "session.update", "session": {"type": "realtime", "instructions": ""}},
    ),
]


@pytest.mark.parametrize(
    ("text", "shape"), COMMANDS, ids=[f"{n}-{shape['type']}" for n, (_, shape) in enumerate(COMMANDS)]
)
def test_each_command_has_the_vendors_shape(text: str, shape: dict[str, Any]) -> None:
    assert json.loads(text) == shape
    strict_client_event(text)


@pytest.mark.parametrize("audio", [b"", b"\xff" * 160, bytes(range(256)) * 10, memoryview(b"abcd")])
def test_appended_audio_is_what_was_given(audio: bytes) -> None:
    assert base64.b64decode(json.loads(command.append_audio(audio))["audio"]) == bytes(audio)


def test_half_a_character_does_not_spoil_the_message() -> None:
    text = command.create_item(command.message_item("user", "a\ud83d \U0001f600"))
    assert json.loads(text.encode())["item"]["content"][0]["text"] == "a\ufffd \U0001f600"
