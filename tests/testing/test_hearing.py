"""Turns are found in the audio itself, however it is cut into pieces."""

from typing import Any

import pytest

from tests.testing.openai.rig import ToneDetector, tone
from trunkline.audio import AudioFormat
from trunkline.testing.hearing import EAR, Hearing, NobodySpoke, SpeechBegan, SpeechEnded, TooShort

TURNS = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 100,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
}


def silence(ms: int) -> bytes:
    return bytes(32 * ms)


def speech(ms: int) -> bytes:
    return tone(ms, rate=16000)


def hearing(**turns: Any) -> Hearing:
    return Hearing(ToneDetector(), EAR, TURNS | turns)


@pytest.mark.parametrize("chunk", [33, 640, 100_000])
def test_two_turns_are_found_at_the_same_places_whatever_the_chunks(chunk: int) -> None:
    ear = hearing()
    heard = silence(400) + speech(300) + silence(500) + speech(200) + silence(300)
    noticed = [moment for begin in range(0, len(heard), chunk) for moment in ear.append(heard[begin : begin + chunk])]
    assert [
        (type(moment), getattr(moment, "start_ms", None) or getattr(moment, "end_ms", 0)) for moment in noticed
    ] == [
        (SpeechBegan, 300),
        (SpeechEnded, 900),
        (SpeechBegan, 1100),
        (SpeechEnded, 1600),
    ]
    assert isinstance(noticed[1], SpeechEnded)
    assert noticed[1].audio == heard[300 * 32 : 900 * 32]
    assert ear.position_ms == 1700


def test_bytes_that_split_a_sample_are_joined_again() -> None:
    heard = bytes(48 * 400) + tone(300) + bytes(48 * 300)
    whole = Hearing(ToneDetector(), AudioFormat("linear16", 24_000), TURNS)
    torn = Hearing(ToneDetector(), AudioFormat("linear16", 24_000), TURNS)
    noticed = [moment for begin in range(0, len(heard), 961) for moment in torn.append(heard[begin : begin + 961])]
    assert noticed == whole.append(heard)
    assert [type(moment) for moment in noticed] == [SpeechBegan, SpeechEnded]


def test_padding_does_not_reach_into_the_turn_before() -> None:
    ear = hearing(prefix_padding_ms=1000)
    noticed = ear.append(speech(300) + silence(240) + speech(100))
    assert noticed[0] == SpeechBegan(0)
    assert noticed[2] == SpeechBegan(500)


def test_a_pause_shorter_than_the_silence_belongs_to_the_turn() -> None:
    noticed = hearing().append(speech(200) + silence(180) + speech(200) + silence(300))
    assert [type(moment) for moment in noticed] == [SpeechBegan, SpeechEnded]


def test_the_detector_starts_afresh_when_turns_are_detected_again() -> None:
    ear = hearing()
    ear.append(speech(10))
    ear.configure(EAR, None)
    assert ear.append(speech(500)) == []
    ear.configure(EAR, TURNS)
    assert ear.append(silence(500) + speech(100)) == [SpeechBegan(910)]


def test_a_commit_takes_what_has_come_since_the_last_one() -> None:
    ear = Hearing(ToneDetector(), EAR, None)
    ear.append(speech(150))
    assert ear.commit() == speech(150)
    ear.append(silence(50))
    with pytest.raises(TooShort, match="50"):
        ear.commit()
    ear.clear()
    ear.append(silence(99))
    with pytest.raises(TooShort):
        ear.commit()
    ear.append(silence(1))
    assert ear.commit() == silence(100)
    assert ear.position_ms == 300


def test_a_commit_in_the_middle_of_speech_takes_it_from_its_start() -> None:
    ear = hearing()
    ear.append(silence(400) + speech(200))
    assert ear.commit() == silence(100) + speech(200)


def test_milliseconds_go_on_when_the_format_changes() -> None:
    ear = Hearing(ToneDetector(), EAR, None)
    ear.append(silence(100))
    ear.configure(AudioFormat("mulaw", 8000), None)
    ear.append(b"\xff" * 800)
    assert 190 <= ear.position_ms <= 200
    assert len(ear.commit()) == pytest.approx(200 * 32, abs=320)


def test_patience_ends_after_the_answer_has_been_played() -> None:
    ear = hearing(idle_timeout_ms=5000)
    ear.append(silence(1000))
    ear.expect_reply_from(1500)
    assert ear.append(silence(5480)) == []
    assert ear.append(silence(20)) == [NobodySpoke(1500, 6500, silence(5000))]
    assert ear.append(silence(6000)) == []


def test_speech_ends_the_waiting() -> None:
    ear = hearing(idle_timeout_ms=5000)
    ear.expect_reply_from(0)
    ear.append(speech(100) + silence(400))
    assert ear.append(silence(6000)) == []
