"""Deepgram Flux's turns."""

import json
from typing import Any

from trunkline.audio import TWILIO
from trunkline.errors import ProviderUnavailable
from trunkline.wire.stt.deepgram.flux import FluxCodec
from trunkline.wire.stt.events import (
    ErrorReported,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TurnEndLikely,
    TurnResumed,
)


def info(event: str, text: str, *, turn: int = 0, end: float = 1.0) -> str:
    words = [{"word": word, "confidence": 0.8, "start": 0.4, "end": end} for word in text.split()]
    return json.dumps(
        {
            "type": "TurnInfo",
            "event": event,
            "turn_index": turn,
            "audio_window_start": 0.0,
            "audio_window_end": end,
            "transcript": text,
            "words": words,
            "end_of_turn_confidence": 0.5,
        }
    )


def kinds(events: Any) -> list[type]:
    return [type(event) for event in events]


def test_a_turn_with_a_false_end() -> None:
    codec = FluxCodec(TWILIO)
    codec.receive('{"type":"Connected","request_id":"r","sequence_id":0}')
    assert codec.is_ready
    assert codec.receive(info("Update", "")) == []
    assert kinds(codec.receive(info("StartOfTurn", "i"))) == [SpeechStarted, Transcript]
    assert kinds(codec.receive(info("Update", "i need"))) == [Transcript]
    assert codec.receive(info("EagerEndOfTurn", "i need"))[-1] == TurnEndLikely("i need", 0.5)
    assert kinds(codec.receive(info("TurnResumed", "i need a"))) == [TurnResumed, Transcript]
    codec.receive(info("EagerEndOfTurn", "i need a refund"))
    stopped, final = codec.receive(info("EndOfTurn", "i need a refund", end=2.0))
    assert stopped == SpeechStopped(2000)
    assert isinstance(final, Transcript)
    assert (final.text, final.is_final, final.end_of_turn, final.start_ms) == ("i need a refund", True, 0.5, 400)


def test_another_text_at_the_end_takes_the_likely_end_back() -> None:
    codec = FluxCodec(TWILIO)
    codec.receive(info("StartOfTurn", "i"))
    codec.receive(info("EagerEndOfTurn", "i need"))
    assert kinds(codec.receive(info("EndOfTurn", "i need it"))) == [TurnResumed, SpeechStopped, Transcript]


def test_a_false_start_ends_without_words() -> None:
    codec = FluxCodec(TWILIO)
    codec.receive(info("StartOfTurn", "i"))
    assert kinds(codec.receive(info("EndOfTurn", ""))) == [SpeechStopped]


def test_a_flushed_turn_is_not_told_again() -> None:
    codec = FluxCodec(TWILIO)
    codec.receive(info("StartOfTurn", "hello"))
    codec.finalize()
    assert codec.owes_final
    assert kinds(codec.flush()) == [SpeechStopped, Transcript]
    assert codec.receive(info("EndOfTurn", "hello")) == ()
    assert kinds(codec.receive(info("StartOfTurn", "next", turn=1))) == [SpeechStarted, Transcript]


def test_audio_goes_in_pieces_of_80_ms_and_its_rest_before_a_command() -> None:
    codec = FluxCodec(TWILIO)
    assert [len(piece) for piece in codec.audio(bytes(1500))] == [640, 640]
    rest, command = codec.finalize()
    assert (len(rest), command) == (220, '{"type":"ForceEndTurn"}')


def test_moments_do_not_count_the_silence_that_was_put_in() -> None:
    codec = FluxCodec(TWILIO)
    codec.audio(bytes(8000))
    (rest, silence) = codec.keep_alive()
    assert silence == b"\xff" * 4000
    codec.audio(bytes(8000))
    codec.receive(info("StartOfTurn", "hello", end=1.2))
    (stopped, _) = codec.receive(info("EndOfTurn", "hello", end=2.1))
    assert len(rest) == 8000 % 640
    assert stopped == SpeechStopped(1600)


def test_an_error_of_the_vendors_is_its_own_fault() -> None:
    (event,) = FluxCodec(TWILIO).receive('{"type":"Error","code":"INTERNAL_SERVER_ERROR","description":"oh"}')
    assert isinstance(event, ErrorReported)
    assert isinstance(event.error, ProviderUnavailable)
