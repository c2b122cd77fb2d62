"""What went before, as items for OpenAI Realtime: exact shapes, judged by the official SDK's types."""

from typing import Any

import pytest

from tests.oracles import strict_client_event
from trunkline.conversation import HistoryItem
from trunkline.wire.realtime.openai.commands import create_item, history_item


def message(role: str, kind: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


@pytest.mark.parametrize(
    ("told", "item"),
    [
        (HistoryItem(role="user", text="hé"), message("user", "input_text", "hé")),
        (HistoryItem(role="agent", text="yes"), message("assistant", "output_text", "yes")),
        (HistoryItem(role="system", text="it rains"), message("system", "input_text", "it rains")),
        (
            HistoryItem(role="tool_call", call_id="call_1", name="weather", arguments='{"city":"Rome"}'),
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Rome"}'},
        ),
        (
            HistoryItem(role="tool_result", call_id="call_1", text="sunny"),
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ),
    ],
)
def test_every_kind_of_item(told: HistoryItem, item: dict[str, Any]) -> None:
    assert history_item(told) == item
    strict_client_event(create_item(item))
