"""Time that runs, runs faster, or is moved by hand."""

import time

import anyio
import pytest

from trunkline.clock import Clock, ManualClock, ScaledClock, SystemClock


async def test_manual_time_wakes_sleepers_in_order() -> None:
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, moment: float) -> None:
        await clock.sleep_until(moment)
        woken.append((name, clock.now()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleeper, "late", 3.0)
        tasks.start_soon(sleeper, "early", 1.0)
        await clock.advance(0.5)
        assert woken == []
        await clock.advance(3.0)
    assert woken == [("early", 1.0), ("late", 3.0)]
    assert clock.now() == 3.5
    await clock.sleep_until(1.0)


async def test_manual_deadlines_end_with_their_scope() -> None:
    clock = ManualClock()
    expired: list[bool] = []

    async def wait(seconds: float) -> None:
        with clock.move_on_after(1.0) as scope:
            await clock.sleep_until(clock.now() + seconds)
        expired.append(scope.cancelled_caught)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, 0.5)
        tasks.start_soon(wait, 5.0)
        await clock.advance(2.0)
    assert expired == [False, True]


async def test_scaled_time_runs_faster() -> None:
    clock = ScaledClock(1000)
    began, real = clock.now(), time.monotonic()
    await clock.sleep_until(began + 20)
    assert clock.now() - began >= 20
    assert time.monotonic() - real < 5
    with clock.move_on_after(10) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert (clock.wall() - SystemClock().wall()).total_seconds() > 5


async def test_system_time_does_not_wait_for_the_past() -> None:
    clock = SystemClock()
    await clock.sleep_until(clock.now() - 1)
    with clock.move_on_after(0.001) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.parametrize("clock", [ManualClock(), SystemClock(), ScaledClock(10)])
async def test_no_time_at_all_is_over_at_once(clock: Clock) -> None:
    for seconds in (0.0, -1.0):
        with clock.move_on_after(seconds) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
