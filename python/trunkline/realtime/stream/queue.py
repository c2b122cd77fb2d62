"""A bounded queue with an end, between one task that writes and one that reads."""

import math
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

Item = TypeVar("Item")


class BoundedQueue(Generic[Item]):
    """A queue to read with `async for`. It has an end; where that is an error, the reader gets it once, after all that came before.

    Args:
        limit: How much may be unread; while it is as much, `put` waits for the reader.
        weigh: What an item counts against the limit.
    """

    def __init__(self, *, limit: float = math.inf, weigh: Callable[[Item], float] = lambda _item: 1) -> None:
        self._limit = limit
        self._weigh = weigh
        self._items: deque[Item] = deque()
        self._weight = 0.0
        self._ended = False
        self._error: Exception | None = None
        self._changed: anyio.Event | None = None

    @property
    def full(self) -> bool:
        """Whether `put` has to wait for the reader."""
        return self._weight >= self._limit and not self._ended

    async def put(self, item: Item) -> None:
        """Add an item, once there is room for it; after the end it is dropped."""
        while self.full:
            await self._change()
        self.put_nowait(item)

    def put_nowait(self, item: Item) -> None:
        """Add an item whether there is room or not."""
        if not self._ended:
            self._items.append(item)
            self._weight += self._weigh(item)
            self._notify()

    def drop(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Remove unread items, and return them."""
        dropped = [item for item in self._items if unwanted(item)]
        self._items = deque(item for item in self._items if not unwanted(item))
        self._weight -= sum(map(self._weigh, dropped))
        self._notify()
        return dropped

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come; the first end holds."""
        if not self._ended:
            self._ended, self._error = True, error
            self._notify()

    def __aiter__(self) -> "BoundedQueue[Item]":
        return self

    async def __anext__(self) -> Item:
        await anyio.lowlevel.checkpoint()
        while not self._items:
            if self._ended:
                error, self._error = self._error, None
                raise error or StopAsyncIteration
            await self._change()
        item = self._items.popleft()
        self._weight -= self._weigh(item)
        self._notify()
        return item

    async def _change(self) -> None:
        """Wait until something comes, goes or ends; an event is made only where somebody waits for it."""
        self._changed = self._changed or anyio.Event()
        await self._changed.wait()

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
