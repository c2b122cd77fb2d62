"""The fallback client over providers in memory: who is asked, in what order, and what is told of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from tests.realtime.doubles import CAPABILITIES, FedProvider, FedSession, until_quiet
from trunkline.clock import ManualClock
from trunkline.errors import (
    AllProvidersFailed,
    AuthFailed,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidConfig,
    ProviderUnavailable,
    RateLimited,
    UnknownProvider,
)
from trunkline.realtime import Client, ProcessConfig, RealtimeClient, RealtimeSession
from trunkline.realtime.events import ErrorReported, ResponseFinished, SessionEnded, SessionEvent, SessionReady

CONFIG = ProcessConfig(instructions="Be brief.")


class Crashing(FedProvider):
    """Its connection breaks behind the session's back."""

    def __init__(self) -> None:
        super().__init__(name="crashing")
        self.crash = anyio.Event()

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[FedSession]:
        self.configs.append(config)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._crash)
            self.sessions.append(FedSession(1, self.input_format, self.output_format))
            yield self.session  # whose events never end

    async def _crash(self) -> None:
        await self.crash.wait()
        raise RuntimeError("the reader fell over")


async def _name_of_who_answers(client: RealtimeClient) -> str:
    opened = {id(provider): len(provider.sessions) for provider in client.all if isinstance(provider, FedProvider)}
    async with client.connect(CONFIG):
        pass
    (answered,) = [
        provider.name
        for provider in client.all
        if isinstance(provider, FedProvider) and len(provider.sessions) > opened[id(provider)]
    ]
    return answered


async def _told(session: RealtimeSession, count: int) -> list[SessionEvent]:
    events = aiter(session)
    return [await anext(events) for _ in range(count)]


# ── who is there ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_providers_can_be_looked_at_and_changed() -> None:
    one, two, three = (FedProvider(name) for name in ("one", "two", "three"))
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
    assert client.capabilities == CAPABILITIES
    assert RealtimeClient(one, failover=True).capabilities.resume


async def test_without_providers_there_is_no_session() -> None:
    client = RealtimeClient()
    assert (client.primary, client.fallbacks) == (None, ())
    with pytest.raises(ProviderUnavailable):
        async with client.connect(CONFIG):
            pass
    with pytest.raises(ProviderUnavailable):
        _ = client.capabilities
    client.set_fallbacks(FedProvider("late"))
    assert await _name_of_who_answers(client) == "late"


@pytest.mark.parametrize("wrong", ["connect_timeout", "replay_seconds", "failures"])
def test_numbers_that_make_no_sense(wrong: str) -> None:
    with pytest.raises(InvalidConfig, match=wrong):
        RealtimeClient(**{wrong: 0})  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match="cool_down"):
        RealtimeClient(cool_down=-1)


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_primary_is_used_while_it_works() -> None:
    one, two = FedProvider("one"), FedProvider("two")
    client = RealtimeClient(one, two)
    async with client.connect(CONFIG) as session:
        one.session.feed(ResponseFinished("r"))
        assert await _told(session, 2) == [
            SessionReady("sess_1", session.input_format, session.output_format),
            ResponseFinished("r"),
        ]
        await session.send_audio(b"ab")
        await session.send_text("hi")
        await session.commit_audio()
        await session.clear_audio()
        await session.create_response("short")
        await session.cancel_response()
        await session.truncate("i", heard_ms=3)
        await session.send_tool_result("c", "{}")
        await session.update_instructions("Be long.")
        assert one.session.heard == b"ab"
        assert one.session.results == {"c": "{}"}
        assert one.session.commands == [
            ("text", "hi"),
            ("commit",),
            ("clear",),
            ("create", "short"),
            ("cancel",),
            ("truncate", "i", 3),
            ("instructions", "Be long."),
        ]
        await session.aclose()
        await session.aclose()
        assert await _told(session, 1) == [SessionEnded("closed")]
        with pytest.raises(StopAsyncIteration):
            await anext(aiter(session))
    assert (one.configs, two.configs, one.open) == ([CONFIG], [], 0)
    assert (client.stats.attempts, client.stats.failed_attempts) == (1, 0)


async def test_where_one_fails_the_next_is_tried_and_the_session_tells() -> None:
    refused, unknown = ConnectionFailed("refused", vendor="one"), RuntimeError("nobody knows")
    one, two, three = (
        FedProvider("one", failures=[refused]),
        FedProvider("two", failures=[unknown]),
        FedProvider("three"),
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
    one, two = FedProvider("one", failures=[error]), FedProvider("two")
    client = RealtimeClient(one, two)
    with pytest.raises(type(error)) as told:
        async with client.connect(CONFIG):
            pass
    assert told.value is error
    assert two.configs == []
    wrapped = RuntimeError("it failed")
    wrapped.__cause__ = error
    one.failures = [ExceptionGroup("all of it", [wrapped])]
    with pytest.raises(type(error)):
        async with client.connect(CONFIG):
            pass
    assert two.configs == []
    assert client.stats.cooling == ()


async def test_when_all_fail_the_error_has_every_attempt() -> None:
    refused, limited = ConnectionFailed("refused"), RateLimited("too many", retry_after=9)
    client = RealtimeClient(FedProvider("one", failures=[refused]), FedProvider("two", failures=[limited]))
    with pytest.raises(AllProvidersFailed) as told:
        async with client.connect(CONFIG):
            pass
    assert told.value.attempts == (("one", refused), ("two", limited))
    assert told.value.__cause__ is limited


async def test_a_provider_that_hangs_is_given_up_in_time() -> None:
    clock = ManualClock()
    one, two = FedProvider("one", hangs=True), FedProvider("two")
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
    one, two = FedProvider("one", failures=[ConnectionFailed("x")]), FedProvider("two")
    assert await _name_of_who_answers(RealtimeClient(RealtimeClient(one), two)) == "two"


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    one = FedProvider("one")
    with pytest.raises(KeyError, match="mine"):
        async with RealtimeClient(one).connect(CONFIG):
            raise KeyError("mine")
    assert one.open == 0


# ── leaving alone ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_provider_that_fails_repeatedly_is_left_alone_for_a_while() -> None:
    clock = ManualClock()
    one, two = FedProvider("one", failures=[ConnectionFailed("x")] * 3), FedProvider("two")
    client = RealtimeClient(one, two, failures=3, cool_down=30, clock=clock)
    for _ in range(3):
        assert await _name_of_who_answers(client) == "two"
    assert client.stats.cooling == ("one",)
    assert await _name_of_who_answers(client) == "two"
    assert len(one.configs) == 3
    await clock.advance(30)
    assert not client.stats.cooling
    assert await _name_of_who_answers(client) == "one"


async def test_a_provider_that_asks_for_it_is_left_alone_at_once() -> None:
    clock = ManualClock()
    one, two = FedProvider("one", failures=[RateLimited("x", retry_after=5)]), FedProvider("two")
    client = RealtimeClient(one, two, clock=clock)
    assert await _name_of_who_answers(client) == "two"
    await clock.advance(4.9)
    assert await _name_of_who_answers(client) == "two"
    await clock.advance(0.1)
    assert await _name_of_who_answers(client) == "one"
    assert len(one.configs) == 2


async def test_who_is_left_alone_is_still_better_than_nobody() -> None:
    one = FedProvider("one", failures=[RateLimited("x", retry_after=500)])
    client = RealtimeClient(one)
    with pytest.raises(AllProvidersFailed):
        await _name_of_who_answers(client)
    assert await _name_of_who_answers(client) == "one"


async def test_sessions_that_break_count_and_answers_forgive() -> None:
    one, two = FedProvider("one"), FedProvider("two")
    client = RealtimeClient(one, two, failures=2)

    async def one_dies(*before: SessionEvent) -> None:
        async with client.connect(CONFIG) as session:
            one.session.feed(*before)
            one.session.die()
            assert [event async for event in session]

    await one_dies()
    await one_dies(ResponseFinished("r"))
    assert not client.stats.cooling
    await one_dies()
    assert client.stats.cooling == ("one",)
    assert await _name_of_who_answers(client) == "two"


async def test_a_session_that_breaks_tells_all_there_is_to_tell() -> None:
    one, error = FedProvider("one"), RateLimited("slow down", retry_after=60)
    client = RealtimeClient(one)
    async with client.connect(CONFIG) as session:
        one.session.die(error)
        assert (await _told(session, 3))[1:] == [ErrorReported(error, fatal=True), SessionEnded("failed", error)]
    assert client.stats.cooling == ("one",)


# ── providers that break in their own way ────────────────────────────────────────────────────────────────────────────


async def test_a_connection_that_crashes_is_an_end_and_no_silence() -> None:
    provider = Crashing()
    async with RealtimeClient(provider).connect(CONFIG) as session, anyio.create_task_group() as tasks:
        told: list[SessionEvent] = []

        async def read() -> None:
            told.extend([event async for event in session])

        tasks.start_soon(read)
        await until_quiet()
        provider.crash.set()
    provider.session.free()
    end = told[-1]
    assert isinstance(end, SessionEnded)
    assert isinstance(end.error, ConnectionFailed)
    assert "fell over" in str(end.error.__cause__)


async def test_a_session_that_raises_is_an_end() -> None:
    one = FedProvider("one")
    async with RealtimeClient(one).connect(CONFIG) as session:
        await _told(session, 1)
        one.session.failure = ValueError("a bug of the provider's")
        (end,) = await _told(session, 1)
        assert isinstance(end, SessionEnded)
        assert isinstance(end.error, ConnectionFailed)
        assert end.error.__cause__ is one.session.failure


# ── the stream contract ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_no_audio_is_lost_while_providers_fail() -> None:
    """The caller talks all the time: while the first provider hangs, while the second refuses, and afterwards."""
    clock = ManualClock()
    one, two, three = (
        FedProvider("one", hangs=True),
        FedProvider("two", failures=[ConnectionFailed("x")]),
        FedProvider("three"),
    )
    client = RealtimeClient(one, two, three, clock=clock)
    said = [bytes([n % 256]) * 960 for n in range(400)]
    give, take = anyio.create_memory_object_stream[bytes](20)
    with give, take:
        async with anyio.create_task_group() as tasks:
            done = anyio.Event()

            async def call() -> None:
                async with client.process_audio_stream(take, clock=clock):
                    await done.wait()

            tasks.start_soon(call)
            for number, frame in enumerate(said):
                give.send_nowait(frame)  # raises if nobody listens
                if number % 20 == 19:
                    await clock.advance(0.8)
            done.set()
    assert three.session.heard == b"".join(said)
    assert [attempt.provider for attempt in client.attempts] == ["one", "two", "three"]
