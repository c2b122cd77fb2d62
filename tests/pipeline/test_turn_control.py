"""What follows from the session's events and the caller's speech, where a vendor does less or fails."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from tests.pipeline.call import CAPABILITIES, Call, in_progress, provider_of, says
from trunkline.audio import TWILIO
from trunkline.errors import ProviderUnavailable, QuotaExceeded
from trunkline.pipeline import EventType, InterruptionPolicy
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
)
from trunkline.telephony.line import LineTraits


class Loud:
    """A detector that takes everything for speech."""

    window_ms = 20
    sample_rate = 16_000

    def feed(self, pcm: bytes) -> list[float]:
        return [1.0] * (len(pcm) // 640)

    def reset(self) -> None:
        pass


# ── interruptions ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_interrupt_clears_the_phone_although_the_vendor_does_not_listen() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1000)[:-1])
        await call.pass_ms(300)
        call.session.blocked = anyio.Event()
        await call.bridge.interrupt()
        await call.pass_ms(0)
        assert call.line.messages[-1] == ("clear",)
        assert call.session.commands == []
        call.session.blocked.set()
        await call.pass_ms(0)
        assert [command[0] for command in call.session.commands] == ["cancel", "truncate"]


async def test_an_interruption_by_the_local_detector_does_not_block_the_reader_of_the_line() -> None:
    call = Call(detector=Loud)
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1000)[:-1])
        await call.pass_ms(300)
        call.session.blocked = anyio.Event()
        call.line.caller_says(*[b"\x10\x90" * 80] * 6)
        call.line.press("1")
        await call.pass_ms(0)
        assert call.line.messages[-1] == ("clear",)
        call.line.hang_up()
        await call.pass_ms(0)
        assert call.bridge.is_over
    assert call.one(EventType.DTMF).data == {"digit": "1"}
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "caller_hung_up"}


async def test_an_interruption_is_only_told_to_vendors_that_can_act_on_it() -> None:
    bare = replace(CAPABILITIES, cancel=False, truncate=False, interrupts_itself=False)
    call = Call(provider_of(bare, TWILIO, TWILIO))
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1000)[:-1])
        await call.pass_ms(300)
        call.session.feed(SpeechStarted("u1"))
        await call.pass_ms(0)
        sent = call.line.sent
        call.session.feed(AudioReceived(bytes(8000), "a1", "r1"))
        await call.pass_ms(500)
        await call.bridge.interrupt()
        await call.pass_ms(0)
        assert call.line.sent == sent
    assert call.session.commands == []
    assert call.types().count("interruption") == 1


async def test_the_end_of_an_earlier_answer_does_not_stop_the_present_one() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "one two", 400)[:-1])
        await call.pass_ms(100)
        call.session.feed(SpeechStarted("u1", 0), *says("a2", "three four", 400, "r2"))
        await call.pass_ms(100)
        call.session.feed(Interrupted("r1"))
        await call.pass_ms(500)
    assert call.types().count("interruption") == 1
    assert [event.data["item_id"] for event in call.seen if event.type is EventType.AGENT_SPEECH_END] == ["a2"]


async def test_a_line_that_cannot_clear_is_heard_out_and_truncated_there() -> None:
    call = Call(traits=LineTraits(format=TWILIO, can_clear=False, max_lead_ms=400))
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1000)[:-1])
        await call.pass_ms(100)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(1000)
        assert call.line.heard_ms == 400
    assert call.one(EventType.INTERRUPTION).data["heard_ms"] == 400
    assert call.session.commands == [("truncate", "a1", 400)]


@pytest.mark.parametrize("start_ms", [0, None])
async def test_user_speech_duration_does_not_count_audio_that_was_dropped(start_ms: int | None) -> None:
    call = Call(buffer_size=10)
    for _ in range(150):
        await call.bridge.send_audio(bytes(160))  # three seconds while the session is being opened
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1200)[:-1])
        await call.pass_ms(190)
        call.session.feed(SpeechStarted("u1", start_ms))
        await call.pass_ms(0)
    spoke_ms = call.one(EventType.INTERRUPTION).data["user_speech_duration_ms"]
    assert spoke_ms == (200 if start_ms == 0 else 0), "the session was given 200 ms"


async def test_user_speech_of_which_the_vendor_tells_no_position_is_measured_in_time() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(SpeechStarted("u1"))
        await call.pass_ms(700)
        call.session.feed(SpeechStopped("u1"))
        await call.pass_ms(0)
    assert call.one(EventType.USER_SPEECH_END).data["duration_ms"] == 700


async def test_the_time_of_a_decision_is_kept_while_other_events_come() -> None:
    call = Call(interruption=InterruptionPolicy(min_speech_ms=300))
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 2000)[:-1])
        await call.pass_ms(300)
        call.session.feed(SpeechStarted("u1", 0))
        for _ in range(29):
            await call.pass_ms(10)
            call.session.feed(AudioReceived(bytes(160), "a1", "r1"))
        assert ("clear",) not in call.line.messages
        await call.pass_ms(20)
        assert ("clear",) in call.line.messages


# ── words and audio ──────────────────────────────────────────────────────────────────────────────────────────────────


def in_text(item_id: str, text: str, response_id: str) -> list[object]:
    words = AgentTranscript(text, is_final=True, item_id=item_id, response_id=response_id)
    return [ResponseStarted(response_id), words, ResponseFinished(response_id)]


async def test_words_without_audio_are_not_heard_and_the_program_is_told() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "Hello.", 100))
        await call.pass_ms(200)
        call.session.feed(*in_text("a2", "Your parcel is here.", "r2"))  # type: ignore[arg-type]
        call.session.feed(*says("a3", "Goodbye.", 100, "r3"))
        await call.pass_ms(300)
        assert call.bridge.metrics().error_count == 1
    assert [turn.text for turn in call.bridge.transcript()] == ["Hello.", "Goodbye."]
    error = call.one(EventType.ERROR)
    assert error.to_json()["error"]["code"] == "no_audio"


async def test_an_item_in_text_beside_a_spoken_one_is_told_too() -> None:
    call = Call()
    async with in_progress(call):
        text = AgentTranscript("Note:", is_final=True, item_id="a0", response_id="r1")
        call.session.feed(ResponseStarted("r1"), text, *says("a1", "Spoken.", 100)[1:])
        await call.pass_ms(300)
    assert [turn.text for turn in call.bridge.transcript()] == ["Spoken."]
    assert call.types().count("error") == 1


async def test_a_call_that_ends_in_the_middle_of_an_answer_keeps_what_was_heard() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1200))
        await call.pass_ms(800)
        call.session.feed(ResponseStarted("r2"), AgentTranscript("never", False, "a2", "r2"))
        await call.pass_ms(0)
        call.line.hang_up()
        await call.pass_ms(0)
    (turn,) = call.bridge.transcript()
    assert (turn.text, turn.interrupted, turn.duration_ms) == ("one two", True, 800)
    assert call.bridge.metrics().agent_speech_duration_ms == 800


async def test_a_tool_call_that_no_answer_follows_is_in_a_turn() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "Hello.", 100))
        await call.pass_ms(200)
        call.session.feed(ToolCallRequested("c1", "hang_up", "{}", "r2"))
        await call.pass_ms(10)
        assert call.bridge.tool_counters.calls == call.bridge.metrics().tools.calls == 1
    first, last = call.bridge.transcript()
    assert first.text == "Hello."
    assert (last.role, last.text, [used.name for used in last.tool_calls]) == ("agent", "", ["hang_up"])


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def failed(number: int, error: ProviderUnavailable | QuotaExceeded) -> list[object]:
    return [ResponseStarted(f"r{number}"), ResponseFinished(f"r{number}", "failed", error=error)]


@pytest.mark.parametrize("greeting", ["", "Hello."])
async def test_an_answer_that_fails_for_good_ends_the_call(greeting: str) -> None:
    call = Call(greeting=greeting)
    async with in_progress(call):
        call.session.feed(*failed(1, QuotaExceeded("no credit left", "insufficient_quota")))  # type: ignore[arg-type]
        await call.bridge.wait_closed()
    assert call.types()[-2:] == ["error", "session_ended"]
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "provider_failed"}


async def test_failures_in_a_row_end_the_call_and_one_that_passes_does_not() -> None:
    call = Call()
    async with in_progress(call):
        for number in (1, 2):
            call.session.feed(*failed(number, ProviderUnavailable("hiccup")))  # type: ignore[arg-type]
        call.session.feed(*says("a3", "Here I am.", 100, "r3"))
        await call.pass_ms(300)
        for number in (4, 5):
            call.session.feed(*failed(number, ProviderUnavailable("hiccup")))  # type: ignore[arg-type]
        await call.pass_ms(100)
        assert not call.bridge.is_over
        call.session.feed(*failed(6, ProviderUnavailable("hiccup")))  # type: ignore[arg-type]
        await call.bridge.wait_closed()
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "provider_failed"}


async def test_a_greeting_does_not_hide_why_the_vendor_refused() -> None:
    call = Call(greeting="Hello.")
    refusal = QuotaExceeded("no credit left", "insufficient_quota")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call.read)
        async with call.bridge:
            while not call.provider.sessions:
                await anyio.lowlevel.checkpoint()
            call.session.feed(ErrorReported(refusal, fatal=True), SessionEnded("quota", refusal))
            await call.bridge.wait_closed()
    assert call.types() == ["session_started", "error", "session_ended"]
    assert call.one(EventType.ERROR).error is refusal
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "quota"}
