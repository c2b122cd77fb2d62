"""The garbage collector runs when it is told to, and as before once that is over."""

import gc
import weakref
from collections.abc import Iterator

import anyio
import pytest

from trunkline.clock import ManualClock
from trunkline.gateway import gc_pacing, pace_garbage_collection

pytestmark = pytest.mark.anyio


class Ring:
    """Garbage that counting references does not find."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


async def test_garbage_goes_at_its_time_and_not_before() -> None:
    clock = ManualClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: pace_garbage_collection(every=30, clock=clock))
        await anyio.wait_all_tasks_blocked()
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        lost = weakref.ref(Ring())
        await clock.advance(29.9)
        assert lost() is not None
        await clock.advance(0.2)
        assert lost() is None
        lost = weakref.ref(Ring())
        await clock.advance(30)
        assert lost() is None
        tasks.cancel_scope.cancel()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


async def test_much_garbage_goes_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc_pacing, "PLENTY", 20_000)
    clock = ManualClock()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: pace_garbage_collection(every=30, clock=clock))
        await anyio.wait_all_tasks_blocked()
        lost = weakref.ref(Ring())
        await clock.advance(3)
        assert lost() is not None
        much = [Ring() for _ in range(20_000)]
        await clock.advance(1.5)
        assert lost() is None
        assert much
        tasks.cancel_scope.cancel()


async def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pace_garbage_collection)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert not gc.isenabled()
