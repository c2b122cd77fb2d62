"""A conversation that goes on with another provider when its session breaks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from trunkline.audio import GEMINI_INPUT, GEMINI_OUTPUT, OPENAI, TWILIO, StreamConverter
from trunkline.clock import ManualClock
from trunkline.conversation import HistoryItem
from trunkline.errors import (
    AllProvidersFailed,
    AuthFailed,
    ConnectionFailed,
    InvalidConfig,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
)
from trunkline.realtime import ProcessConfig, RealtimeClient, RealtimeSession
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
from trunkline.testing.fake_provider import FULL, FakeProvider

ABLE = replace(FULL, input_rate=24000, output_rate=24000)


def provider(name: str, **options: Any) -> FakeProvider:
    usual: dict[str, Any] = {"capabilities": ABLE, "input_format": OPENAI, "output_format": OPENAI}
    return FakeProvider(name=name, **usual | options)


class Conversation:
    """A session that is being read."""

    def __init__(self, session: RealtimeSession, clock: ManualClock) -> None:
        self.session = session
        self.told: list[Any] = []
        self._clock = clock

    async def read(self) -> None:
        async for event in self.session:
            self.told.append(event)

    async def goes_on(self) -> None:
        """Time enough to find another provider."""
        await self._clock.advance(3)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]


@asynccontextmanager
async def conversation(*providers: FakeProvider, config: ProcessConfig | None = None) -> AsyncIterator[Conversation]:
    clock = ManualClock()
    client = RealtimeClient(*providers, clock=clock)
    async with client.connect(config or ProcessConfig()) as session, anyio.create_task_group() as tasks:
        talk = Conversation(session, clock)
        tasks.start_soon(talk.read)
        await clock.advance(0)
        yield talk
        tasks.cancel_scope.cancel()
    assert all(provider.running == 0 for provider in providers)


async def test_the_next_provider_hears_every_byte_that_was_not_understood() -> None:
    one, two = provider("one"), provider("two")
    async with conversation(one, two) as talk:
        for byte in b"abc":
            await talk.session.send_audio(bytes([byte]) * 960)
        error = ConnectionFailed("the line broke")
        one.session.die(error)
        await talk.session.send_audio(b"d" * 960)  # nobody has noticed yet
        await talk.goes_on()
        await talk.session.send_audio(b"e" * 960)
        assert two.session.heard == b"".join(bytes([byte]) * 960 for byte in b"abcde")
        ready, failed, rotated = talk.told
        assert isinstance(ready, SessionReady)
        assert failed == ErrorReported(error)
        assert isinstance(rotated, SessionRotated)


async def test_what_became_text_goes_on_as_history_and_is_not_heard_again() -> None:
    one, two = provider("one"), provider("two")
    async with conversation(one, two) as talk:
        await talk.session.send_audio(b"a" * 48000)
        one.session.feed(
            SpeechStarted("u"),
            SpeechStopped("u", 1000),
            UserTranscript("Are you open?", True, "u"),
            ResponseStarted("r"),
            AudioReceived(bytes(4800), "i", "r"),
            AgentTranscript("Until six.", True, "i", "r"),
            ResponseFinished("r"),
        )
        await talk.goes_on()
        await talk.session.send_audio(b"b" * 4800)
        one.session.die()
        await talk.goes_on()
        assert two.session.heard == b"b" * 4800
        assert list(two.session.config.history) == [
            HistoryItem(role="user", text="Are you open?"),
            HistoryItem(role="agent", text="Until six."),
        ]
        assert two.session.commands == []


async def test_an_answer_that_was_cut_is_asked_for_again() -> None:
    one, two = provider("one"), provider("two")
    async with conversation(one, two) as talk:
        await talk.session.send_audio(bytes(4800))
        one.session.feed(SpeechStarted("u"), SpeechStopped("u", 100), UserTranscript("Hello?", True, "u"))
        one.session.feed(ResponseStarted("r"), AudioReceived(bytes(4800), "i", "r"))
        await talk.goes_on()
        one.session.die()
        await talk.goes_on()
        (cut,) = talk.of(ResponseFinished)
        assert (cut.response_id, cut.status) == ("r", "failed")
        assert two.session.commands == [("create", None)]


async def test_a_tool_call_of_the_lost_session_is_answered_in_the_next() -> None:
    one, two = provider("one"), provider("two")
    async with conversation(one, two) as talk:
        one.session.feed(ResponseStarted("r"), ToolCallRequested("c", "weather", "{}", "r"), ResponseFinished("r"))
        await talk.goes_on()
        one.session.die()
        await talk.goes_on()
        await talk.session.send_tool_result("c", '"sunny"')
        assert list(two.session.config.history) == [
            HistoryItem(role="tool_call", call_id="c", name="weather", arguments="{}")
        ]
        assert (one.session.results, two.session.results) == ({}, {"c": '"sunny"'})


VOICE = bytes(range(256)) * 20


async def test_audio_sent_before_the_rotation_is_read_is_converted_once_and_audio_after_it_is_not() -> None:
    one = provider("one", input_format=TWILIO, output_format=TWILIO)
    two = provider("two", input_format=GEMINI_INPUT, output_format=GEMINI_OUTPUT)
    clock = ManualClock()
    client = RealtimeClient(one, two, clock=clock)
    async with client.connect(ProcessConfig(input_format=TWILIO, output_format=TWILIO)) as session:
        assert isinstance(await anext(aiter(session)), SessionReady)
        await session.send_audio(VOICE)  # heard again by the next session
        one.session.die()
        await clock.advance(3)
        assert two.running == 1
        assert (session.input_format, session.output_format) == (TWILIO, TWILIO), "nobody has read of the other yet"
        await session.send_audio(VOICE)  # to the new session, in the old format
        assert isinstance(await anext(aiter(session)), ErrorReported)
        rotated = await anext(aiter(session))
        assert rotated == SessionRotated("session-1", GEMINI_INPUT, GEMINI_OUTPUT, "two", "reconnect")
        assert (session.input_format, session.output_format) == (GEMINI_INPUT, GEMINI_OUTPUT)
        await session.send_audio(b"\x01\x02" * 160)
        converter = StreamConverter(TWILIO, GEMINI_INPUT)
        before = converter.convert(VOICE) + converter.convert(VOICE) + converter.flush()
        assert two.session.heard == before + b"\x01\x02" * 160
        assert len(before) == 4 * 2 * len(VOICE), "to the last sample"


async def test_audio_in_both_formats_is_heard_again_by_the_session_after() -> None:
    one = provider("one", input_format=TWILIO, output_format=TWILIO)
    two = provider("two", input_format=GEMINI_INPUT, output_format=GEMINI_OUTPUT)
    async with conversation(one, two, config=ProcessConfig(input_format=TWILIO)) as talk:
        await talk.session.send_audio(VOICE)
        one.session.die()
        await talk.goes_on()
        await talk.session.send_audio(b"\x01\x02" * 160)
        two.session.die()
        await talk.goes_on()
        to_linear, to_mulaw = StreamConverter(TWILIO, GEMINI_INPUT), StreamConverter(GEMINI_INPUT, TWILIO)
        assert two.session.heard == to_linear.convert(VOICE) + to_linear.flush() + b"\x01\x02" * 160
        await talk.session.send_audio(b"")
        await talk.session.commit_audio()
        assert one.session.heard == VOICE + to_mulaw.convert(b"\x01\x02" * 160) + to_mulaw.flush()
        assert (talk.session.input_format, talk.session.output_format) == (TWILIO, TWILIO)


async def test_audio_of_each_session_comes_in_the_format_announced_before_it() -> None:
    one = provider("one", input_format=TWILIO, output_format=TWILIO)
    two = provider("two", input_format=GEMINI_INPUT, output_format=GEMINI_OUTPUT)
    async with conversation(one, two, config=ProcessConfig(output_format=TWILIO)) as talk:
        one.session.feed(ResponseStarted("r"), AudioReceived(b"abc", "i", "r"), ResponseFinished("r"))
        await talk.goes_on()
        one.session.die()
        await talk.goes_on()
        two.session.feed(ResponseStarted("s"), AudioReceived(bytes(48_000), "j", "s"), ResponseFinished("s"))
        await talk.goes_on()
        kinds = [type(event) for event in talk.told if isinstance(event, AudioReceived | SessionRotated)]
        assert kinds == [AudioReceived, SessionRotated, AudioReceived]
        assert [event.audio for event in talk.of(AudioReceived)] == [b"abc", bytes(48_000)]
        assert two.session.config.output_format == TWILIO, "each provider is asked for what the caller would like"


async def test_vendors_with_other_abilities_take_a_conversation_up() -> None:
    one, two = provider("one"), FakeProvider(name="two")
    async with conversation(one, two) as talk:
        await talk.session.send_audio(bytes(4800))
        await talk.session.commit_audio()
        await talk.session.create_response("Be brief.")
        one.session.die()
        await talk.goes_on()
        assert two.session.commands == [("create", None)], "neither a commit nor instructions, which it does not know"
        two.session.feed(ResponseStarted("r"), ResponseFinished("r"))
        await talk.goes_on()
        two.session.die()
        await talk.goes_on()
        assert one.session.heard == b""


async def test_a_vendor_that_wants_to_be_left_alone_does_not_hold_up_the_others() -> None:
    one, two = provider("one"), provider("two")
    async with conversation(one, two) as talk:
        error = RateLimited("slow down", retry_after=600)
        one.session.die(error)
        await talk.goes_on()
        assert two.running == 1
        assert one.running == 0


async def test_a_session_that_freezes_is_given_up() -> None:
    one, two = provider("one"), provider("two")
    async with conversation(one, two) as talk:
        one.session.feed(ResponseStarted("r"))
        for _ in range(7):
            await talk.goes_on()
        assert (one.running, two.running) == (0, 1)
        assert two.session.commands == [("create", None)]
        assert [event.error.code for event in talk.of(ErrorReported)] == ["frozen"]


async def test_where_the_next_one_fails_too_the_first_is_asked_again() -> None:
    one, two = provider("one"), provider("two", failures=[ConnectionFailed("two is down")])
    async with conversation(one, two) as talk:
        one.session.die()
        await talk.goes_on()
        assert (one.opened, two.attempts) == (2, 1)
        assert [event.error.message for event in talk.of(ErrorReported)] == ["the connection broke", "two is down"]


QUOTA = QuotaExceeded("no credit left", vendor="one")


@pytest.mark.parametrize("error", [AuthFailed("the key was withdrawn"), QUOTA, InvalidConfig("voice", "no such")])
async def test_a_provider_that_cannot_get_better_is_given_up_and_the_next_one_takes_over(error: Exception) -> None:
    one, two = provider("one"), provider("two", failures=[None, error])
    async with conversation(one, two) as talk:
        one.session.die(AuthFailed("the key was withdrawn"))
        await talk.goes_on()
        two.session.die()
        await talk.goes_on()
        assert (one.attempts, two.attempts) == (1, 2)
        assert talk.told[-1].reason == "failed"


async def test_an_only_provider_that_cannot_get_better_ends_the_conversation() -> None:
    one = provider("one")
    async with conversation(one) as talk:
        error = AuthFailed("the key was withdrawn")
        one.session.die(error)
        await talk.goes_on()
        assert talk.told[-2:] == [ErrorReported(error, fatal=True), SessionEnded("failed", error)]
        assert one.attempts == 1


async def test_an_answer_that_fails_for_the_quota_is_given_by_the_next_provider() -> None:
    one, two = provider("one"), provider("two")
    async with conversation(one, two) as talk:
        await talk.session.say("Good morning.")
        one.session.feed(ResponseStarted("r"), ResponseFinished("r", "failed", error=QUOTA))
        await talk.goes_on()
        assert [(event.provider, event.reason) for event in talk.of(SessionRotated)] == [("two", "failing")]
        assert talk.of(ErrorReported) == [ErrorReported(QUOTA)]
        assert two.session.commands == [("say", "Good morning.")]


async def test_an_answer_that_fails_for_the_quota_of_an_only_provider_ends_the_conversation() -> None:
    one = provider("one")
    async with conversation(one) as talk:
        one.session.feed(ResponseStarted("r"), ResponseFinished("r", "failed", error=QUOTA))
        await talk.goes_on()
        assert talk.told[-1] == SessionEnded("failed", QUOTA)


async def test_answers_that_fail_in_a_row_give_a_provider_up_and_one_that_fails_ends_nothing() -> None:
    one, two = provider("one"), provider("two")
    down = ProviderUnavailable("try again", vendor="one")
    async with conversation(one, two) as talk:

        async def answers(*statuses: Any) -> None:
            for number, status in enumerate(statuses):
                error = down if status == "failed" else None
                one.session.feed(
                    UserTranscript("And?", True, f"u{number}"),
                    ResponseStarted(f"r{number}"),
                    ResponseFinished(f"r{number}", status, error=error),
                )
            await talk.goes_on()

        await answers("failed", "failed", "completed", "failed", "failed")
        assert two.attempts == 0
        await answers("failed")
        assert (one.running, two.running) == (0, 1)
        assert two.session.commands == [("create", None)]


async def test_when_nobody_is_left_the_last_event_has_every_attempt() -> None:
    down = ConnectionFailed("down")
    one, two = provider("one", failures=[None] + [down] * 99), provider("two", failures=[down] * 99)
    async with conversation(one, two) as talk:
        one.session.die()
        for _ in range(20):
            await talk.goes_on()
        end = talk.told[-1]
        assert isinstance(end, SessionEnded)
        assert isinstance(end.error, AllProvidersFailed)
        assert sorted(name for name, _ in end.error.attempts) == ["one", "two"]


async def test_a_session_that_dies_with_the_first_byte_of_the_replay() -> None:
    one, two, three = provider("one"), provider("two"), provider("three")
    async with conversation(one, two, three) as talk:
        await talk.session.send_audio(b"a" * 960)
        one.session.die()
        await talk.goes_on()
        two.session.die()
        await talk.goes_on()
        await talk.session.send_audio(b"b" * 960)
        assert three.session.heard == b"a" * 960 + b"b" * 960


async def test_the_stream_contract_across_a_failover() -> None:
    """The reader of the stream sees one answer cut and another one, and no error."""
    clock, one, two = ManualClock(), provider("one"), provider("two")
    client = RealtimeClient(one, two, clock=clock)
    give, take = anyio.create_memory_object_stream[bytes](100)
    with give, take:
        async with client.process_audio_stream(take, clock=clock) as stream:
            give.send_nowait(b"a" * 960)
            await clock.advance(0)
            one.session.feed(ResponseStarted("r"), AudioReceived(b"xx", "i", "r"))
            await clock.advance(0)
            one.session.die()
            give.send_nowait(b"b" * 960)
            await clock.advance(3)
            two.session.feed(ResponseStarted("s"), AudioReceived(b"yy", "j", "s"), ResponseFinished("s"))
            give.close()
            await clock.advance(2)
            assert [(chunk.data, chunk.is_final) async for chunk in stream.audio] == [
                (b"xx", False),
                (b"", True),
                (b"yy", False),
                (b"", True),
            ]
            assert two.session.heard == b"a" * 960 + b"b" * 960
    assert client.stats.failovers == 1
    assert client.stats.dropped_bytes == 0
