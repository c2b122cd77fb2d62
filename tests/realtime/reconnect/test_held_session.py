"""A session in the keeping of a task: it is not left behind, whoever stops waiting for it."""

import anyio
import pytest

from tests.realtime.doubles import FedProvider, until_quiet
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionFailed
from trunkline.realtime.events import SessionEnded
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.reconnect.held_session import HeldSession


async def test_it_is_given_up_when_its_time_is_over() -> None:
    clock, held = ManualClock(), HeldSession(FedProvider(hangs=True), ProcessConfig())
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(held.hold)

            async def wait() -> None:
                with pytest.raises(ConnectionFailed, match="within 7 s"):
                    await held.opened(7, clock)

            tasks.start_soon(wait)
            await clock.advance(7)
        # the group has ended, so nothing hangs any more


async def test_it_is_given_up_when_the_wait_is_cancelled() -> None:
    held = HeldSession(FedProvider(hangs=True), ProcessConfig())
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(held.hold)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await held.opened(7, ManualClock())


async def test_its_end_is_told_again_if_the_first_telling_was_cancelled() -> None:
    provider, error = FedProvider(), ConnectionFailed("the line broke")
    held = HeldSession(provider, ProcessConfig())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(held.hold)
        await held.opened(7, ManualClock())
        provider.session.die(error)
        await held.next_event()
        await held.next_event()
        with anyio.CancelScope() as scope:
            tasks.start_soon(_cancel_soon, scope)
            await held.next_event()
        assert await held.next_event() == SessionEnded("failed", error)
        await until_quiet()
        assert provider.open == 0


async def _cancel_soon(scope: anyio.CancelScope) -> None:
    scope.cancel()
