"""Cutting a caller's audio into utterances, and the sessions that transcribe them."""

import anyio
import pytest

from trunkline.audio import TWILIO, AudioFormat, convert
from trunkline.clock import ManualClock
from trunkline.errors import AuthFailed, InvalidConfig, ProviderUnavailable, SessionClosed
from trunkline.stt import (
    ErrorReported,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    Transcription,
    UtteranceOptions,
    utterance_session,
)
from trunkline.stt.utterances import WAITING, Utterance, UtteranceCutter
from trunkline.testing.brain import tone

LINEAR = AudioFormat("linear16", 16_000)


def sound(ms: int) -> bytes:
    return convert(tone(ms, rate=16_000), LINEAR, TWILIO)


def silence(ms: int) -> bytes:
    return TWILIO.silence(ms)


def cut(audio: bytes, **options: int) -> list[object]:
    cutter = UtteranceCutter(TWILIO, UtteranceOptions(**options))  # type: ignore[arg-type]
    noticed: list[object] = []
    for start in range(0, len(audio), 160):
        noticed += cutter.feed(audio[start : start + 160])
    return noticed


def test_an_utterance_has_its_pre_roll_and_ends_after_the_hangover() -> None:
    audio = silence(1000) + sound(600) + silence(800)
    began, stopped, utterance = cut(audio)
    assert isinstance(began, SpeechStarted)
    assert isinstance(stopped, SpeechStopped)
    assert isinstance(utterance, Utterance)
    assert abs((began.audio_ms or 0) - 1000) <= 40
    assert abs((stopped.audio_ms or 0) - 1600) <= 40
    assert abs(utterance.start_ms - 700) <= 40
    assert utterance.audio == audio[utterance.start_ms * 8 : utterance.start_ms * 8 + len(utterance.audio)]
    assert abs(len(utterance.audio) / 8 - (300 + 600 + 500)) <= 60


def test_a_click_is_no_utterance() -> None:
    assert cut(silence(500) + sound(60) + silence(1000), min_speech_ms=100) == []


def test_a_short_pause_does_not_cut() -> None:
    noticed = cut(sound(400) + silence(300) + sound(400) + silence(700))
    assert [type(moment) for moment in noticed] == [SpeechStarted, SpeechStopped, Utterance]


def test_a_long_speech_is_cut_without_losing_a_byte() -> None:
    audio = sound(2500) + silence(700)
    pieces = [moment for moment in cut(audio, longest_ms=1000) if isinstance(moment, Utterance)]
    assert len(pieces) >= 3
    assert b"".join(piece.audio for piece in pieces) == audio[: sum(len(piece.audio) for piece in pieces)]


def test_long_silence_is_not_kept() -> None:
    cutter = UtteranceCutter(TWILIO, UtteranceOptions())
    for _ in range(3000):
        cutter.feed(silence(20))
    assert len(cutter._held) < 2 * 8 * 500


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 0.0),
        ("threshold", 1.5),
        ("pre_roll_ms", -1),
        ("hangover_ms", 0),
        ("min_speech_ms", 0),
        ("longest_ms", 0),
    ],
)
def test_numbers_that_make_no_sense_are_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidConfig, match=field):
        UtteranceOptions(**{field: value})  # type: ignore[arg-type]


class Engine:
    """Gives or raises what it is told, in turn, once it may."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.may = anyio.Event()
        self.heard: list[int] = []

    async def transcribe(self, audio: bytes, audio_format: AudioFormat) -> Transcription:
        await self.may.wait()
        self.heard.append(len(audio))
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return Transcription(outcome, confidence=0.5, language="en")


async def test_an_utterance_that_fails_is_reported_and_the_next_is_heard() -> None:
    engine = Engine(ProviderUnavailable("down"), ValueError("bug"), "hello")
    engine.may.set()
    async with utterance_session(engine, TWILIO, UtteranceOptions(), vendor="mine") as session:
        for _ in range(3):
            await session.send_audio(sound(400) + silence(600))
        await session.aclose()
        events = [event async for event in session]
    errors = [event.error for event in events if isinstance(event, ErrorReported)]
    assert [str(error) for error in errors] == ["down", "bug"]
    assert errors[1].vendor == "mine"
    final = next(event for event in events if isinstance(event, Transcript))
    assert (final.text, final.confidence, final.language) == ("hello", 0.5, "en")
    assert events[-1] == SessionEnded("closed")


async def test_an_error_that_will_come_again_ends_the_session() -> None:
    engine = Engine(AuthFailed("wrong key"))
    engine.may.set()
    async with utterance_session(engine, TWILIO, UtteranceOptions(), vendor="mine") as session:
        await session.send_audio(sound(400) + silence(600))
        events = [event async for event in session]
        ended = events[-1]
        assert isinstance(ended, SessionEnded)
        assert ended.reason == "failed"
        assert isinstance(ended.error, AuthFailed)
        with pytest.raises(SessionClosed):
            await session.send_audio(b"")


async def test_a_slow_engine_loses_the_oldest_and_says_so() -> None:
    engine = Engine(*[str(number) for number in range(WAITING + 2)])
    async with utterance_session(engine, TWILIO, UtteranceOptions(), vendor="mine") as session:
        for _ in range(WAITING + 2):
            await session.send_audio(sound(400) + silence(600))
            await anyio.lowlevel.checkpoint()
        engine.may.set()
        await session.aclose()
        events = [event async for event in session]
    assert [event.error.code for event in events if isinstance(event, ErrorReported)] == ["too_slow"]
    assert len(engine.heard) == WAITING + 1


async def test_a_hanging_engine_does_not_keep_the_session_open() -> None:
    clock = ManualClock()
    async with (
        anyio.create_task_group() as tasks,
        utterance_session(Engine(), TWILIO, UtteranceOptions(), vendor="mine", clock=clock) as session,
    ):
        await session.send_audio(sound(400) + silence(600))
        tasks.start_soon(session.aclose)
        await clock.advance(3.1)
        events = [event async for event in session]
        assert events[-1] == SessionEnded("closed")
        tasks.cancel_scope.cancel()
