"""A conversation that goes on with another provider when its session breaks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.realtime.doubles import FedProvider
from trunkline.audio import GEMINI_INPUT, GEMINI_OUTPUT, OPENAI, TWILIO, StreamConverter
from trunkline.clock import ManualClock
from trunkline.conversation import HistoryItem
from trunkline.errors import AllProvidersFailed, AuthFailed, ConnectionFailed, RateLimited
from trunkline.realtime import ProcessConfig, RealtimeClient, RealtimeSession
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEvent,
    SessionReady,
    SessionRotated,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)


class Conversation:
    """A session that is being read."""

    def __init__(self, session: RealtimeSession, clock: ManualClock) -> None:
        self.session = session
        self.told: list[SessionEvent] = []
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
async def conversation(*providers: FedProvider, config: ProcessConfig | None = None) -> AsyncIterator[Conversation]:
    clock = ManualClock()
    client = RealtimeClient(*providers, failover=True, clock=clock)
    async with client.connect(config or ProcessConfig()) as session, anyio.create_task_group() as tasks:
        talk = Conversation(session, clock)
        tasks.start_soon(talk.read)
        await clock.advance(0)
        yield talk
        tasks.cancel_scope.cancel()
    assert all(provider.open == 0 for provider in providers)


async def test_the_next_provider_hears_every_byte_that_was_not_understood() -> None:
    one, two = FedProvider("one"), FedProvider("two")
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
    one, two = FedProvider("one"), FedProvider("two")
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
        assert list(two.configs[0].history) == [
            HistoryItem(role="user", text="Are you open?"),
            HistoryItem(role="agent", text="Until six."),
        ]
        assert two.session.commands == []


async def test_an_answer_that_was_cut_is_asked_for_again() -> None:
    one, two = FedProvider("one"), FedProvider("two")
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
    one, two = FedProvider("one"), FedProvider("two")
    async with conversation(one, two) as talk:
        one.session.feed(ResponseStarted("r"), ToolCallRequested("c", "weather", "{}", "r"), ResponseFinished("r"))
        await talk.goes_on()
        one.session.die()
        await talk.goes_on()
        await talk.session.send_tool_result("c", '"sunny"')
        assert list(two.configs[0].history) == [
            HistoryItem(role="tool_call", call_id="c", name="weather", arguments="{}")
        ]
        assert (one.session.results, two.session.results) == ({}, {"c": '"sunny"'})


async def test_the_formats_stay_those_of_the_first_session() -> None:
    one = FedProvider("one", input_format=TWILIO, output_format=TWILIO)
    two = FedProvider("two", input_format=GEMINI_INPUT, output_format=GEMINI_OUTPUT)
    voice = bytes(range(256)) * 20
    async with conversation(one, two, config=ProcessConfig(input_format=TWILIO, output_format=TWILIO)) as talk:
        one.session.die()
        await talk.goes_on()
        await talk.session.send_audio(voice)
        assert two.session.heard == StreamConverter(TWILIO, GEMINI_INPUT).convert(voice)
        pcm = bytes(48000)
        two.session.feed(
            ResponseStarted("r"), AudioReceived(pcm, "i", "r"), AudioReceived(pcm, "j", "r"), ResponseFinished("r")
        )
        two.session.feed(ResponseStarted("s"), AudioReceived(pcm, "k", "s"), Interrupted("s"), ResponseFinished("s"))
        two.session.feed(ResponseStarted("t"), AudioReceived(pcm, "l", "t"), ResponseFinished("t"))
        await talk.goes_on()
        heard = {
            item: sum(len(event.audio) for event in talk.of(AudioReceived) if event.item_id == item) for item in "ijkl"
        }
        assert (heard["i"], heard["j"], heard["l"]) == (8000, 8000, 8000)  # to the last sample, each under its own name
        assert 7900 < heard["k"] < 8000  # what an interruption leaves in the converter is gone
        assert (talk.session.input_format, talk.session.output_format) == (TWILIO, TWILIO)
        assert len(talk.of(SessionReady)) == 1


async def test_formats_that_agree_are_left_alone() -> None:
    one, two = FedProvider("one"), FedProvider("two", output_format=OPENAI)
    async with conversation(one, two) as talk:
        one.session.die()
        await talk.goes_on()
        two.session.feed(AudioReceived(b"abc", "i", "r"))
        await talk.goes_on()
        assert talk.of(AudioReceived) == [AudioReceived(b"abc", "i", "r")]


async def test_a_vendor_that_wants_to_be_left_alone_does_not_hold_up_the_others() -> None:
    one, two = FedProvider("one"), FedProvider("two")
    async with conversation(one, two) as talk:
        error = RateLimited("slow down", retry_after=600)
        one.session.die(error)
        await talk.goes_on()
        assert two.open == 1
        assert one.open == 0


async def test_a_session_that_freezes_is_given_up() -> None:
    one, two = FedProvider("one"), FedProvider("two")
    async with conversation(one, two) as talk:
        one.session.feed(ResponseStarted("r"))
        for _ in range(7):
            await talk.goes_on()
        assert (one.open, two.open) == (0, 1)
        assert two.session.commands == [("create", None)]
        assert [event.error.code for event in talk.of(ErrorReported)] == ["frozen"]


async def test_where_the_next_one_fails_too_the_first_is_asked_again() -> None:
    one, two = FedProvider("one"), FedProvider("two", failures=[ConnectionFailed("two is down")])
    async with conversation(one, two) as talk:
        one.session.die()
        await talk.goes_on()
        assert (len(one.sessions), len(two.configs)) == (2, 1)
        assert [event.error.message for event in talk.of(ErrorReported)] == ["the line broke", "two is down"]


async def test_an_error_of_the_programs_own_ends_the_conversation() -> None:
    one, two = FedProvider("one"), FedProvider("two")
    async with conversation(one, two) as talk:
        error = AuthFailed("the key was withdrawn")
        one.session.die(error)
        await talk.goes_on()
        assert talk.told[-2:] == [ErrorReported(error, fatal=True), SessionEnded("failed", error)]
        assert two.configs == []


async def test_when_nobody_is_left_the_last_event_has_every_attempt() -> None:
    down = ConnectionFailed("down")
    one, two = FedProvider("one", failures=[None] + [down] * 99), FedProvider("two", failures=[down] * 99)
    async with conversation(one, two) as talk:
        one.session.die()
        for _ in range(20):
            await talk.goes_on()
        end = talk.told[-1]
        assert isinstance(end, SessionEnded)
        assert isinstance(end.error, AllProvidersFailed)
        assert sorted(name for name, _ in end.error.attempts) == ["one", "two"]


async def test_a_session_that_dies_with_the_first_byte_of_the_replay() -> None:
    one, two, three = FedProvider("one"), FedProvider("two"), FedProvider("three")
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
    clock, one, two = ManualClock(), FedProvider("one"), FedProvider("two")
    client = RealtimeClient(one, two, failover=True, clock=clock)
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
