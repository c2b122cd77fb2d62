"""One clock for everything that waits: the system's, one that runs faster, and one that a test moves by hand.

Whoever sleeps, measures or sets a deadline takes `clock=` and asks it, so that an hour-long session runs in a minute on a `ScaledClock`
and a protocol is tested without waiting on a `ManualClock`. All times are seconds; `now()` has no meaning but its differences.
"""

import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio
import anyio.lowlevel


class Clock(Protocol):
    """What the package needs of time."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def wall(self) -> datetime:
        """The time of day, in UTC."""
        ...

    async def sleep_until(self, moment: float) -> None:
        """Return once `now()` has reached `moment`; a checkpoint in any case."""
        ...

    def move_on_after(self, seconds: float, *, shield: bool = False) -> AbstractContextManager[anyio.CancelScope]:
        """A scope that is cancelled after so many seconds; `scope.cancelled_caught` tells whether it was."""
        ...


class SystemClock:
    """Real time."""

    now = staticmethod(time.monotonic)
    """Seconds of the system's monotonic clock."""

    def wall(self) -> datetime:
        """The time of day, in UTC."""
        return datetime.now(UTC)

    async def sleep_until(self, moment: float) -> None:
        """Sleep until the monotonic clock shows `moment`."""
        await anyio.sleep(max(0.0, moment - time.monotonic()))

    def move_on_after(self, seconds: float, *, shield: bool = False) -> AbstractContextManager[anyio.CancelScope]:
        """A cancel scope of so many real seconds."""
        return anyio.move_on_after(seconds, shield=shield)


class ScaledClock:
    """Real sockets at `factor` times the speed: a minute on this clock takes 60 / `factor` seconds."""

    def __init__(self, factor: float) -> None:
        if factor <= 0:
            raise ValueError(f"factor must be above 0, got {factor!r}")
        self._factor = factor
        self._began = time.monotonic()
        self._began_wall = datetime.now(UTC)

    def now(self) -> float:
        """Seconds since the clock was made, scaled."""
        return (time.monotonic() - self._began) * self._factor

    def wall(self) -> datetime:
        """The time of day this clock has reached, in UTC."""
        return self._began_wall + timedelta(seconds=self.now())

    async def sleep_until(self, moment: float) -> None:
        """Sleep until this clock shows `moment`."""
        await anyio.sleep(max(0.0, moment - self.now()) / self._factor)

    def move_on_after(self, seconds: float, *, shield: bool = False) -> AbstractContextManager[anyio.CancelScope]:
        """A cancel scope of so many scaled seconds."""
        return anyio.move_on_after(seconds / self._factor, shield=shield)


class ManualClock:
    """Time that stands still until `advance` is called: waits end in order, and every task runs between two of them."""

    def __init__(self) -> None:
        self._now = 0.0
        self._began_wall = datetime(2026, 1, 1, tzinfo=UTC)
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Seconds advanced so far."""
        return self._now

    def wall(self) -> datetime:
        """A fixed day plus the seconds advanced so far, in UTC."""
        return self._began_wall + timedelta(seconds=self._now)

    async def sleep_until(self, moment: float) -> None:
        """Wait until `advance` has reached `moment`."""
        if moment <= self._now:
            await anyio.lowlevel.checkpoint()
            return
        reached = anyio.Event()
        self._alarm(moment, reached.set)
        await reached.wait()

    @contextmanager
    def _scope(self, seconds: float, *, shield: bool) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope(shield=shield) as scope:
            live = True

            def expire() -> None:
                if live:
                    scope.cancel()

            if seconds > 0:
                self._alarm(self._now + seconds, expire)
            else:
                expire()
            try:
                yield scope
            finally:
                live = False

    def move_on_after(self, seconds: float, *, shield: bool = False) -> AbstractContextManager[anyio.CancelScope]:
        """A cancel scope that ends once `advance` has passed so many seconds."""
        return self._scope(seconds, shield=shield)

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass; returns when every task that could run has run."""
        end = self._now + seconds
        await _settled()
        while self._alarms and self._alarms[0][0] <= end:
            self._now, _, ring = heapq.heappop(self._alarms)
            ring()
            await _settled()
        self._now = end

    def _alarm(self, moment: float, ring: Callable[[], None]) -> None:
        heapq.heappush(self._alarms, (moment, next(self._order), ring))


async def _settled() -> None:
    """Wait until every task waits for something.

    On asyncio `wait_all_tasks_blocked` sleeps for a tenth of a second whenever it finds a task that does not, so they get some turns first.
    """
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


SYSTEM_CLOCK = SystemClock()
