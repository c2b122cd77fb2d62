"""The events of a session on their way to the one who reads it."""

from collections import deque
from collections.abc import Iterable

import anyio

from trunkline.wire.stt.events import SessionEnded, SttEvent


class EventQueue:
    """A queue with an end: after `SessionEnded` nothing more is taken. It has no bound: words are few and small."""

    def __init__(self) -> None:
        self.is_over = False
        """Whether the last event is in it, read or not."""
        self._events: deque[SttEvent] = deque()
        self._came = anyio.Event()

    def put(self, events: Iterable[SttEvent]) -> None:
        """Add events, unless the last one is there already."""
        for event in events:
            if self.is_over:
                return
            self._events.append(event)
            self.is_over = isinstance(event, SessionEnded)
            self._came.set()

    async def get(self) -> SttEvent:
        """The next event, as soon as there is one.

        Raises:
            StopAsyncIteration: The last one was read.
        """
        while not self._events:
            if self.is_over:
                raise StopAsyncIteration
            self._came = anyio.Event()
            await self._came.wait()
        return self._events.popleft()
