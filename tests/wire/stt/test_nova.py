"""Deepgram Nova's messages: how stretches become utterances."""

import json
from typing import Any

import pytest

from trunkline.audio import TWILIO
from trunkline.errors import RemoteProtocolError
from trunkline.wire.stt.deepgram.nova import NovaCodec
from trunkline.wire.stt.events import ErrorReported, SpeechStarted, SpeechStopped, Transcript


def results(text: str, start: float, duration: float, **flags: Any) -> str:
    words = [{"word": word, "start": start, "end": start + duration, "confidence": 0.9} for word in text.split()]
    channel = {"alternatives": [{"transcript": text, "confidence": 0.9, "words": words}]}
    return json.dumps({"type": "Results", "start": start, "duration": duration, "channel": channel, **flags})


def texts(events: Any) -> list[tuple[str, bool]]:
    return [(event.text, event.is_final) for event in events if isinstance(event, Transcript)]


def test_stretches_are_put_together_until_the_pause() -> None:
    codec = NovaCodec(TWILIO)
    assert texts(codec.receive(results("i need", 0.0, 1.1, is_final=False))) == [("i need", False)]
    assert texts(codec.receive(results("i need a refund", 0.0, 1.9, is_final=True))) == [("i need a refund", False)]
    (partial,) = codec.receive(results("for", 1.9, 0.4, is_final=False))
    assert isinstance(partial, Transcript)
    assert (partial.text, partial.stable) == ("i need a refund for", len("i need a refund"))
    (final,) = codec.receive(results("for my order", 1.9, 0.9, is_final=True, speech_final=True))
    assert final == Transcript(
        text="i need a refund for my order", is_final=True, confidence=0.9, start_ms=0, end_ms=2800
    )


def test_an_utterance_end_after_the_pause_is_nothing_new() -> None:
    codec = NovaCodec(TWILIO)
    codec.receive(results("hello", 0.0, 1.0, is_final=True, speech_final=True))
    assert codec.receive('{"type":"UtteranceEnd","channel":[0,1],"last_word_end":1.0}') == []


def test_an_utterance_end_in_noise_ends_the_utterance() -> None:
    codec = NovaCodec(TWILIO)
    codec.receive(results("hello", 0.0, 1.0, is_final=True))
    assert texts(codec.receive('{"type":"UtteranceEnd","channel":[0,1],"last_word_end":1.0}')) == [("hello", True)]


def test_speech_that_is_told_twice_began_once() -> None:
    codec = NovaCodec(TWILIO)
    assert codec.receive('{"type":"SpeechStarted","channel":[0],"timestamp":0.42}') == [SpeechStarted(420)]
    assert codec.receive('{"type":"SpeechStarted","channel":[0,1],"timestamp":0.5}') == ()


def test_noise_without_words_stops_being_speech() -> None:
    codec = NovaCodec(TWILIO)
    codec.receive('{"type":"SpeechStarted","timestamp":0.4}')
    assert codec.receive(results("", 0.0, 1.0)) == ()
    assert codec.receive(results("", 1.0, 1.0)) == [SpeechStopped(2000)]


def test_flushed_words_are_not_told_again() -> None:
    codec = NovaCodec(TWILIO)
    codec.audio(bytes(8000))
    codec.finalize()
    codec.receive(results("hello", 0.0, 1.0))
    assert codec.owes_final
    assert texts(codec.flush()) == [("hello", True)]
    assert not codec.owes_final
    assert codec.receive(results("hello", 0.0, 1.0, is_final=True, from_finalize=True)) == []
    assert texts(codec.receive(results("again", 1.0, 1.0, is_final=True, speech_final=True))) == [("again", True)]


def test_an_empty_message_is_never_sent() -> None:
    assert list(NovaCodec(TWILIO).audio(b"")) == []


def test_an_error_ends_the_session_with_its_code() -> None:
    (event,) = NovaCodec(TWILIO).receive('{"type":"Error","variant":"SchemaError","description":"no such thing"}')
    assert isinstance(event, ErrorReported)
    assert event.fatal
    assert str(event.error) == "[SchemaError] no such thing"


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"Results"}',
        '{"type":"Results","channel":[],"start":"x","duration":null}',
        '{"type":"Results","channel":{"alternatives":[{"transcript":7,"words":{}}]},"is_final":"yes"}',
        '{"type":"Metadata","request_id":"r"}',
        '{"type":"SomethingNew"}',
        "{}",
    ],
)
def test_odd_members_cost_nothing(message: str) -> None:
    codec = NovaCodec(TWILIO)
    codec.receive(message)
    assert texts(codec.receive(results("hello", 0.0, 1.0, speech_final=True)))[-1] == ("hello", True)


@pytest.mark.parametrize("message", ["", "[1]", "{", b"\x00\x01"])
def test_what_is_no_object_is_told_with_the_vendor(message: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="deepgram"):
        NovaCodec(TWILIO).receive(message)
