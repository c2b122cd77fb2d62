import pytest
from pydantic import ValidationError

from tests.testing.strictness import strict_server_event

DELTA = {
    "type": "response.output_text.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hi",
}


def test_what_the_service_sends_passes() -> None:
    strict_server_event(DELTA)
    strict_server_event(DELTA | {"obfuscation": "aB3"})


def test_a_misspelt_key_is_caught_at_any_depth() -> None:
    with pytest.raises(AssertionError, match="obfuscatoin"):
        strict_server_event(DELTA | {"obfuscatoin": "aB3"})
    session = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "treshold": 0.5}}}}
    with pytest.raises(AssertionError, match=r"session\.audio\.input\.turn_detection\.treshold"):
        strict_server_event({"type": "session.updated", "event_id": "event_1", "session": session})


def test_padding_of_audio_is_caught() -> None:
    with pytest.raises(AssertionError, match="obfuscation"):
        strict_server_event(DELTA | {"type": "response.output_audio.delta", "obfuscation": "aB3"})


def test_a_missing_id_is_caught() -> None:
    with pytest.raises(ValidationError):
        strict_server_event({name: value for name, value in DELTA.items() if name != "item_id"})
