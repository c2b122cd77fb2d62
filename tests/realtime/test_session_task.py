"""A session in a task: it is not left behind, whoever stops waiting for it, and whatever its provider raises."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from trunkline.clock import ManualClock
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidConfig,
    LocalProtocolError,
    RequestRejected,
    SessionClosed,
)
from trunkline.realtime.events import ResponseStarted, SessionEvent
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.session_task import SessionTask, as_provider_error
from trunkline.testing.fake_provider import FakeProvider


class Reader:
    """Keeps what a session says."""

    def __init__(self) -> None:
        self.seen: list[SessionEvent] = []

    async def take(self, task: SessionTask, event: SessionEvent) -> None:
        self.seen.append(event)


@asynccontextmanager
async def running(provider: FakeProvider) -> AsyncIterator[tuple[SessionTask, Reader]]:
    task, reader = SessionTask(provider, ProcessConfig()), Reader()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(task.run, reader.take)
            yield task, reader
            task.close()
    assert (provider.running, task.over.is_set()) == (0, True)


async def test_a_session_is_not_read_before_it_is_asked_to() -> None:
    provider = FakeProvider()
    async with running(provider) as (task, reader):
        with pytest.raises(SessionClosed):
            _ = task.session
        await task.wait_ready(1, ManualClock())
        provider.session.feed(ResponseStarted("r1"))
        await anyio.wait_all_tasks_blocked()
        assert reader.seen == []
        task.read()
        await anyio.wait_all_tasks_blocked()
        assert reader.seen == [ResponseStarted("r1")]


async def test_a_session_that_is_late_is_given_up() -> None:
    clock, provider = ManualClock(), FakeProvider()
    provider.hangs = True
    async with running(provider) as (task, _), anyio.create_task_group() as tasks:

        async def wait() -> None:
            with pytest.raises(ConnectionFailed, match="within 7 s") as caught:
                await task.wait_ready(7, clock)
            assert isinstance(caught.value.__cause__, DeadlineExceeded)

        tasks.start_soon(wait)
        await clock.advance(7)
        await task.over.wait()


async def test_a_session_whose_opening_is_cancelled_is_given_up() -> None:
    provider = FakeProvider()
    provider.hangs = True
    async with running(provider) as (task, _):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await task.wait_ready(7, ManualClock())
        await task.over.wait()


@pytest.mark.parametrize("error", [OSError("no route"), AuthFailed("no"), ExceptionGroup("x", [OSError("no route")])])
async def test_what_opening_raises_comes_out_whatever_it_is(error: Exception) -> None:
    async with running(FakeProvider(failures=[error])) as (task, _):
        with pytest.raises((OSError, AuthFailed)):
            await task.wait_ready(1, ManualClock())
        assert task.over.is_set()


@pytest.mark.parametrize("kind", ["dies", "raises", "stops"])
async def test_a_session_that_ends_tells_why(kind: str) -> None:
    provider, gone = FakeProvider(), ConnectionFailed("gone")
    async with running(provider) as (task, _):
        await task.wait_ready(1, ManualClock())
        if kind == "dies":
            provider.session.die(gone)
        elif kind == "raises":
            provider.session.failure = ValueError("a bug")
        else:
            await provider.session.aclose()
        task.read()
        await task.over.wait()
        ending = task.ending()
        assert isinstance(ending, ConnectionFailed)
        assert {"dies": ending is gone, "raises": str(ending) == "a bug", "stops": "closed" in str(ending)}[kind]


def test_errors_are_translated_once() -> None:
    gone = ConnectionFailed("gone")
    assert as_provider_error(gone, "v") is gone
    for error, expected in (
        (OSError(), ConnectionFailed),
        (SessionClosed("60 minutes", "session_expired"), ConnectionFailed),
        (DeadlineExceeded("x", 1), ConnectionFailed),
        (LocalProtocolError("x"), RequestRejected),
        (InvalidConfig("voice", "x"), RequestRejected),
    ):
        translated = as_provider_error(error, "v")
        assert (type(translated), translated.vendor, translated.__cause__) == (expected, "v", error)
        assert str(translated)
    assert as_provider_error(SessionClosed("60 minutes", "session_expired"), "v").code == "session_expired"
