"""The end of a fallback client and of its sessions: nothing is left, whoever stops when."""

import anyio
import anyio.lowlevel
import pytest

from tests.realtime.doubles import FedProvider
from trunkline.clock import ManualClock
from trunkline.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    SessionClosed,
)
from trunkline.realtime import ProcessConfig, RealtimeClient
from trunkline.realtime.events import SessionEnded, SessionReady

CONFIG = ProcessConfig(instructions="Be brief.")


async def test_closing_ends_the_sessions_and_closes_every_provider_once() -> None:
    one, two = FedProvider("one"), FedProvider("two")
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
    last = FedProvider("three")
    client = RealtimeClient(FedProvider("one", close_error=wrong), FedProvider("two", close_error=worse), last)
    with pytest.raises(ExceptionGroup) as told:
        await client.close()
    assert told.value.exceptions == (wrong, worse)
    assert last.closed == 1
    with pytest.raises(OSError, match="wrong"):
        async with RealtimeClient(FedProvider("one", close_error=wrong)):
            pass


async def test_closing_waits_for_nobody_for_ever() -> None:
    class Stuck(FedProvider):
        async def aclose(self) -> None:
            await anyio.sleep_forever()

    clock, last = ManualClock(), FedProvider("last")
    async with anyio.create_task_group() as tasks:

        async def close() -> None:
            with pytest.raises(DeadlineExceeded, match="closing stuck"):
                await RealtimeClient(Stuck("stuck"), last, clock=clock).close()

        tasks.start_soon(close)
        await clock.advance(5.1)
    assert last.closed == 1


@pytest.mark.parametrize("failover", [False, True])
async def test_cancelled_at_every_await(failover: bool) -> None:
    for patience in range(30):
        one, two = FedProvider("one", failures=[ConnectionFailed("x")]), FedProvider("two")
        client = RealtimeClient(one, two, failover=failover)
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
        assert (one.open, two.open) == (0, 0)


@pytest.mark.parametrize("failover", [False, True])
async def test_two_hundred_sessions_leave_nothing(failover: bool) -> None:
    one, two = FedProvider("one", failures=[ConnectionFailed("x"), None] * 100), FedProvider("two")
    client = RealtimeClient(one, two, failover=failover, failures=1000)
    for _ in range(200):
        async with client.connect(CONFIG) as session:
            assert isinstance(await anext(aiter(session)), SessionReady)
    assert (len(one.sessions), len(two.sessions), one.open, two.open) == (100, 100, 0, 0)
    assert client.stats.attempts == 300
    assert not client._sessions
    assert len(client.attempts) == 100
