"""Sessions replaced before their limit."""

import anyio
import pytest

from tests.realtime.reconnect.vendor import MemoryVendor, conversation
from trunkline.audio import TWILIO
from trunkline.errors import ConnectionFailed
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionReady,
    SessionRotated,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)

pytestmark = pytest.mark.anyio

LATE = 57 * 60.0
TURN = (
    SpeechStarted("u1", 0),
    SpeechStopped("u1", 500),
    UserTranscript("Are you open?", True, "u1"),
    ResponseStarted("r1"),
    AgentTranscript("Yes, we are.", True, "a1", "r1"),
    AudioReceived(TWILIO.silence(1000), "a1", "r1"),
    ResponseFinished("r1"),
)


async def test_a_quiet_session_is_replaced_after_57_minutes_and_the_new_one_knows_what_was_said() -> None:
    async with conversation() as call:
        call.vendor.last.say(*TURN)
        await call.pass_(LATE - 1)
        assert len(call.vendor.sessions) == 1
        await call.pass_(1)
        old, new = call.vendor.sessions
        assert new.history == [("user", "Are you open?"), ("agent", "Yes, we are.")]
        assert old.closed
        assert not new.closed
        assert call.seen[-1] == SessionRotated("sess_2", "limit")
        assert new.commands == []
    assert len(call.of(SessionReady)) == 1
    assert call.seen[-1:] == [SessionEnded("closed")]
    assert call.vendor.left == 2


async def test_the_old_session_serves_until_the_new_one_is_ready() -> None:
    async with conversation() as call:
        call.vendor.hold = anyio.Event()
        await call.pass_(LATE)
        assert call.vendor.attempts == 2
        await call.session.send_audio(b"still here")
        assert call.vendor.last.heard == b"still here"
        call.vendor.hold.set()
        await call.settle()
        assert call.of(SessionRotated)
        await call.session.send_audio(b", and there")
        assert [session.heard for session in call.vendor.sessions] == [b"still here", b"still here, and there"]


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ((SpeechStarted("u1"),), (SpeechStopped("u1", 100), UserTranscript("Hi", True, "u1"))),
        ((ResponseStarted("r1"),), (ResponseFinished("r1"),)),
        ((AudioReceived(TWILIO.silence(8000), "a1", "r1"),), ()),
    ],
    ids=["the user speaks", "an answer runs", "an answer is still being played"],
)
async def test_it_waits_for_a_quiet_moment(begins: tuple[object, ...], ends: tuple[object, ...]) -> None:
    async with conversation() as call:
        await call.pass_(LATE - 3)
        call.vendor.last.say(*begins)  # type: ignore[arg-type]
        await call.pass_(7)
        assert len(call.vendor.sessions) == 1
        call.vendor.last.say(*ends)  # type: ignore[arg-type]
        await call.pass_(3)
        assert call.of(SessionRotated) == [SessionRotated("sess_2", "limit")]
        assert call.of(ErrorReported) == []


async def test_it_waits_for_a_tool() -> None:
    async with conversation() as call:
        call.vendor.last.say(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.pass_(LATE + 60)
        assert len(call.vendor.sessions) == 1
        await call.session.send_tool_result("c1", "42")
        await call.pass_(3)
        assert len(call.vendor.sessions) == 1, "the answer to the result has not come yet"
        call.vendor.last.say(ResponseStarted("r2"), ResponseFinished("r2"))
        await call.pass_(3)
        assert call.vendor.last.history == [("tool_call", "c1"), ("tool_result", "42")]
        assert call.vendor.last.commands == []


async def test_what_happens_while_connecting_makes_it_wait_for_another_moment() -> None:
    async with conversation() as call:
        call.vendor.hold = anyio.Event()
        await call.pass_(LATE)
        call.vendor.last.say(*TURN)
        await call.settle()
        call.vendor.hold.set()
        await call.settle()
        assert not call.of(SessionRotated)
        assert call.vendor.left == 1, "the session that knows too little is closed"
        await call.pass_(3)
        assert call.vendor.last.history == [("user", "Are you open?"), ("agent", "Yes, we are.")]


async def test_at_the_last_moment_it_is_replaced_although_it_is_busy() -> None:
    async with conversation(watchdog=None) as call:
        await call.pass_(3400)
        call.vendor.last.say(
            SpeechStarted("u1"),
            SpeechStopped("u1", 0),
            UserTranscript("Tell me all", True, "u1"),
            ResponseStarted("r1"),
        )
        call.vendor.last.say(AgentTranscript("It began", False, "a1", "r1"), AudioReceived(bytes(800), "a1", "r1"))
        call.vendor.last.say(AgentTranscript(" long ago", False, "a1", "r1"))
        await call.pass_(169)
        assert len(call.vendor.sessions) == 1
        await call.pass_(1)
        assert call.vendor.last.history == [("user", "Tell me all"), ("agent", "It began")]
        assert call.seen[-2:] == [ResponseFinished("r1", "failed", "limit"), SessionRotated("sess_2", "limit")]
        assert call.vendor.last.commands == [("create", None)], "the caller is owed an answer"


async def test_an_unanswered_tool_call_is_carried_over_and_answered_in_the_new_session_once() -> None:
    async with conversation() as call:
        await call.pass_(3400)
        call.vendor.last.say(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.pass_(170)
        assert call.vendor.last.history == [("tool_call", "c1")]
        await call.session.send_tool_result("c1", "42")
        old, new = call.vendor.sessions
        assert (old.commands, new.commands) == ([], [("result", "c1", "42")])


async def test_if_no_new_session_is_to_be_had_the_old_one_goes_on() -> None:
    vendor = MemoryVendor(failures=[None, ConnectionFailed("down")])
    async with conversation(vendor) as call:
        await call.pass_(LATE)
        assert (vendor.attempts, call.of(SessionRotated, ErrorReported)) == (2, [])
        await call.pass_(10)
        assert call.of(SessionRotated) == [SessionRotated("sess_2", "limit")]


async def test_each_session_has_its_own_limit() -> None:
    async with conversation() as call:
        for number in (2, 3, 4):
            await call.pass_(LATE)
            assert call.seen[-1] == SessionRotated(f"sess_{number}", "limit")


async def test_without_a_limit_nothing_is_replaced_unless_it_is_asked_for() -> None:
    endless = MemoryVendor(capabilities=MemoryVendor().capabilities.__class__(input_rate=8000, output_rate=8000))
    async with conversation(endless) as call:
        await call.pass_(7200)
        assert len(endless.sessions) == 1
    async with conversation(MemoryVendor(), rotate_after=60) as call:
        await call.pass_(60)
        assert len(call.vendor.sessions) == 2


async def test_truncating_an_item_of_an_earlier_session_only_changes_what_later_ones_are_told() -> None:
    async with conversation() as call:
        call.vendor.last.say(*TURN)
        await call.pass_(LATE)
        await call.session.truncate("a1", heard_ms=500)
        assert call.vendor.last.commands == []
        await call.pass_(LATE)
        assert call.vendor.last.history == [("user", "Are you open?"), ("agent", "Yes,")]


async def test_instructions_changed_in_between_hold_in_the_new_session() -> None:
    async with conversation() as call:
        await call.session.update_instructions("Be brief.")
        await call.pass_(LATE)
        assert call.vendor.last.config.instructions == "Be brief."
        assert call.vendor.last.config.input_format == TWILIO


async def test_times_of_speech_count_from_the_beginning_of_the_conversation() -> None:
    async with conversation() as call:
        await call.session.send_audio(TWILIO.silence(1000))
        call.vendor.last.say(SpeechStarted("u1", 100), SpeechStopped("u1", 800), UserTranscript("Hi", True, "u1"))
        await call.pass_(LATE)
        assert len(call.vendor.last.heard) == 200 * 8, "only what followed the turn is heard again"
        await call.session.send_audio(TWILIO.silence(1000))
        call.vendor.last.say(SpeechStarted("u2", 300), SpeechStopped("u2", 900))
        await call.settle()
        assert call.seen[-2:] == [SpeechStarted("u2", 1100), SpeechStopped("u2", 1700)]
