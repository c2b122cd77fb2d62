"""The events of a conversation on their way to the one who reads it."""

from collections import deque

import anyio

from trunkline.realtime.events import SessionEnded, SessionEvent

UNREAD = 256
"""Events that may wait to be read before the vendor is read no further: some 50 s of audio in pieces of 200 ms."""


class EventQueue:
    """A bounded queue with an end: after `SessionEnded` nothing more is taken."""

    def __init__(self) -> None:
        self.is_over = False
        """Whether the last event is in it, read or not."""
        self._events: deque[SessionEvent] = deque()
        self._came = anyio.Event()
        self._room = anyio.Event()
        self._is_awaited = False

    @property
    def is_full(self) -> bool:
        """Whether whoever puts events has to wait."""
        return len(self._events) >= UNREAD and not self.is_over

    def put(self, event: SessionEvent) -> bool:
        """Add an event, unless the last one is there already; returns `is_full`."""
        if self.is_over:
            return False
        self._events.append(event)
        if isinstance(event, SessionEnded):
            self.is_over = True
            self._room.set()
        if self._is_awaited:
            self._is_awaited = False
            self._came.set()
        return len(self._events) >= UNREAD and not self.is_over

    async def get(self) -> SessionEvent:
        """The next event, as soon as there is one.

        Raises:
            StopAsyncIteration: The last one was read.
        """
        while not self._events:
            if self.is_over:
                raise StopAsyncIteration
            self._came, self._is_awaited = anyio.Event(), True
            await self._came.wait()
        if len(self._events) == UNREAD:
            self._room.set()
        return self._events.popleft()

    async def wait_for_room(self) -> None:
        """Wait until there is room, or until `release` is called."""
        self._room = anyio.Event()
        if self.is_full:
            await self._room.wait()

    def release(self) -> None:
        """Let whoever waits for room look again."""
        self._room.set()
