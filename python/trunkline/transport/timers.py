"""Callbacks at given times, all of them waited for by one task."""

import heapq
import itertools
import logging
import math
import time
from collections.abc import Callable

import anyio
import anyio.lowlevel

from trunkline.clock import Clock

log = logging.getLogger("trunkline.transport")

TURN = 0.002  # seconds of callbacks before other tasks have theirs


class Timer:
    """One callback that is waited for; made by `Timers.at`."""

    __slots__ = ("_callback", "moment")

    def __init__(self, moment: float, callback: Callable[[], None] | None) -> None:
        self.moment = moment
        self._callback = callback

    @property
    def is_set(self) -> bool:
        """Whether the callback is still to come."""
        return self._callback is not None

    def cancel(self) -> None:
        """Never call back; any number of times."""
        self._callback = None

    def fire(self) -> None:
        """Call back, once, and report what it raises."""
        callback, self._callback = self._callback, None
        if callback is None:
            return
        try:
            callback()
        except Exception:  # one callback's fault is not the others'
            log.exception("a timer's callback failed")


class Timers:
    """The entries, the earliest first.

    Args:
        clock: Where time comes from.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._awaited = -math.inf  # what the task waits for; it looks by itself before it waits
        self._earlier = anyio.Event()

    def __len__(self) -> int:
        return sum(timer.is_set for _, _, timer in self._entries)

    def at(self, moment: float, callback: Callable[[], None]) -> Timer:
        """Call back once the clock shows `moment`, or soon after."""
        timer = Timer(moment, callback)
        heapq.heappush(self._entries, (moment, next(self._order), timer))
        if moment < self._awaited:
            self._awaited = -math.inf
            self._earlier.set()
        return timer

    def clear(self) -> None:
        """Cancel all."""
        for _, _, timer in self._entries:
            timer.cancel()
        self._entries.clear()

    async def run(self) -> None:
        """Call back in time until cancelled."""
        while True:
            wait = self._fire()
            if wait <= 0:
                await anyio.lowlevel.checkpoint()
                continue
            self._awaited = self._entries[0][0] if self._entries else math.inf
            self._earlier = anyio.Event()
            with self._clock.move_on_after(wait):
                await self._earlier.wait()
            self._awaited = -math.inf

    def _fire(self) -> float:
        """Call back what is due, for one turn; returns the seconds until something is due again."""
        entries, until = self._entries, time.monotonic() + TURN
        while entries:
            moment, _, timer = entries[0]
            if timer.is_set:
                wait = moment - self._clock.now()
                if wait > 0 or time.monotonic() > until:
                    return wait
            heapq.heappop(entries)
            timer.fire()
        return math.inf
