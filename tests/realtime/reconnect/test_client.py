"""A client over providers in memory: who is asked, in what order, and what is told of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from tests.realtime.reconnect.conversation import settle
from trunkline.audio import OPENAI
from trunkline.clock import ManualClock
from trunkline.errors import (
    AllProvidersFailed,
    AuthFailed,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidConfig,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    SessionClosed,
    UnknownProvider,
)
from trunkline.realtime import Client, ProcessConfig, RealtimeClient, RealtimeSession
from trunkline.realtime.events import (
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEvent,
    SessionReady,
    ToolCallRequested,
)
from trunkline.realtime.reconnect import ReconnectPolicy
from trunkline.testing.fake_provider import FULL, FakeProvider, FakeSession

CONFIG = ProcessConfig(instructions="Be brief.")


ENDS_WITH_ITS_SESSION = ReconnectPolicy(attempts=0)


class Crashing(FakeProvider):
    """Its connection breaks behind the session's back."""

    crash: anyio.Event

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[FakeSession]:
        self.crash = anyio.Event()
        async with anyio.create_task_group() as tasks, super().connect(config) as session:
            tasks.start_soon(self._crash)
            yield session  # whose events never end

    async def _crash(self) -> None:
        await self.crash.wait()
        raise RuntimeError("the reader fell over")


def fake(name: str, **options: object) -> FakeProvider:
    return FakeProvider(name=name, **options)  # type: ignore[arg-type]


def hanging(name: str) -> FakeProvider:
    provider = fake(name)
    provider.hangs = True
    return provider


async def _name_of_who_answers(client: RealtimeClient) -> str:
    opened = {id(provider): provider.opened for provider in client.all if isinstance(provider, FakeProvider)}
    async with client.connect(CONFIG):
        pass
    (answered,) = [
        provider.name
        for provider in client.all
        if isinstance(provider, FakeProvider) and provider.opened > opened[id(provider)]
    ]
    return answered


async def _told(session: RealtimeSession, count: int) -> list[SessionEvent]:
    events = aiter(session)
    return [await anext(events) for _ in range(count)]


# ── who is there ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_providers_can_be_looked_at_and_changed() -> None:
    one, two, three = (fake(name) for name in ("one", "two", "three"))
    client = RealtimeClient(one, two)
    assert (client.primary, client.fallbacks, client.all) == (one, (two,), (one, two))
    assert list(client.names) == ["one", "two"]
    assert client.provider("two") is two
    client.set_primary(three)
    assert list(client.names) == ["three", "two"]
    client.set_fallbacks(one, two)
    assert list(client.names) == ["three", "one", "two"]
    client.set_primary(two)
    assert list(client.names) == ["two", "one"]
    with pytest.raises(UnknownProvider, match="available: one, two"):
        client.provider("three")
    assert Client is RealtimeClient
    assert client.name == "fallback"
    assert client.capabilities == one.capabilities
    assert RealtimeClient(one).name == "one"
    assert repr(client) == "RealtimeClient(two, one)"


async def test_without_providers_there_is_no_session() -> None:
    client = RealtimeClient()
    assert (client.primary, client.fallbacks) == (None, ())
    with pytest.raises(ProviderUnavailable):
        async with client.connect(CONFIG):
            pass
    with pytest.raises(ProviderUnavailable):
        _ = client.capabilities
    client.set_fallbacks(fake("late"))
    assert await _name_of_who_answers(client) == "late"


@pytest.mark.parametrize("wrong", ["connect_timeout", "replay_seconds", "failures", "rotate_after"])
def test_numbers_that_make_no_sense(wrong: str) -> None:
    with pytest.raises(InvalidConfig, match=wrong):
        RealtimeClient(**{wrong: 0})  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match="cool_down"):
        RealtimeClient(cool_down=-1)


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_primary_is_used_while_it_works() -> None:
    one, two = fake("one", capabilities=FULL), fake("two")
    client = RealtimeClient(one, two)
    async with client.connect(CONFIG) as session:
        one.session.feed(ResponseStarted("r"), ToolCallRequested("c", "f", "{}", "r"), ResponseFinished("r"))
        told = await _told(session, 4)
        assert told[0] == SessionReady("session-1", session.input_format, session.output_format, "fake")
        assert told[3] == ResponseFinished("r")
        await session.send_audio(b"ab")
        await session.send_text("hi")
        await session.say("Good morning.")
        await session.commit_audio()
        await session.clear_audio()
        await session.create_response("short")
        await session.cancel_response()
        await session.send_tool_result("c", "{}")
        await session.update_instructions("Be long.")
        assert one.session.heard == b"ab"
        assert one.session.commands == [
            ("text", "hi"),
            ("say", "Good morning."),
            ("commit",),
            ("clear",),
            ("create", "short"),
            ("cancel",),
            ("result", "c", "{}"),
            ("instructions", "Be long."),
        ]
        await session.aclose()
        await session.aclose()
        assert [event async for event in session][-1] == SessionEnded("closed")
        with pytest.raises(StopAsyncIteration):
            await anext(aiter(session))
        with pytest.raises(SessionClosed):
            await session.send_text("hi")
    assert (one.attempts, two.attempts, one.running) == (1, 0, 0)
    assert (client.stats.attempts, client.stats.failed_attempts) == (1, 0)


async def test_where_one_fails_the_next_is_tried_and_the_session_tells() -> None:
    refused, unknown = ConnectionFailed("refused", vendor="one"), RuntimeError("nobody knows")
    one, two, three = (
        fake("one", failures=[refused]),
        fake("two", failures=[unknown]),
        fake("three"),
    )
    client = RealtimeClient(one, two, three)
    async with client.connect(CONFIG) as session:
        ready, first, second = await _told(session, 3)
        assert isinstance(ready, SessionReady)
        assert first == ErrorReported(refused)
        assert isinstance(second, ErrorReported)
        assert (second.error.vendor, second.error.__cause__, second.fatal) == ("two", unknown, False)
    assert [(attempt.provider, attempt.error) for attempt in client.attempts] == [
        ("one", refused),
        ("two", unknown),
        ("three", None),
    ]
    assert (client.stats.attempts, client.stats.failed_attempts) == (3, 2)


@pytest.mark.parametrize("error", [AuthFailed("bad key"), InvalidConfig("voice", "no such")])
async def test_what_the_program_did_wrong_is_not_hidden(error: Exception) -> None:
    one, two = fake("one", failures=[error]), fake("two")
    client = RealtimeClient(one, two)
    with pytest.raises(type(error)) as told:
        async with client.connect(CONFIG):
            pass
    assert told.value is error
    assert two.attempts == 0
    wrapped = RuntimeError("it failed")
    wrapped.__cause__ = error
    one.failures.append(ExceptionGroup("all of it", [wrapped]))
    with pytest.raises(type(error)):
        async with client.connect(CONFIG):
            pass
    assert two.attempts == 0
    assert client.stats.cooling == ()


async def test_when_all_fail_the_error_has_every_attempt() -> None:
    refused, limited = ConnectionFailed("refused"), RateLimited("too many", retry_after=9)
    client = RealtimeClient(fake("one", failures=[refused]), fake("two", failures=[limited]))
    with pytest.raises(AllProvidersFailed) as told:
        async with client.connect(CONFIG):
            pass
    assert told.value.attempts == (("one", refused), ("two", limited))
    assert told.value.__cause__ is limited


async def test_a_provider_that_hangs_is_given_up_in_time() -> None:
    clock = ManualClock()
    one, two = hanging("one"), fake("two")
    client = RealtimeClient(one, two, connect_timeout=4, clock=clock)
    async with anyio.create_task_group() as tasks:
        opened = anyio.Event()

        async def use() -> None:
            async with client.connect(CONFIG):
                opened.set()

        tasks.start_soon(use)
        await clock.advance(3.9)
        assert not opened.is_set()
        await clock.advance(0.2)
        assert opened.is_set()
    (late, _) = client.attempts
    assert isinstance(late.error, ConnectionFailed)
    assert isinstance(late.error.__cause__, DeadlineExceeded)
    assert (late.error.code, late.seconds) == ("timeout", 4)


async def test_a_client_may_be_a_fallback_of_another() -> None:
    one, two = fake("one", failures=[ConnectionFailed("x")]), fake("two")
    assert await _name_of_who_answers(RealtimeClient(RealtimeClient(one), two)) == "two"


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    one = fake("one")
    with pytest.raises(KeyError, match="mine"):
        async with RealtimeClient(one).connect(CONFIG):
            raise KeyError("mine")
    assert one.running == 0


# ── leaving alone ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_provider_that_fails_repeatedly_is_left_alone_for_a_while() -> None:
    clock = ManualClock()
    one, two = fake("one", failures=[ConnectionFailed("x")] * 3), fake("two")
    client = RealtimeClient(one, two, failures=3, cool_down=30, clock=clock)
    for _ in range(3):
        assert await _name_of_who_answers(client) == "two"
    assert client.stats.cooling == ("one",)
    assert await _name_of_who_answers(client) == "two"
    assert one.attempts == 3
    await clock.advance(30)
    assert not client.stats.cooling
    assert await _name_of_who_answers(client) == "one"


async def test_a_provider_that_asks_for_it_is_left_alone_at_once() -> None:
    clock = ManualClock()
    one, two = fake("one", failures=[RateLimited("x", retry_after=5)]), fake("two")
    client = RealtimeClient(one, two, clock=clock)
    assert await _name_of_who_answers(client) == "two"
    await clock.advance(4.9)
    assert await _name_of_who_answers(client) == "two"
    await clock.advance(0.1)
    assert await _name_of_who_answers(client) == "one"
    assert one.attempts == 2


async def test_who_is_left_alone_is_still_better_than_nobody() -> None:
    one = fake("one", failures=[RateLimited("x", retry_after=500)])
    client = RealtimeClient(one)
    with pytest.raises(RateLimited):
        await _name_of_who_answers(client)
    assert await _name_of_who_answers(client) == "one"


async def test_sessions_that_break_count_and_answers_make_up_for_it() -> None:
    one, two = fake("one"), fake("two")
    client = RealtimeClient(one, two, failures=2, reconnect=ENDS_WITH_ITS_SESSION)

    async def one_dies(*before: SessionEvent) -> None:
        async with client.connect(CONFIG) as session:
            one.session.feed(*before)
            one.session.die()
            assert [event async for event in session]

    await one_dies()
    await one_dies(ResponseStarted("r"), ResponseFinished("r"))
    assert not client.stats.cooling
    await one_dies()
    assert client.stats.cooling == ("one",)
    assert await _name_of_who_answers(client) == "two"


async def test_a_session_that_breaks_and_is_not_replaced_tells_all_there_is_to_tell() -> None:
    one, error = fake("one"), RateLimited("slow down", retry_after=60)
    client = RealtimeClient(one, reconnect=ENDS_WITH_ITS_SESSION)
    async with client.connect(CONFIG) as session:
        one.session.die(error)
        told = [event async for event in session]
        assert told[1:] == [ErrorReported(error), ErrorReported(error, fatal=True), SessionEnded("failed", error)]
    assert client.stats.cooling == ("one",)


@pytest.mark.parametrize("error", [OSError("no route"), ExceptionGroup("all", [OSError("no route")])])
async def test_an_only_provider_that_raises_a_foreign_error_is_told_as_one_that_failed(error: Exception) -> None:
    with pytest.raises(ConnectionFailed, match="no route"):
        async with RealtimeClient(fake("one", failures=[error])).connect(CONFIG):
            pass


# ── providers that break in their own way ────────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_crashes_is_an_end_and_no_silence() -> None:
    provider = Crashing()
    client = RealtimeClient(provider, reconnect=ENDS_WITH_ITS_SESSION)
    async with client.connect(CONFIG) as session, anyio.create_task_group() as tasks:
        told: list[SessionEvent] = []

        async def read() -> None:
            told.extend([event async for event in session])

        tasks.start_soon(read)
        await settle()
        provider.crash.set()
    end = told[-1]
    assert isinstance(end, SessionEnded)
    assert isinstance(end.error, ConnectionFailed)
    assert "fell over" in str(end.error.__cause__)


async def test_a_session_that_ends_before_it_is_ready_is_a_failed_attempt() -> None:
    class Unready(FakeProvider):
        @asynccontextmanager
        async def connect(self, config: ProcessConfig) -> AsyncIterator[FakeSession]:
            async with super().connect(config) as session:
                await anext(session)
                session.feed(SessionEnded("refused", RequestRejected("no") if self.name == "refusing" else None))
                yield session

    with pytest.raises(ConnectionFailed, match="before it was ready"):
        async with RealtimeClient(Unready()).connect(CONFIG):
            pass
    with pytest.raises(RequestRejected):
        async with RealtimeClient(Unready(name="refusing"), fake("two")).connect(CONFIG):
            pass


# ── the stream contract ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_audio_is_lost_while_providers_fail() -> None:
    """The caller talks all the time: while the first provider hangs, while the second refuses, and afterwards."""
    clock = ManualClock()
    one, two, three = (
        hanging("one"),
        fake("two", failures=[ConnectionFailed("x")]),
        fake("three", input_format=OPENAI),
    )
    client = RealtimeClient(one, two, three, clock=clock)
    said = [bytes([n % 256]) * 960 for n in range(400)]
    give, take = anyio.create_memory_object_stream[bytes](20)
    with give, take:
        async with anyio.create_task_group() as tasks:
            done = anyio.Event()

            async def call() -> None:
                async with client.process_audio_stream(take, ProcessConfig(input_format=OPENAI), clock=clock):
                    await done.wait()

            tasks.start_soon(call)
            for number, frame in enumerate(said):
                give.send_nowait(frame)  # raises if nobody listens
                if number % 20 == 19:
                    await clock.advance(0.8)
            done.set()
    assert three.session.heard == b"".join(said)
    assert [attempt.provider for attempt in client.attempts] == ["one", "two", "three"]
