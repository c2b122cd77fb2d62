"""Vendors that say nothing: which of them are frozen."""

import pytest

from tests.realtime.reconnect.conversation import conversation
from trunkline.audio import TWILIO
from trunkline.errors import (
    RequestRejected,
)
from trunkline.realtime import Watchdog
from trunkline.realtime.events import (
    AudioReceived,
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "due",
    [
        (ResponseStarted("r1"),),
        (
            SpeechStarted("u1"), SpeechStopped("u1"), UserTranscript("Hi", True, "u1"), ResponseStarted("r1"),
            ResponseFinished("r1"), SpeechStarted("u2"), SpeechStopped("u2"),
        ),
    ],
    ids=["an answer stops in the middle", "a turn is not followed up"],
)  # fmt: skip
async def test_a_vendor_that_says_nothing_when_it_must_is_frozen(due: tuple[object, ...]) -> None:
    async with conversation() as call:
        call.last.feed(*due)  # type: ignore[arg-type]
        await call.pass_(14.9)
        assert call.vendor.attempts == 1
        await call.pass_(0.2)
        error = call.of(ErrorReported)[0]
        assert isinstance(error, ErrorReported)
        assert (error.error.code, error.fatal) == ("frozen", False)
        assert call.rotations[-1] == ("fake", "frozen")


async def test_an_answer_that_was_asked_for_and_does_not_begin_is_asked_for_again() -> None:
    async with conversation(watchdog=Watchdog(patience=5)) as call:
        await call.session.create_response("Greet.")
        await call.pass_(5)
        assert call.rotations[-1] == ("fake", "frozen")
        assert call.last.commands == [("create", "Greet.")]


async def test_an_utterance_whose_end_is_never_told_is_heard_again() -> None:
    async with conversation() as call:
        call.last.feed(SpeechStarted("u1"))
        await call.settle()
        await call.session.send_audio(b"\x00\x80" * 4000)  # as loud as it gets
        for _ in range(15):
            await call.pass_(1)
            assert call.vendor.attempts == 1
            await call.session.send_audio(TWILIO.silence(1000))
        await call.pass_(0)
        assert call.rotations[-1] == ("fake", "frozen")
        assert len(call.last.heard) == 16 * 8000


async def test_a_quiet_call_is_not_frozen() -> None:
    async with conversation(rotate_after=1e6, watchdog=Watchdog(patience=5)) as call:
        call.last.feed(SpeechStarted("u1"), SpeechStopped("u1"), UserTranscript("", True, "u1"))
        for _ in range(60):
            await call.session.send_audio(TWILIO.silence(1000))
            await call.pass_(1)
        call.last.feed(ToolCallRequested("c1", "slow", "{}", "r1"), SpeechStarted("u2"))
        for _ in range(60):  # a long story
            await call.session.send_audio(b"\x00\x80" * 4000)
            await call.pass_(1)
        assert call.vendor.attempts == 1


async def test_a_vendor_that_waits_to_be_asked_is_not_frozen() -> None:
    async with conversation(rotate_after=1e6) as call:
        for number in range(3):
            call.last.feed(SpeechStarted(f"u{number}"), SpeechStopped(f"u{number}"))
            await call.pass_(60)
        assert call.vendor.attempts == 1


async def test_whoever_does_not_read_makes_nobody_frozen() -> None:
    async with conversation(is_read=False) as call:
        call.last.feed(ResponseStarted("r1"), *[AudioReceived(b"x", "a1", "r1")] * 1000, ResponseFinished("r1"))
        await call.pass_(100)
        assert call.vendor.attempts == 1
        assert call.last._events.statistics().current_buffer_used > 500, "the vendor is read no further either"
        async for event in call.session:
            call.seen.append(event)
            if isinstance(event, ResponseFinished):
                break
        assert len(call.seen) == 1003


async def test_a_slow_tool_is_not_a_frozen_vendor_even_if_the_answer_does_not_end_without_it() -> None:
    async with conversation() as call:
        call.last.feed(ResponseStarted("r1"), ToolCallRequested("c1", "slow", "{}", "r1"))
        await call.pass_(60)
        assert call.vendor.attempts == 1


async def test_nothing_is_due_after_the_tools_of_a_cancelled_answer_or_while_others_of_it_are_at_work() -> None:
    async with conversation() as call:
        calls = [ToolCallRequested(f"c{number}", "f", "{}", "r1") for number in (1, 2)]
        call.last.feed(ResponseStarted("r1"), *calls, ResponseFinished("r1", "cancelled"))
        await call.settle()
        await call.session.send_tool_result("c1", "1")
        await call.session.send_tool_result("c2", "2")
        await call.pass_(60)
        assert call.vendor.attempts == 1


async def test_nothing_is_due_after_a_refusal() -> None:
    async with conversation() as call:
        await call.session.create_response("Say what must not be said.")
        call.last.feed(ErrorReported(RequestRejected("no")))
        await call.pass_(60)
        assert call.vendor.attempts == 1


async def test_the_last_result_of_several_brings_the_answer_that_is_then_due() -> None:
    async with conversation() as call:
        calls = [ToolCallRequested(f"c{number}", "f", "{}", "r1") for number in (1, 2)]
        call.last.feed(ResponseStarted("r1"), *calls, ResponseFinished("r1"))
        await call.settle()
        await call.session.send_tool_result("c1", "1")
        call.last.die()
        await call.pass_(0)
        assert call.last.commands == [], "there is nothing to answer yet"
        await call.session.send_tool_result("c2", "2")
        await call.pass_(16)
        assert call.rotations[-1] == ("fake", "frozen")
        assert call.last.commands == [("create", None)]
