"""Sessions that break, and what the next one is given."""

import anyio
import pytest

from tests.realtime.reconnect.vendor import MemoryVendor, conversation
from trunkline.audio import OPENAI, TWILIO
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    InvalidConfig,
    LocalProtocolError,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    SessionClosed,
)
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
    ToolCallCancelled,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.reconnect import ReconnectPolicy
from trunkline.transport.backoff import Backoff

pytestmark = pytest.mark.anyio

POLICY = ReconnectPolicy(attempts=4, backoff=Backoff(first=1, jitter=0))
GONE = ConnectionFailed("gone", vendor="memory")


async def test_a_session_that_breaks_idle_is_taken_up_at_once() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"quiet")
        call.vendor.last.breaks(GONE)
        await call.pass_(0)
        assert call.seen[1:] == [ErrorReported(GONE), SessionRotated("sess_2", "reconnect")]
        assert call.vendor.last.heard == b"quiet"
        assert call.vendor.last.commands == [], "nobody is owed anything"


async def test_an_ordinary_close_of_the_vendors_is_a_break_too() -> None:
    async with conversation() as call:
        call.vendor.last.say(SessionEnded("closed_by_vendor"))
        await call.pass_(0)
        error, rotated = call.seen[1:]
        assert isinstance(error, ErrorReported)
        assert isinstance(error.error, ConnectionFailed)
        assert not error.fatal
        assert rotated == SessionRotated("sess_2", "reconnect")


async def test_a_session_at_its_limit_unprepared_is_a_break_too() -> None:
    async with conversation() as call:
        call.vendor.last.say(SessionEnded("session_expired", SessionClosed("60 minutes", "session_expired")))
        await call.pass_(0)
        error, rotated = call.seen[1:]
        assert isinstance(error, ErrorReported)
        assert (error.error.code, error.fatal) == ("session_expired", False)
        assert rotated == SessionRotated("sess_2", "reconnect")


@pytest.mark.parametrize("is_done", [False, True])
async def test_what_is_said_while_a_tool_works_is_said_only_then(is_done: bool) -> None:
    vendor = MemoryVendor(failures=[None, GONE])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.last.say(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.settle()
        await call.session.create_response("One moment.", during_tools=True)
        vendor.last.breaks()
        await call.pass_(0.5)
        if is_done:
            await call.session.send_tool_result("c1", "42")
        await call.pass_(0.5)
        expected = ("create", None) if is_done else ("create", "One moment.", "during tools")
        assert vendor.last.commands == [expected]


async def test_a_break_in_the_middle_of_an_utterance_loses_nothing_of_it() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"before. ")
        call.vendor.last.say(SpeechStarted("u0", 0), SpeechStopped("u0", 1), UserTranscript("before", True, "u0"))
        call.vendor.last.say(SpeechStarted("u1", 1))
        await call.settle()
        await call.session.send_audio(b"the beginning")
        call.vendor.hold = anyio.Event()
        call.vendor.last.breaks()
        await call.pass_(0)
        await call.session.send_audio(b", the middle")
        call.vendor.hold.set()
        await call.settle()
        await call.session.send_audio(b", the end")
        assert call.vendor.last.heard == b"the beginning, the middle, the end"
        assert call.vendor.last.history == [("user", "before")]
        assert call.vendor.last.commands == []


async def test_a_turn_whose_words_are_unknown_is_heard_again_and_not_asked_for_twice() -> None:
    async with conversation() as call:
        await call.session.send_audio(bytes(8000))
        call.vendor.last.say(SpeechStarted("u1"), SpeechStopped("u1", 900), ResponseStarted("r1"))
        call.vendor.last.say(AgentTranscript("Well", False, "a1", "r1"), AudioReceived(b"12345678" * 100, "a1", "r1"))
        call.vendor.last.breaks()
        await call.pass_(0)
        assert (len(call.vendor.last.heard), call.vendor.last.commands) == (8000, [])
        assert ResponseFinished("r1", "failed", "reconnect", error=call.of(ErrorReported)[0].error) in call.seen  # type: ignore[union-attr]


async def test_an_answer_to_known_words_is_asked_for_again() -> None:
    async with conversation() as call:
        await call.session.send_audio(bytes(8000))
        call.vendor.last.say(SpeechStarted("u1"), SpeechStopped("u1", 1000), UserTranscript("Hello?", True, "u1"))
        call.vendor.last.breaks()
        await call.pass_(0)
        assert (call.vendor.last.heard, call.vendor.last.history) == (b"", [("user", "Hello?")])
        assert call.vendor.last.commands == [("create", None)]


async def test_an_answer_that_was_cancelled_is_not() -> None:
    async with conversation() as call:
        call.vendor.last.say(ResponseStarted("r1"))
        await call.settle()
        await call.session.cancel_response()
        call.vendor.last.breaks()
        await call.pass_(0)
        assert call.vendor.last.commands == []


async def test_turns_ended_by_hand_are_ended_by_hand_again() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"one")
        await call.session.commit_audio()
        await call.session.create_response("Answer.")
        await call.session.send_audio(b"two")
        call.vendor.last.breaks()
        await call.pass_(0)
        assert call.vendor.last.given == [("audio", b"one"), ("commit",), ("audio", b"two"), ("create", "Answer.")]
        await call.session.clear_audio()
        call.vendor.last.breaks()
        await call.pass_(60)
        assert call.vendor.last.given == [("audio", b"one"), ("commit",), ("create", "Answer.")]


async def test_answered_turns_ended_by_hand_are_not() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"one")
        await call.session.commit_audio()
        await call.session.create_response()
        call.vendor.last.say(ResponseStarted("r1"), ResponseFinished("r1"))
        await call.settle()
        await call.session.send_audio(b"two")
        call.vendor.last.breaks()
        await call.pass_(0)
        assert call.vendor.last.given == [("audio", b"two")]


async def test_a_vendor_that_only_answers_and_tells_of_no_turns_hears_nothing_twice() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"a question?")
        call.vendor.last.say(ResponseStarted("r1"), ResponseFinished("r1"))
        await call.settle()
        await call.session.send_audio(b"and")
        call.vendor.last.breaks()
        await call.pass_(0)
        assert call.vendor.last.heard == b"and"


async def test_what_is_said_and_answered_while_there_is_no_session_reaches_the_next() -> None:
    vendor = MemoryVendor(failures=[None, GONE])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.last.say(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.settle()
        vendor.last.breaks()
        await call.pass_(0.5)
        await call.session.send_tool_result("c1", "42")
        await call.session.send_text("And you?")
        await call.session.update_instructions("Be brief.")
        await call.pass_(0.5)
        assert vendor.last.history == [("tool_call", "c1"), ("tool_result", "42"), ("user", "And you?")]
        assert vendor.last.config.instructions == "Be brief."
        assert vendor.last.commands == [("create", None)]
        with pytest.raises(LocalProtocolError, match="before"):
            await call.session.send_tool_result("c1", "43")
        with pytest.raises(LocalProtocolError, match="no tool call"):
            await call.session.send_tool_result("c2", "43")


async def test_what_is_said_while_a_session_is_being_made_waits_for_it() -> None:
    async with conversation() as call:
        call.vendor.hold = anyio.Event()
        call.vendor.last.say(ToolCallRequested("c1", "f", "{}", "r1"))
        await call.settle()
        call.vendor.last.breaks()
        await call.pass_(0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.session.send_tool_result, "c1", "42")
            await call.settle()
            call.vendor.hold.set()
        assert (call.vendor.last.history, call.vendor.last.commands) == (
            [("tool_call", "c1")],
            [("result", "c1", "42")],
        )


async def test_a_tool_call_that_was_taken_back_is_forgotten() -> None:
    async with conversation() as call:
        call.vendor.last.say(ToolCallRequested("c1", "f", "{}", "r1"), ToolCallCancelled("c1"))
        await call.settle()
        await call.session.send_tool_result("c1", "late")
        assert call.vendor.last.commands == []
        call.vendor.last.breaks()
        await call.pass_(0)
        assert call.vendor.last.history == []


async def test_attempts_wait_longer_and_longer_and_the_last_failure_ends_the_conversation() -> None:
    down = [ProviderUnavailable(f"down {n}", vendor="memory") for n in range(4)]
    vendor = MemoryVendor(failures=[None, *down])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.last.breaks(GONE)
        moments = []
        for _ in range(80):
            before = vendor.attempts
            await call.pass_(0.1)
            moments += [round(call.clock.now() - 0.1)] * (vendor.attempts - before)
        assert moments == [0, 1, 3, 7]
        assert call.seen[1:] == [
            ErrorReported(GONE),
            ErrorReported(down[3], fatal=True),
            SessionEnded("failed", down[3]),
        ]
        with pytest.raises(SessionClosed):
            await call.session.send_audio(b"x")


async def test_sessions_that_break_at_once_again_and_again_end_the_conversation() -> None:
    async with conversation(reconnect=POLICY) as call:
        for _ in range(5):
            call.vendor.last.breaks(GONE)
            await call.pass_(10)
        assert len(call.vendor.sessions) == 5
        assert call.seen[-1] == SessionEnded("failed", GONE)


async def test_a_session_that_was_sound_for_a_while_gives_new_attempts() -> None:
    async with conversation(reconnect=POLICY) as call:
        for _ in range(8):
            await call.pass_(31)
            call.vendor.last.breaks(GONE)
            await call.pass_(0)
        assert len(call.vendor.sessions) == 9


async def test_the_vendors_word_on_when_to_come_again_is_kept() -> None:
    vendor = MemoryVendor(failures=[None, RateLimited("later", vendor="memory", retry_after=9)])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.last.breaks()
        await call.pass_(8.9)
        assert vendor.attempts == 2
        await call.pass_(0.2)
        assert vendor.attempts == 3
        assert call.of(SessionRotated)


@pytest.mark.parametrize(
    "refusal",
    [AuthFailed("no"), RequestRejected("no"), RateLimited("tomorrow", retry_after=86400), InvalidConfig("a", "b")],
)
async def test_what_another_attempt_cannot_cure_ends_the_conversation(refusal: Exception) -> None:
    vendor = MemoryVendor(failures=[None, refusal])
    async with conversation(vendor) as call:
        vendor.last.breaks(GONE)
        await call.pass_(100)
        assert vendor.attempts == 2
        ended = call.seen[-1]
        assert isinstance(ended, SessionEnded)
        assert isinstance(ended.error, ProviderError)
        assert refusal in {ended.error, ended.error.__cause__}


async def test_a_session_that_ends_for_such_a_reason_is_not_taken_up() -> None:
    async with conversation() as call:
        call.vendor.last.breaks(AuthFailed("revoked"))
        await call.pass_(100)
        assert (call.vendor.attempts, type(call.seen[-1])) == (1, SessionEnded)


async def test_other_formats_than_before_are_refused() -> None:
    async with conversation(MemoryVendor(formats=[TWILIO, OPENAI])) as call:
        call.vendor.last.breaks(GONE)
        await call.pass_(100)
        assert isinstance(call.seen[-1], SessionEnded)
        assert call.seen[-1].error is not None
        assert call.seen[-1].error.code == "formats_changed"


async def test_audio_that_no_session_had_room_for_is_counted() -> None:
    async with conversation(replay_seconds=1) as call:
        call.vendor.hold = anyio.Event()
        await call.session.send_audio(bytes(8000))
        await call.session.send_audio(bytes(8000))
        assert call.session.dropped_bytes == 0, "the session was given what has left the log"
        call.vendor.last.breaks()
        await call.pass_(0)
        await call.session.send_audio(b"1" * 8000 + b"2" * 8000)
        call.vendor.hold.set()
        await call.settle()
        assert call.vendor.last.heard == b"2" * 8000
        assert call.session.dropped_bytes == 8000


async def test_a_session_that_takes_audio_too_slowly_misses_the_oldest_and_that_is_counted() -> None:
    async with conversation(replay_seconds=1) as call:
        slow = call.vendor.last
        slow.stuck = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for piece in range(12):
                tasks.start_soon(call.session.send_audio, bytes([piece]) * 2000)
                await call.settle()
            slow.stuck.set()
        assert call.vendor.attempts == 1
        assert slow.heard == b"".join(bytes([piece]) * 2000 for piece in (0, 8, 9, 10, 11))
        assert call.session.dropped_bytes == 7 * 2000


async def test_a_command_on_its_way_is_given_up_with_its_session() -> None:
    async with conversation() as call:
        first = call.vendor.last
        first.stuck = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.session.send_audio, b"one ")
            await call.settle()
            tasks.start_soon(call.session.send_text, "Hello?")
            await call.settle()
            first.breaks()
            await call.pass_(0)
        await call.session.send_audio(b"two")
        assert first.given == []
        assert call.vendor.last.heard == b"one two"
        told = [call.vendor.last.history, call.vendor.last.commands]
        assert told in [[[], [("text", "Hello?")]], [[("user", "Hello?")], [("create", None)]]], (
            "once, one way or the other"
        )


async def test_a_session_that_takes_no_commands_is_given_up() -> None:
    async with conversation() as call, anyio.create_task_group() as tasks:
        call.vendor.last.stuck = anyio.Event()
        tasks.start_soon(call.session.send_audio, b"hello")
        await call.pass_(15)
        assert call.vendor.last.heard == b"hello"
        assert [type(event) for event in call.seen] == [SessionReady, ErrorReported, SessionRotated]


async def test_a_sender_that_is_cancelled_has_sent_all_or_nothing() -> None:
    async with conversation() as call:
        first = call.vendor.last
        first.stuck = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.session.send_audio, b"one ")
            await call.settle()
            tasks.start_soon(call.session.send_audio, b"two ")
            await call.settle()
            tasks.cancel_scope.cancel()
            first.stuck.set()
        await call.session.send_audio(b"three")
        assert first.heard == b"one two three"
