"""OpenAI's transcription sessions."""

import json

from tests.oracles import strict_client_event
from trunkline.audio import TWILIO
from trunkline.wire.stt.events import ErrorReported, Transcript
from trunkline.wire.stt.openai import TranscriptionCodec

EVENT = "conversation.item.input_audio_transcription"


def codec() -> TranscriptionCodec:
    made = TranscriptionCodec(TWILIO, transcription={"model": "gpt-live-transcribe", "language": "en"})
    made.receive('{"type":"session.updated","session":{}}')
    return made


def committed(item_id: str) -> str:
    return json.dumps({"type": "input_audio_buffer.committed", "item_id": item_id})


def completed(item_id: str, text: str) -> str:
    return json.dumps({"type": f"{EVENT}.completed", "item_id": item_id, "transcript": text})


def test_what_is_sent_is_what_the_sdk_knows() -> None:
    made = codec()
    assert made.is_ready
    for message in [*made.opening(), *made.audio(bytes(1600)), *made.finalize()]:
        strict_client_event(message)


def test_turns_that_are_completed_in_another_order_are_told_in_theirs() -> None:
    made = codec()
    made.receive(committed("one"))
    made.receive(committed("two"))
    assert made.receive(completed("two", "second")) == ()
    told = made.receive(completed("one", "first"))
    assert [(event.text, event.is_final) for event in told if isinstance(event, Transcript)] == [
        ("first", True),
        ("second", True),
    ]
    assert not made.owes_final


def test_deltas_append() -> None:
    made = codec()
    told = [
        made.receive(json.dumps({"type": f"{EVENT}.delta", "item_id": "i", "delta": delta})) for delta in ("Hel", "lo")
    ]
    assert [[event.text for event in events if isinstance(event, Transcript)] for events in told] == [
        ["Hel"],
        ["Hello"],
    ]


def test_a_turn_that_failed_holds_nothing_up() -> None:
    made = codec()
    made.receive(committed("one"))
    failed = {
        "type": f"{EVENT}.failed",
        "item_id": "one",
        "error": {"code": "audio_unintelligible", "message": "what?"},
    }
    (event,) = made.receive(json.dumps(failed))
    assert isinstance(event, ErrorReported)
    assert not event.fatal
    assert not made.owes_final


def test_flushed_turns_are_not_told_again() -> None:
    made = codec()
    made.receive(committed("one"))
    made.receive(json.dumps({"type": f"{EVENT}.delta", "item_id": "one", "delta": "Hel"}))
    assert [event.text for event in made.flush() if isinstance(event, Transcript)] == ["Hel"]
    assert made.receive(completed("one", "Hello")) == ()


def test_an_empty_commit_is_neither_sent_nor_an_error() -> None:
    made = codec()
    assert list(made.finalize()) == []
    made.audio(bytes(1600))
    made.finalize()
    error = {"type": "error", "error": {"code": "input_audio_buffer_commit_empty", "message": "too small"}}
    assert made.receive(json.dumps(error)) == ()
    assert not made.owes_final


def test_the_end_of_the_session_is_fatal_and_other_errors_are_not() -> None:
    made = codec()
    for code, fatal in (("session_expired", True), ("unknown_parameter", False)):
        (event,) = made.receive(json.dumps({"type": "error", "error": {"code": code, "message": "m"}}))
        assert isinstance(event, ErrorReported)
        assert event.fatal is fatal
