"""The caller's speech, noticed on this side: hysteresis, and whole calls with a vendor that reports no speech."""

from dataclasses import replace

import pytest

from tests.pipeline.call import Call, in_progress, provider_of
from trunkline.audio import TWILIO, AudioFormat, StreamConverter
from trunkline.audio.local_vad import LocalVad
from trunkline.audio.vad import EnergyDetector
from trunkline.pipeline import EventType
from trunkline.realtime.events import AudioReceived, ResponseFinished, ResponseStarted, SessionRotated
from trunkline.realtime.provider import Capabilities
from trunkline.testing.brain import tone
from trunkline.testing.fake_provider import BAREST, FakeProvider

LINEAR = AudioFormat("linear16", 16_000)
FRAME_MS = 20
SPEECH = b"\x10\x90" * 80
QUIET = b"\xff" * 160


def barest(capabilities: Capabilities = BAREST, **options: object) -> FakeProvider:
    return provider_of(capabilities, TWILIO, TWILIO, **options)


async def speak(call: Call, frames: int, frame: bytes = SPEECH) -> None:
    for _ in range(frames):
        call.line.caller_says(frame)
        await call.pass_ms(FRAME_MS)


def test_speech_begins_and_ends_with_hysteresis() -> None:
    vad = LocalVad(EnergyDetector(window_ms=20), LINEAR)
    loud, quiet = tone(20, rate=16_000), bytes(640)
    assert [vad.feed(loud), vad.feed(loud)] == [None, None]
    assert vad.feed(quiet) is None, "a click begins nothing"
    assert [vad.feed(loud) for _ in range(3)] == [None, None, 60]
    assert vad.speaks
    assert [vad.feed(quiet) for _ in range(24)] == [None] * 24
    assert vad.feed(loud) is None, "a pause ends nothing"
    assert [vad.feed(quiet) for _ in range(25)] == [None] * 24 + [500]
    assert not vad.speaks


def test_a_pause_can_be_taken_for_the_end() -> None:
    vad = LocalVad(EnergyDetector(window_ms=20), LINEAR)
    vad.feed(tone(200, rate=16_000))
    assert vad.stop() is None, "they speak on"
    vad.feed(bytes(640 * 5))
    assert vad.stop() == 100
    assert not vad.speaks
    assert vad.stop() is None


def test_audio_of_the_line_is_converted_for_the_detector() -> None:
    vad = LocalVad(EnergyDetector(), TWILIO)
    telephone = StreamConverter(AudioFormat("linear16", 8000), TWILIO)
    vad.feed(telephone.convert(tone(400, rate=8000)))
    assert vad.speaks


async def test_turns_latencies_and_receipts_work_without_reported_speech() -> None:
    call = Call(barest())
    async with in_progress(call):
        for turn in range(3):
            await speak(call, 20)
            await speak(call, 30, QUIET)
            call.session.user_said(f"question {turn}")
            call.session.answer(f"Answer {turn}.", audio_ms=200)
            await call.pass_ms(300)
        metrics = call.bridge.metrics()
    assert call.types().count("user_speech_start") == call.types().count("user_speech_end") == 3
    turns = call.bridge.transcript()
    assert [(turn.role, turn.text) for turn in turns] == [
        (role, f"{word} {number}{end}")
        for number in range(3)
        for role, word, end in (("user", "question", ""), ("agent", "Answer", "."))
    ]
    assert all(abs(turn.duration_ms - 400) <= 40 for turn in turns if turn.role == "user")
    assert (metrics.user_turn_count, metrics.agent_turn_count) == (3, 3)
    assert [receipt.trigger for receipt in metrics.receipts] == ["speech"] * 3
    assert all(abs(receipt.playout_ms - 600) <= 40 for receipt in metrics.receipts), "from the end of the speech"
    starts = [event.data["item_id"] for event in call.seen if event.type is EventType.USER_SPEECH_START]
    words = [event.data["item_id"] for event in call.seen if event.type is EventType.USER_TRANSCRIPT]
    assert starts == words


async def test_an_answer_before_the_pause_is_long_enough_ends_the_turn() -> None:
    call = Call(barest())
    async with in_progress(call):
        await speak(call, 20)
        await speak(call, 10, QUIET)
        call.session.answer("Quick.", audio_ms=200)
        await call.pass_ms(300)
        (receipt,) = call.bridge.metrics().receipts
    assert call.types().index("user_speech_end") < call.types().index("agent_speech_start")
    assert abs(receipt.playout_ms - 200) <= 40
    assert "interruption" not in call.types()


async def test_the_caller_stops_an_agent_whose_vendor_notices_nothing_and_cannot_cancel() -> None:
    call = Call(barest())
    async with in_progress(call):
        call.session.feed(ResponseStarted("r1"), AudioReceived(b"\x55" * 16_000, "a1", "r1"))
        await call.pass_ms(500)
        await speak(call, 6)
        assert ("clear",) in call.line.messages
        sent = call.line.sent
        call.session.feed(AudioReceived(b"\x55" * 16_000, "a1", "r1"), AudioReceived(b"\x55" * 800, "a2", "r1"))
        await call.pass_ms(1000)
        assert call.line.sent == sent, "the rest of the answer is not heard"
        call.session.feed(ResponseFinished("r1"))
        call.session.answer("Sorry?", audio_ms=100)
        await call.pass_ms(500)
        assert len(call.line.sent) == len(sent) + 800
    assert call.session.commands == []
    assert call.types().count("interruption") == 1
    assert 60 <= call.one(EventType.INTERRUPTION).data["user_speech_duration_ms"] <= 120


@pytest.mark.parametrize("can_cancel", [True, False])
async def test_speech_before_the_first_audio_of_an_answer_keeps_it_silent(*, can_cancel: bool) -> None:
    call = Call(barest(replace(BAREST, cancel=can_cancel)))
    async with in_progress(call):
        call.session.feed(ResponseStarted("r1"))
        await speak(call, 6)
        call.session.feed(AudioReceived(b"\x55" * 800, "a1", "r1"), ResponseFinished("r1"))
        await call.pass_ms(300)
        assert call.line.sent == b""
    assert call.session.commands == ([("cancel",)] if can_cancel else [])


async def test_turns_of_a_vendor_that_answers_nothing_by_itself_are_committed_and_answered() -> None:
    call = Call(barest(replace(BAREST, answers_turns=False, commit=True)))
    async with in_progress(call):
        await speak(call, 20)
        await speak(call, 30, QUIET)
        assert call.session.commands == [("commit",), ("create", None)]


async def test_the_limit_on_tools_is_lifted_by_speech_that_only_this_side_notices() -> None:
    def look_up() -> str:
        return "found"

    call = Call(barest(), tools=[look_up])
    results: list[str] = []
    async with in_progress(call):
        for _ in range(12):
            await speak(call, 6)
            await speak(call, 30, QUIET)
            results.append(await call.session.call_tool("look_up"))
    assert results == ["found"] * 12


async def test_rotation_to_a_session_that_reports_speech_ends_the_turn_and_the_listening() -> None:
    call = Call(barest())
    async with in_progress(call):
        await speak(call, 20)
        call.session.capabilities = replace(BAREST, reports_speech=True)
        call.session.feed(SessionRotated("session-2", TWILIO, TWILIO, "other"))
        await speak(call, 40)
        call.session.capabilities = BAREST
        call.session.feed(SessionRotated("session-3", TWILIO, TWILIO, "other"))
        await speak(call, 10)
    assert call.types().count("user_speech_start") == 2
    assert call.one(EventType.USER_SPEECH_END).data["duration_ms"] == pytest.approx(400, abs=40)


async def test_a_session_that_reports_speech_is_not_listened_to_twice() -> None:
    call = Call()
    async with in_progress(call):
        await speak(call, 20)
        await speak(call, 30, QUIET)
    assert "user_speech_start" not in call.types()
