"""Sessions replaced before their limit."""

import anyio
import pytest

from tests.realtime.reconnect.conversation import HOUR, LATE, conversation, history, telephone
from trunkline.audio import TWILIO
from trunkline.errors import ConnectionFailed
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEnding,
    SessionReady,
    SessionRotated,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)

pytestmark = pytest.mark.anyio

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
        call.last.feed(*TURN)
        await call.pass_(LATE - 1)
        assert len(call.vendor.sessions) == 1
        await call.pass_(1)
        old, new = call.vendor.sessions
        assert history(new) == [("user", "Are you open?"), ("agent", "Yes, we are.")]
        assert old.closed
        assert not new.closed
        assert call.rotations[-1] == ("fake", "limit")
        assert new.commands == []
    assert len(call.of(SessionReady)) == 1
    assert call.seen[-1:] == [SessionEnded("closed")]


async def test_the_old_session_serves_until_the_new_one_is_ready() -> None:
    async with conversation() as call:
        call.vendor.gate = anyio.Event()
        await call.pass_(LATE)
        assert call.vendor.attempts == 2
        await call.session.send_audio(b"still here")
        assert call.last.heard == b"still here"
        call.vendor.gate.set()
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
        call.last.feed(*begins)  # type: ignore[arg-type]
        await call.pass_(7)
        assert len(call.vendor.sessions) == 1
        call.last.feed(*ends)  # type: ignore[arg-type]
        await call.pass_(3)
        assert call.rotations == [("fake", "limit")]
        assert call.of(ErrorReported) == []


async def test_it_waits_for_a_tool() -> None:
    async with conversation() as call:
        call.last.feed(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.pass_(LATE + 60)
        assert len(call.vendor.sessions) == 1
        await call.session.send_tool_result("c1", "42")
        await call.pass_(3)
        assert len(call.vendor.sessions) == 1, "the answer to the result has not come yet"
        call.last.feed(ResponseStarted("r2"), ResponseFinished("r2"))
        await call.pass_(3)
        assert history(call.last) == [("tool_call", "c1"), ("tool_result", "42")]
        assert call.last.commands == []


async def test_what_happens_while_connecting_makes_it_wait_for_another_moment() -> None:
    async with conversation() as call:
        call.vendor.gate = anyio.Event()
        await call.pass_(LATE)
        call.last.feed(*TURN)
        await call.settle()
        call.vendor.gate.set()
        await call.settle()
        assert not call.of(SessionRotated)
        assert call.vendor.running == 1, "the session that knows too little is closed"
        await call.pass_(3)
        assert history(call.last) == [("user", "Are you open?"), ("agent", "Yes, we are.")]


LONG_ANSWER = (
    SpeechStarted("u1", 0),
    SpeechStopped("u1", 0),
    UserTranscript("Tell me all", True, "u1"),
    ResponseStarted("r1"),
    AgentTranscript("It began", False, "a1", "r1"),
    AudioReceived(bytes(800), "a1", "r1"),
    AgentTranscript(" long ago", False, "a1", "r1"),
)


async def test_an_answer_that_runs_30_s_before_the_end_is_not_cut_and_the_session_is_replaced_after_it() -> None:
    async with conversation(watchdog=None) as call:
        await call.pass_(3400)
        call.last.feed(*LONG_ANSWER)
        await call.pass_(180)
        assert len(call.vendor.sessions) == 1
        call.last.feed(AudioReceived(TWILIO.silence(60_000), "a1", "r1"), ResponseFinished("r1"))
        await call.pass_(0)
        assert call.rotations == [("fake", "limit")], "its audio may still be played"
        assert [event.status for event in call.of(ResponseFinished)] == ["completed"]
        assert call.last.commands == []


async def test_a_user_who_speaks_30_s_before_the_end_is_heard_again_by_the_next_session() -> None:
    async with conversation() as call:
        await call.pass_(3400)
        await call.session.send_audio(b"before")
        call.last.feed(SpeechStarted("u1", 0))
        await call.pass_(169)
        assert call.rotations == []
        await call.pass_(1)
        assert (call.rotations, bytes(call.last.heard)) == ([("fake", "limit")], b"before")
        assert call.vendor.running == 1


async def test_an_answer_that_never_ends_is_given_anew_by_a_session_that_was_connected_before_it_was_cut() -> None:
    async with conversation(watchdog=None) as call:
        await call.pass_(3400)
        call.last.feed(*LONG_ANSWER)
        await call.pass_(189)
        assert call.vendor.attempts == 1
        call.vendor.gate = anyio.Event()
        await call.pass_(2)
        call.last.feed(AudioReceived(bytes(800), "a1", "r1"))
        await call.settle()
        assert (call.vendor.attempts, call.rotations) == (2, []), "it goes on while the next session is connected"
        call.vendor.gate.set()
        await call.settle()
        assert history(call.last) == [("user", "Tell me all"), ("agent", "It began long ago")]
        assert call.seen[-2] == ResponseFinished("r1", "failed", "limit")
        assert call.rotations == [("fake", "limit")]
        assert call.last.commands == [("create", None)], "the caller is due an answer"


async def test_a_session_that_is_ready_serves_if_the_old_one_breaks_meanwhile() -> None:
    async with conversation() as call:
        call.last.feed(*TURN)
        call.vendor.gate = anyio.Event()
        await call.pass_(LATE)
        call.last.die()
        await call.pass_(0)
        await call.session.send_text("Are you there?")
        call.vendor.gate.set()
        await call.settle()
        assert (call.vendor.attempts, call.rotations) == (2, [("fake", "reconnect")])
        assert history(call.last) == [("user", "Are you open?"), ("agent", "Yes, we are.")]
        assert call.last.commands == [("text", "Are you there?")]


async def test_a_session_that_knows_too_little_does_not_serve_if_the_old_one_breaks() -> None:
    async with conversation() as call:
        call.vendor.gate = anyio.Event()
        await call.pass_(LATE)
        call.last.feed(*TURN)
        await call.settle()
        call.last.die()
        await call.settle()
        call.vendor.gate.set()
        await call.pass_(0)
        assert history(call.last) == [("user", "Are you open?"), ("agent", "Yes, we are.")]
        assert (call.rotations, call.vendor.running) == ([("fake", "reconnect")], 1)


async def test_a_session_that_freezes_while_the_next_is_connected_is_noticed() -> None:
    async with conversation(connect_timeout=1000) as call:
        call.vendor.gate = anyio.Event()
        await call.pass_(LATE)
        call.last.feed(ResponseStarted("r1"))
        await call.pass_(15.1)
        assert [event.error.code for event in call.of(ErrorReported)] == ["frozen"]
        call.vendor.gate.set()
        await call.settle()
        assert call.rotations == [("fake", "frozen")]


async def test_an_end_that_the_vendor_announces_brings_the_rotation_forward() -> None:
    async with conversation(telephone()) as call:
        await call.pass_(600)
        call.last.feed(SessionEnding(660.0))
        await call.pass_(26)
        assert call.rotations == []
        await call.pass_(1)
        assert call.rotations == [("fake", "limit")]
        assert call.of(SessionEnding) == []


async def test_a_rotation_prefers_the_primary_and_takes_the_next_where_it_fails() -> None:
    one, two = telephone("one", life=HOUR, failures=[None, ConnectionFailed("down")]), telephone("two", life=HOUR)
    async with conversation(one, two) as call:
        await call.pass_(LATE)
        assert call.rotations == [("two", "limit")]
        assert [event.fatal for event in call.of(ErrorReported)] == [False]
        await call.pass_(LATE)
        assert call.rotations == [("two", "limit"), ("one", "limit")]


async def test_without_failover_a_rotation_stays_with_its_provider() -> None:
    one, two = telephone("one", life=HOUR, failures=[ConnectionFailed("down")]), telephone("two", life=HOUR)
    async with conversation(one, two, failover=False) as call:
        await call.pass_(LATE)
        two.session.die()
        await call.pass_(0)
        assert call.rotations == [("two", "limit"), ("two", "reconnect")]


async def test_an_unanswered_tool_call_is_carried_over_and_answered_in_the_new_session_once() -> None:
    async with conversation() as call:
        await call.pass_(3400)
        call.last.feed(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.pass_(170)
        assert len(call.vendor.sessions) == 2, "within the last half minute nobody waits for a tool"
        assert history(call.last) == [("tool_call", "c1")]
        await call.session.send_tool_result("c1", "42")
        old, new = call.vendor.sessions
        assert (old.commands, new.commands) == ([], [("result", "c1", "42")])


async def test_if_no_new_session_is_to_be_had_the_old_one_goes_on() -> None:
    vendor = telephone(life=HOUR, failures=[None, ConnectionFailed("down")])
    async with conversation(vendor) as call:
        await call.pass_(LATE)
        assert (vendor.attempts, call.of(SessionRotated, ErrorReported)) == (2, [])
        await call.pass_(10)
        assert call.rotations == [("fake", "limit")]


async def test_each_session_has_its_own_limit() -> None:
    async with conversation() as call:
        for number in (2, 3, 4):
            await call.pass_(LATE)
            assert len(call.rotations) == number - 1


async def test_without_an_announced_end_nothing_is_replaced_unless_it_is_asked_for() -> None:
    async with conversation(telephone()) as call:
        await call.pass_(7200)
        assert len(call.vendor.sessions) == 1
    async with conversation(rotate_after=60) as call:
        await call.pass_(60)
        assert len(call.vendor.sessions) == 2


async def test_truncating_an_item_of_an_earlier_session_only_changes_what_later_ones_are_told() -> None:
    async with conversation() as call:
        call.last.feed(*TURN)
        await call.pass_(LATE)
        await call.session.truncate("a1", heard_ms=500)
        assert call.last.commands == []
        await call.pass_(LATE)
        assert history(call.last) == [("user", "Are you open?"), ("agent", "Yes,")]


async def test_instructions_changed_in_between_hold_in_the_new_session() -> None:
    async with conversation() as call:
        await call.session.update_instructions("Be brief.")
        await call.pass_(LATE)
        assert call.last.config.instructions == "Be brief."
        assert call.last.config.input_format == TWILIO


async def test_times_of_speech_count_from_the_beginning_of_the_conversation() -> None:
    async with conversation() as call:
        await call.session.send_audio(TWILIO.silence(1000))
        call.last.feed(SpeechStarted("u1", 100), SpeechStopped("u1", 800), UserTranscript("Hi", True, "u1"))
        await call.pass_(LATE)
        assert len(call.last.heard) == 200 * 8, "only what followed the turn is heard again"
        await call.session.send_audio(TWILIO.silence(1000))
        call.last.feed(SpeechStarted("u2", 300), SpeechStopped("u2", 900))
        await call.settle()
        assert call.seen[-2:] == [SpeechStarted("u2", 1100), SpeechStopped("u2", 1700)]
