"""Waiting for what happens in a simulated call."""

import anyio
import pytest

from trunkline.clock import ManualClock
from trunkline.errors import CallError, DeadlineExceeded
from trunkline.testing.timeline import Timeline

pytestmark = pytest.mark.anyio


async def test_events_have_their_milliseconds() -> None:
    clock = ManualClock()
    await clock.advance(5)
    timeline = Timeline(clock=clock)
    timeline.note("answered")
    await clock.advance(0.25)
    timeline.note("mark utt-1")
    assert timeline.entries == [(0.0, "answered"), (250.0, "mark utt-1")]
    assert timeline.times_of("mark") == timeline.times_of("mark utt-1") == [250.0]
    assert timeline.times_of("mark utt") == []


async def test_an_event_is_waited_for_and_found_when_it_happened_before() -> None:
    clock = ManualClock()
    timeline = Timeline(clock=clock)
    times: list[float] = []

    async def wait() -> None:
        times.append(await timeline.wait_for("mark", timeout=5, count=2))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await clock.advance(1)
        timeline.note("mark a")
        timeline.wake()
        await clock.advance(1)
        assert times == []
        timeline.note("mark b")
    await wait()
    assert times == [2000.0, 2000.0]


async def test_waiting_ends_at_the_deadline() -> None:
    clock = ManualClock()
    timeline = Timeline(clock=clock)

    async def wait() -> None:
        with pytest.raises(DeadlineExceeded, match="the event 'mark' did not finish within 5 s"):
            await timeline.wait_for("mark", timeout=5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await clock.advance(5.001)


async def test_waiting_ends_with_the_call() -> None:
    timeline = Timeline(clock=ManualClock(), call_id="CA1")

    async def wait() -> None:
        with pytest.raises(CallError, match="call CA1: ended before the event 'mark'"):
            await timeline.wait_for("mark", timeout=5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        timeline.close()
    await wait()
