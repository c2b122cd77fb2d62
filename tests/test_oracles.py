"""The judges themselves: what they let through, and what not."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from tests.oracles import strict_client_event, strict_server_event


def test_a_misspelt_key_is_caught() -> None:
    output = {"voice": "marin"}
    update = {"type": "session.update", "session": {"type": "realtime", "audio": {"output": output}}}
    strict_client_event(json.dumps(update))
    output["voise"] = "marin"
    with pytest.raises(AssertionError, match=r"session\.audio\.output\.voise"):
        strict_client_event(json.dumps(update))


def test_a_missing_key_is_caught() -> None:
    with pytest.raises(ValidationError):
        strict_client_event('{"type":"conversation.item.truncate","item_id":"item_1","content_index":0}')


def _delta(kind: str, **more: Any) -> str:
    ids = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0, "delta": "AAAA"}
    return json.dumps({"type": kind, **ids, **more})


def test_what_the_real_service_adds_is_allowed_where_it_adds_it() -> None:
    strict_server_event(_delta("response.output_audio_transcript.delta", obfuscation="x9"))
    with pytest.raises(AssertionError, match="obfuscation"):
        strict_server_event(_delta("response.output_audio.delta", obfuscation="x9"))


def test_a_misspelt_key_from_the_server_is_caught() -> None:
    with pytest.raises(AssertionError, match="contentindex"):
        strict_server_event(_delta("response.output_audio.delta", contentindex=0))
    item = {
        "id": "i",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [],
        "phase": "final_answer",
    }
    strict_server_event(json.dumps({"type": "conversation.item.added", "event_id": "e", "item": item}))
    item["fase"] = "final_answer"
    with pytest.raises(AssertionError, match=r"item\.fase"):
        strict_server_event(json.dumps({"type": "conversation.item.added", "event_id": "e", "item": item}))
