"""Sessions that break, and what the next one is given."""

from dataclasses import replace

import anyio
import pytest

from tests.realtime.reconnect.conversation import ABLE, GONE, POLICY, conversation, history, telephone
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
    SessionResumable,
    SessionRotated,
    SpeechStarted,
    SpeechStopped,
    ToolCallCancelled,
    ToolCallRequested,
    UserTranscript,
)

pytestmark = pytest.mark.anyio


async def test_a_session_that_breaks_idle_is_taken_up_at_once() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"quiet")
        call.last.die(GONE)
        await call.pass_(0)
        assert call.seen[1] == ErrorReported(GONE)
        assert call.rotations == [("fake", "reconnect")]
        assert call.last.heard == b"quiet"
        assert call.last.commands == [], "nobody is owed anything"


async def test_an_ordinary_close_of_the_vendors_is_a_break_too() -> None:
    async with conversation() as call:
        call.last.feed(SessionEnded("closed_by_vendor"))
        await call.pass_(0)
        error, rotated = call.seen[1:]
        assert isinstance(error, ErrorReported)
        assert isinstance(error.error, ConnectionFailed)
        assert not error.fatal
        assert (rotated.reason, rotated.provider) == ("reconnect", "fake")


async def test_a_session_at_its_limit_unprepared_is_a_break_too() -> None:
    async with conversation() as call:
        call.last.feed(SessionEnded("session_expired", SessionClosed("60 minutes", "session_expired")))
        await call.pass_(0)
        error, rotated = call.seen[1:]
        assert isinstance(error, ErrorReported)
        assert (error.error.code, error.fatal) == ("session_expired", False)
        assert (rotated.reason, rotated.provider) == ("reconnect", "fake")


@pytest.mark.parametrize("is_done", [False, True])
async def test_say_while_a_tool_works_is_dropped_once_the_tool_is_done(is_done: bool) -> None:
    vendor = telephone(failures=[None, GONE])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.session.feed(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.settle()
        await call.session.say("One moment.")
        vendor.session.die()
        await call.pass_(0.5)
        if is_done:
            await call.session.send_tool_result("c1", "42")
        await call.pass_(0.5)
        assert vendor.session.commands == [("create", None) if is_done else ("say", "One moment.")]


async def test_say_before_a_break_is_said_by_the_next_session() -> None:
    async with conversation() as call:
        await call.session.say("Good morning.")
        call.last.feed(ResponseStarted("r1"))  # and nothing of it
        call.last.die()
        await call.pass_(0)
        assert call.last.commands == [("say", "Good morning.")]


async def test_a_break_in_the_middle_of_an_utterance_loses_nothing_of_it() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"before. ")
        call.last.feed(SpeechStarted("u0", 0), SpeechStopped("u0", 1), UserTranscript("before", True, "u0"))
        call.last.feed(SpeechStarted("u1", 1))
        await call.settle()
        await call.session.send_audio(b"the beginning")
        call.vendor.gate = anyio.Event()
        call.last.die()
        await call.pass_(0)
        await call.session.send_audio(b", the middle")
        call.vendor.gate.set()
        await call.settle()
        await call.session.send_audio(b", the end")
        assert call.last.heard == b"the beginning, the middle, the end"
        assert history(call.last) == [("user", "before")]
        assert call.last.commands == []


async def test_a_turn_whose_words_are_unknown_is_heard_again_and_not_asked_for_twice() -> None:
    async with conversation() as call:
        await call.session.send_audio(bytes(8000))
        call.last.feed(SpeechStarted("u1"), SpeechStopped("u1", 900), ResponseStarted("r1"))
        call.last.feed(AgentTranscript("Well", False, "a1", "r1"), AudioReceived(b"12345678" * 100, "a1", "r1"))
        call.last.die()
        await call.pass_(0)
        assert (len(call.last.heard), call.last.commands) == (8000, [])
        assert ResponseFinished("r1", "failed", "reconnect", error=call.of(ErrorReported)[0].error) in call.seen


async def test_an_answer_to_known_words_is_asked_for_again() -> None:
    async with conversation() as call:
        await call.session.send_audio(bytes(8000))
        call.last.feed(SpeechStarted("u1"), SpeechStopped("u1", 1000), UserTranscript("Hello?", True, "u1"))
        call.last.die()
        await call.pass_(0)
        assert (bytes(call.last.heard), history(call.last)) == (b"", [("user", "Hello?")])
        assert call.last.commands == [("create", None)]


async def test_an_answer_that_was_cancelled_is_not() -> None:
    async with conversation() as call:
        call.last.feed(ResponseStarted("r1"))
        await call.settle()
        await call.session.cancel_response()
        call.last.die()
        await call.pass_(0)
        assert call.last.commands == []


async def test_turns_ended_by_hand_are_ended_by_hand_again() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"one")
        await call.session.commit_audio()
        await call.session.create_response("Answer.")
        await call.session.send_audio(b"two")
        call.last.die()
        await call.pass_(0)
        assert (bytes(call.last.heard), call.last.commands) == (b"onetwo", [("commit",), ("create", "Answer.")])
        assert call.last.heard_before == [3, 6]
        await call.session.clear_audio()
        call.last.die()
        await call.pass_(60)
        assert (bytes(call.last.heard), call.last.commands) == (b"one", [("commit",), ("create", "Answer.")])


async def test_answered_turns_ended_by_hand_are_not() -> None:
    async with conversation() as call:
        await call.session.send_audio(b"one")
        await call.session.commit_audio()
        await call.session.create_response()
        call.last.feed(ResponseStarted("r1"), ResponseFinished("r1"))
        await call.settle()
        await call.session.send_audio(b"two")
        call.last.die()
        await call.pass_(0)
        assert (bytes(call.last.heard), call.last.commands) == (b"two", [])


async def test_a_vendor_that_only_answers_and_tells_of_no_turns_hears_nothing_twice() -> None:
    async with conversation(telephone(capabilities=replace(ABLE, reports_speech=False))) as call:
        await call.session.send_audio(b"a question?")
        call.last.feed(ResponseStarted("r1"), ResponseFinished("r1"))
        await call.settle()
        await call.session.send_audio(b"and")
        call.last.die()
        await call.pass_(0)
        assert call.last.heard == b"and"


async def test_what_is_said_and_answered_while_there_is_no_session_reaches_the_next() -> None:
    vendor = telephone(failures=[None, GONE])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.session.feed(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.settle()
        vendor.session.die()
        await call.pass_(0.5)
        await call.session.send_tool_result("c1", "42")
        await call.session.send_text("And you?")
        await call.session.update_instructions("Be brief.")
        await call.pass_(0.5)
        assert history(vendor.session) == [("tool_call", "c1"), ("tool_result", "42"), ("user", "And you?")]
        assert vendor.session.config.instructions == "Be brief."
        assert vendor.session.commands == [("create", None)]
        with pytest.raises(LocalProtocolError, match="before"):
            await call.session.send_tool_result("c1", "43")
        with pytest.raises(LocalProtocolError, match="no tool call"):
            await call.session.send_tool_result("c2", "43")


async def test_commands_while_a_session_is_connected_return_at_once_and_reach_it_in_order() -> None:
    async with conversation() as call:
        call.vendor.gate = anyio.Event()
        call.last.feed(ToolCallRequested("c1", "f", "{}", "r1"))
        await call.settle()
        call.last.die()
        await call.pass_(0)
        with anyio.fail_after(5):
            await call.session.send_tool_result("c1", "42")
            await call.session.send_text("And you?")
            await call.session.update_instructions("Be brief.")
            await call.session.create_response("Short.")
            await call.session.truncate("a1", heard_ms=10)
            await call.session.clear_audio()
        call.vendor.gate.set()
        await call.settle()
        assert history(call.last) == [("tool_call", "c1")]
        assert call.last.commands == [
            ("result", "c1", "42"),
            ("text", "And you?"),
            ("instructions", "Be brief."),
            ("create", "Short."),
        ]


async def test_cancel_while_a_session_is_connected_returns_at_once_and_drops_what_was_asked_for() -> None:
    async with conversation() as call:
        call.vendor.gate = anyio.Event()
        await call.session.create_response("Tell a story.")
        call.last.die()
        await call.pass_(0)
        with anyio.fail_after(5):
            await call.session.cancel_response()
        call.vendor.gate.set()
        await call.settle()
        assert call.last.commands == []


async def test_an_unrelated_error_before_a_break_leaves_the_answer_due() -> None:
    async with conversation() as call:
        await call.session.send_text("Are you open?")
        call.last.feed(ErrorReported(ProviderError("a message that cannot be read")))
        await call.settle()
        call.last.die()
        await call.pass_(0)
        assert (history(call.last), call.last.commands) == ([("user", "Are you open?")], [("create", None)])


async def test_a_foreign_exception_of_connect_is_an_attempt() -> None:
    vendor = telephone(failures=[None, OSError("no route"), ExceptionGroup("all", [ValueError("a bug")])])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.session.die(GONE)
        await call.pass_(3)
        assert call.rotations == [("fake", "reconnect")]
        told = [event.error for event in call.of(ErrorReported)]
        assert [type(error) for error in told] == [ConnectionFailed] * 3
        assert [str(error.__cause__) for error in told[1:]] == ["no route", "a bug"]


async def test_a_session_that_raises_while_it_is_read_is_a_break() -> None:
    async with conversation() as call:
        call.last.failure = ValueError("a bug of the provider's")
        call.last.feed(ResponseStarted("r1"))
        await call.pass_(0)
        assert call.rotations == [("fake", "reconnect")]


async def test_a_session_that_raises_while_it_is_sent_audio_is_a_break() -> None:
    async def broken(audio: bytes) -> None:
        raise OSError("broken pipe")

    async with conversation() as call:
        call.last.send_audio = broken  # type: ignore[method-assign]
        await call.session.send_audio(b"hello")
        await call.pass_(0)
        assert call.rotations == [("fake", "reconnect")]
        assert call.last.heard == b"hello"


async def test_a_tool_call_that_was_taken_back_is_forgotten() -> None:
    async with conversation() as call:
        call.last.feed(ToolCallRequested("c1", "f", "{}", "r1"), ToolCallCancelled("c1"))
        await call.settle()
        await call.session.send_tool_result("c1", "late")
        assert call.last.commands == []
        call.last.die()
        await call.pass_(0)
        assert history(call.last) == []


async def test_attempts_wait_longer_and_longer_and_the_last_failure_ends_the_conversation() -> None:
    down = [ProviderUnavailable(f"down {n}", vendor="fake") for n in range(4)]
    vendor = telephone(failures=[None, *down])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.session.die(GONE)
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
            call.last.die(GONE)
            await call.pass_(10)
        assert len(call.vendor.sessions) == 5
        assert call.seen[-1] == SessionEnded("failed", GONE)


async def test_a_session_that_was_sound_for_a_while_gives_new_attempts() -> None:
    async with conversation(reconnect=POLICY) as call:
        for _ in range(8):
            await call.pass_(31)
            call.last.die(GONE)
            await call.pass_(0)
        assert len(call.vendor.sessions) == 9


async def test_the_vendors_word_on_when_to_come_again_is_kept() -> None:
    vendor = telephone(failures=[None, RateLimited("later", vendor="fake", retry_after=9)])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.session.die()
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
    vendor = telephone(failures=[None, refusal])
    async with conversation(vendor) as call:
        vendor.session.die(GONE)
        await call.pass_(100)
        assert vendor.attempts == 2
        ended = call.seen[-1]
        assert isinstance(ended, SessionEnded)
        assert isinstance(ended.error, ProviderError)
        assert refusal in {ended.error, ended.error.__cause__}


async def test_a_session_that_ends_for_such_a_reason_is_not_taken_up() -> None:
    async with conversation() as call:
        call.last.die(AuthFailed("revoked"))
        await call.pass_(100)
        assert (call.vendor.attempts, type(call.seen[-1])) == (1, SessionEnded)


async def test_audio_that_no_session_had_room_for_is_counted() -> None:
    async with conversation(replay_seconds=1) as call:
        call.vendor.gate = anyio.Event()
        await call.session.send_audio(bytes(8000))
        await call.session.send_audio(bytes(8000))
        assert call.session.dropped_bytes == 0, "the session was given what has left the log"
        call.last.die()
        await call.pass_(0)
        await call.session.send_audio(b"1" * 8000 + b"2" * 8000)
        call.vendor.gate.set()
        await call.settle()
        assert call.last.heard == b"2" * 8000
        assert call.session.dropped_bytes == 8000


async def test_a_session_that_takes_audio_too_slowly_misses_the_oldest_and_that_is_counted() -> None:
    async with conversation(replay_seconds=1) as call:
        slow = call.last
        slow.blocked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for piece in range(12):
                tasks.start_soon(call.session.send_audio, bytes([piece]) * 2000)
                await call.settle()
            slow.blocked.set()
        assert call.vendor.attempts == 1
        assert slow.heard == b"".join(bytes([piece]) * 2000 for piece in (0, 8, 9, 10, 11))
        assert call.session.dropped_bytes == 7 * 2000


async def test_a_command_on_its_way_is_given_up_with_its_session_and_reaches_the_next_once() -> None:
    async with conversation() as call:
        first = call.last
        first.blocked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.session.send_audio, b"one ")
            await call.settle()
            tasks.start_soon(call.session.send_text, "Hello?")
            await call.settle()
            first.die()
            await call.pass_(0)
        await call.session.send_audio(b"two")
        assert (bytes(first.heard), first.commands) == (b"", [])
        assert call.last.heard == b"one two"
        assert (history(call.last), call.last.commands) == ([("user", "Hello?")], [("create", None)])


async def test_a_session_that_takes_no_commands_is_given_up() -> None:
    async with conversation() as call, anyio.create_task_group() as tasks:
        call.last.blocked = anyio.Event()
        tasks.start_soon(call.session.send_audio, b"hello")
        await call.pass_(30)
        assert call.last.heard == b"hello"
        assert [type(event) for event in call.seen] == [SessionReady, ErrorReported, SessionRotated]


async def test_a_command_whose_sender_is_cancelled_is_sent_whole() -> None:
    async with conversation() as call:
        first = call.last
        first.blocked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.session.send_text, "one")
            tasks.start_soon(call.session.send_text, "two")
            await call.settle()
            tasks.cancel_scope.cancel()
            first.blocked.set()
        assert sorted(first.commands) == [("text", "one"), ("text", "two")]


async def test_audio_whose_sender_is_cancelled_stays_in_the_conversation() -> None:
    async with conversation() as call:
        call.last.blocked = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call.session.send_audio, b"one ")
            await call.settle()
            tasks.start_soon(call.session.send_audio, b"two ")
            await call.settle()
            tasks.cancel_scope.cancel()
        call.last.blocked.set()
        await call.session.send_audio(b"three")
        assert call.last.heard == b"two three", "what was on its way may be lost, and nothing else"
        call.last.die()
        await call.pass_(0)
        assert call.last.heard == b"one two three"


# ── sessions that the vendor takes up with its own memory ────────────────────────────────────────────────────────────


async def test_next_session_is_given_the_last_handle() -> None:
    async with conversation() as call:
        call.last.user_said("My name is Ann.")
        call.last.feed(SessionResumable("handle-1"), SessionResumable("handle-2"))
        await call.pass_(0)
        call.last.die(GONE)
        await call.pass_(0)
        assert call.last.config.resume_handle == "handle-2"
        assert history(call.last) == [("user", "My name is Ann.")], "in case the handle is refused"
        assert not any(isinstance(event, SessionResumable) for event in call.seen)
        call.last.die(GONE)
        await call.pass_(1)
        assert call.last.config.resume_handle is None, "this session gave none"


async def test_what_came_after_the_handle_makes_it_useless() -> None:
    async with conversation() as call:
        call.last.feed(SessionResumable("handle-1"))
        await call.pass_(0)
        await call.session.send_text("Hello.")
        call.last.die(GONE)
        await call.pass_(0)
        assert call.last.config.resume_handle is None
        assert history(call.last) == [("user", "Hello.")]


async def test_handle_that_is_taken_back_is_not_used() -> None:
    async with conversation() as call:
        call.last.feed(SessionResumable("handle-1"), SessionResumable(None))
        await call.pass_(0)
        call.last.die(GONE)
        await call.pass_(0)
        assert call.last.config.resume_handle is None


async def test_another_provider_is_not_given_the_handle() -> None:
    other = telephone("other")
    async with conversation(telephone("fake"), other) as call:
        call.last.feed(SessionResumable("handle-1"))
        await call.pass_(0)
        call.last.die(GONE)
        await call.pass_(0)
        assert other.session.config.resume_handle is None
