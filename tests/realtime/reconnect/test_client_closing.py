"""The end of a fallback client and of its sessions: nothing is left, whoever stops when."""

import anyio
import anyio.lowlevel
import pytest

from trunkline.clock import ManualClock
from trunkline.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    SessionClosed,
)
from trunkline.realtime import ProcessConfig, RealtimeClient
from trunkline.realtime.events import SessionEnded, SessionReady
from trunkline.testing.fake_provider import FakeProvider

CONFIG = ProcessConfig(instructions="Be brief.")


class Closing(FakeProvider):
    """Fails to close, or takes for ever."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        super().__init__(name=name)
        self._error = error

    async def aclose(self) -> None:
        await super().aclose()
        if self._error is None:
            await anyio.sleep_forever()
        else:
            raise self._error


async def test_closing_ends_the_sessions_and_closes_every_provider_once() -> None:
    one, two = FakeProvider(), FakeProvider()
    client = RealtimeClient(one, two)
    async with client.connect(CONFIG) as session:
        await client.close()
        await client.aclose()
        assert [event async for event in session][-1] == SessionEnded("closed")
        assert (one.closed, two.closed) == (1, 1)
    with pytest.raises(SessionClosed):
        async with client.connect(CONFIG):
            pass


async def test_errors_of_closing_are_collected() -> None:
    wrong, worse = OSError("wrong"), OSError("worse")
    last = FakeProvider()
    with pytest.raises(ExceptionGroup) as told:
        await RealtimeClient(Closing("one", wrong), Closing("two", worse), last).close()
    assert sorted(map(str, told.value.exceptions)) == ["worse", "wrong"]
    assert last.closed == 1
    with pytest.raises(OSError, match="wrong"):
        async with RealtimeClient(Closing("one", wrong)):
            pass


async def test_closing_waits_for_nobody_for_ever() -> None:
    clock, last = ManualClock(), FakeProvider()
    async with anyio.create_task_group() as tasks:

        async def close() -> None:
            with pytest.raises(DeadlineExceeded, match="closing stuck"):
                await RealtimeClient(Closing("stuck"), last, clock=clock).close()

        tasks.start_soon(close)
        await clock.advance(5.1)
    assert last.closed == 1


async def test_closing_that_is_cancelled_closes_every_provider_all_the_same() -> None:
    one, two = FakeProvider(), FakeProvider()
    client = RealtimeClient(one, two)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await client.aclose()
    await client.aclose()
    assert (one.closed, two.closed) == (1, 1)


async def test_cancelled_at_every_await() -> None:
    for patience in range(30):
        one, two = FakeProvider(failures=[ConnectionFailed("x")]), FakeProvider()
        client = RealtimeClient(one, two)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def use(client: RealtimeClient = client) -> None:
                    async with client.connect(CONFIG) as session:
                        await session.send_audio(b"ab")
                        async for _ in session:
                            await session.send_text("hi")

                tasks.start_soon(use)
                for _ in range(patience):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        assert (one.running, two.running) == (0, 0)


async def test_two_hundred_sessions_leave_nothing() -> None:
    one, two = FakeProvider(failures=[ConnectionFailed("x"), None] * 100), FakeProvider()
    client = RealtimeClient(one, two, failures=1000)
    for _ in range(200):
        async with client.connect(CONFIG) as session:
            assert isinstance(await anext(aiter(session)), SessionReady)
    assert (one.opened, two.opened, one.running, two.running) == (100, 100, 0, 0)
    assert client.stats.attempts == 300
    assert not client._sessions
    assert len(client.attempts) == 100
