"""What happened in a simulated call, and when; and waiting for it."""

from collections.abc import Callable

import anyio

from trunkline.clock import Clock
from trunkline.errors import CallError, DeadlineExceeded


class Timeline:
    """Events of one call with their milliseconds since it began; whoever waits for one is woken by it.

    Args:
        clock: Tells the time and the deadlines.
        call_id: For the errors.
    """

    def __init__(self, *, clock: Clock, call_id: str = "") -> None:
        self.entries: list[tuple[float, str]] = []
        self._clock = clock
        self._call_id = call_id
        self._began = clock.now()
        self._waiting: set[anyio.Event] = set()
        self._closed = False

    def elapsed_ms(self) -> float:
        """Milliseconds since the call began."""
        return (self._clock.now() - self._began) * 1000

    def note(self, event: str) -> None:
        """Write an event down and wake whoever waits."""
        self.entries.append((self.elapsed_ms(), event))
        self.wake()

    def wake(self) -> None:
        """Let everyone who waits look again: something changed that is no event."""
        for waiting in self._waiting:
            waiting.set()
        self._waiting.clear()

    def close(self) -> None:
        """Nothing will happen any more; whoever still waits gets an error."""
        self._closed = True
        self.wake()

    def times_of(self, event: str) -> list[float]:
        """When an event happened, each time; `event` is all of its words or the first of them."""
        return [at for at, told in self.entries if told == event or told.startswith(event + " ")]

    async def wait_for(self, event: str, *, timeout: float, count: int = 1) -> float:
        """Wait until an event has happened `count` times, now or before.

        Returns:
            When it did, in milliseconds since the call began.

        Raises:
            DeadlineExceeded: It did not in `timeout` seconds.
            CallError: The call ended without it.
        """
        await self.until(lambda: len(self.times_of(event)) >= count, what=f"the event {event!r}", timeout=timeout)
        return self.times_of(event)[count - 1]

    async def until(self, reached: Callable[[], bool], *, what: str, timeout: float) -> None:
        """Wait until `reached()`; raises as `wait_for`."""
        with self._clock.move_on_after(timeout):
            while not reached():
                if self._closed:
                    raise CallError(f"ended before {what}", call_id=self._call_id)
                news = anyio.Event()
                self._waiting.add(news)
                try:
                    await news.wait()
                finally:
                    self._waiting.discard(news)
            return
        raise DeadlineExceeded(what, timeout)
