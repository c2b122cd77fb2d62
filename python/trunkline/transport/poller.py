"""Sockets that are waited for together and served by plain functions.

A task per socket costs a switch of tasks for every frame. Here every socket is registered once, with the system's own set of descriptors,
and one task waits for that set. Where the system has no such set, a task for each socket calls the same functions.
"""

import logging
import selectors
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup, TaskStatus

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ConnectionLost, InvalidConfig, LocalProtocolError
from trunkline.transport.timers import TURN, Timer, Timers

log = logging.getLogger("trunkline.transport")

STOP_TIMEOUT = 5.0  # seconds for the tasks to end, once they are cancelled


class Source(Protocol):
    """A socket with what is to be done when it is ready."""

    wants_read: bool
    wants_write: bool

    @property
    def number(self) -> int:
        """The socket's descriptor."""
        ...

    def readable(self) -> None:
        """Read once. What it raises is given to `fail`."""
        ...

    def writable(self) -> None:
        """Write once. What it raises is given to `fail`."""
        ...

    def fail(self, error: Exception) -> None:
        """Drop this source from the poller, and let its owner know why."""
        ...


class Poller(ABC):
    """Serves sources and timers in the background.

    Either `async with open_poller() as poller`, or `await poller.start(task_group)` and later `aclose()`. A source that is left when it
    ends fails with `ConnectionLost`.

    Args:
        clock: Where time comes from.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._timers = Timers(clock)
        self._scope: anyio.CancelScope | None = None
        self._stopped = anyio.Event()
        self._own_group: TaskGroup | None = None

    # ── lifetime ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        group = anyio.create_task_group()
        await group.__aenter__()
        try:
            await self.start(group)
        except BaseException:
            await group.__aexit__(None, None, None)
            raise
        self._own_group = group
        return self

    async def start(self, task_group: TaskGroup | None = None) -> None:
        """Work in `task_group`, which must outlive the poller.

        Raises:
            InvalidConfig: No task group was given, or the poller was started before.
        """
        if task_group is None:
            raise InvalidConfig(
                "task_group", "start() needs one; write `async with open_poller()` or `await poller.start(task_group)`"
            )
        if self._scope is not None:
            raise InvalidConfig("start", "a poller starts once")
        self._scope = anyio.CancelScope()
        await task_group.start(self._run, self._scope)

    async def _run(self, scope: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
        try:
            with scope:
                async with anyio.create_task_group() as tasks:
                    self._open(tasks)
                    tasks.start_soon(self._timers.run)
                    task_status.started()
                    await self._serve()
        finally:
            for source in self.sources:
                source.fail(ConnectionLost(1006, "the poller has stopped"))
            self._timers.clear()
            self._shut()
            self._stopped.set()

    async def aclose(self) -> None:
        """Stop; from any task, any number of times."""
        if self._scope is None:
            return
        self._scope.cancel()
        with self._clock.move_on_after(STOP_TIMEOUT, shield=True):
            await self._stopped.wait()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        group, self._own_group = self._own_group, None
        assert group is not None  # noqa: S101 - set on entry
        try:
            await self.aclose()
        finally:
            # An error of the block is not the group's: passing it in would bring it back inside an ExceptionGroup.
            if isinstance(exc, Exception):
                await group.__aexit__(None, None, None)
            else:
                await group.__aexit__(exc_type, exc, traceback)

    # ── what it serves ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    @abstractmethod
    def sources(self) -> list["Source"]:
        """Those that are served now."""

    @property
    def timers(self) -> int:
        """How many callbacks are to come."""
        return len(self._timers)

    def at(self, moment: float, callback: Callable[[], None]) -> Timer:
        """Call back once the clock shows `moment`, or soon after; what it raises is logged."""
        return self._timers.at(moment, callback)

    def check_running(self) -> None:
        """Refuse what a poller that does not run cannot do.

        Raises:
            LocalProtocolError: It was not started, or has ended.
        """
        if self._scope is None or self._stopped.is_set():
            raise LocalProtocolError("the poller does not run")

    @abstractmethod
    def add(self, source: Source) -> None:
        """Serve this source as long as it wants to read or write.

        Raises:
            LocalProtocolError: The poller does not run.
        """

    @abstractmethod
    def update(self, source: Source) -> None:
        """Look again at what a source wants; no matter if it is not served."""

    @abstractmethod
    def drop(self, source: Source) -> None:
        """Serve this source no more, from this moment; any number of times. Do it before its socket is closed."""

    @abstractmethod
    def _open(self, tasks: TaskGroup) -> None: ...

    @abstractmethod
    async def _serve(self) -> None: ...

    @abstractmethod
    def _shut(self) -> None: ...


class SelectorPoller(Poller):
    """One task for all sockets, by a selector that has a descriptor of its own: epoll, kqueue.

    Args:
        clock: Where time comes from.
        selector: Makes the selector.
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        selector: Callable[[], selectors.BaseSelector] = selectors.DefaultSelector,
    ) -> None:
        super().__init__(clock=clock)
        self._make = selector
        self._selector: selectors.BaseSelector | None = None
        self._sources: dict[int, Source] = {}
        self._ready: deque[tuple[selectors.SelectorKey, int]] = deque()
        self._has_more = False

    @property
    def sources(self) -> list[Source]:
        """Those that are served now."""
        return list(self._sources.values())

    def add(self, source: Source) -> None:
        """Serve this source as long as it wants to read or write.

        Raises:
            LocalProtocolError: The poller does not run.
        """
        self.check_running()
        self._sources[source.number] = source
        self.update(source)

    def update(self, source: Source) -> None:
        """Look again at what a source wants; no matter if it is not served."""
        selector, number = self._selector, source.number
        if selector is None or self._sources.get(number) is not source:
            return
        events = (selectors.EVENT_READ if source.wants_read else 0) | (
            selectors.EVENT_WRITE if source.wants_write else 0
        )
        is_registered = number in selector.get_map()
        if not events:
            if is_registered:
                selector.unregister(number)
        elif is_registered:
            selector.modify(number, events, source)
        else:
            selector.register(number, events, source)

    def drop(self, source: Source) -> None:
        """Serve this source no more, from this moment; any number of times. Do it before its socket is closed."""
        number = source.number
        if self._sources.get(number) is source:
            del self._sources[number]
            if self._selector is not None and number in self._selector.get_map():
                self._selector.unregister(number)

    def _open(self, tasks: TaskGroup) -> None:
        self._selector = self._make()
        if isinstance(self._selector, getattr(selectors, "EpollSelector", ())):
            # An event loop that is an epoll adds this one with every wait, and each time walks through all its members to look for
            # circles: 100 us for 1000 sockets. A task that waits for what never comes keeps it there.
            tasks.start_soon(self._park, _number(self._selector))

    async def _park(self, number: int) -> None:
        await anyio.wait_writable(number)

    async def _serve(self) -> None:
        assert self._selector is not None  # noqa: S101 - opened before
        number = _number(self._selector)
        while True:
            if self._has_more:
                await anyio.lowlevel.checkpoint()
            else:
                await anyio.wait_readable(number)
            self._turn(self._selector)

    def _turn(self, selector: selectors.BaseSelector) -> None:
        """Serve what is ready until nothing is, or the time of a turn is over; then the rest of what was ready goes first."""
        until, ready = time.monotonic() + TURN, self._ready
        self._has_more = True
        while time.monotonic() < until:
            if not ready:
                ready.extend(selector.select(0))
                if not ready:
                    self._has_more = False
                    return
            key, events = ready.popleft()
            source: Source = key.data
            if self._sources.get(key.fd) is source:  # not dropped meanwhile, and the number not another's now
                _serve(source, events)

    def _shut(self) -> None:
        selector, self._selector = self._selector, None
        self._sources.clear()
        self._ready.clear()
        if selector is not None:
            selector.close()


class TaskPoller(Poller):
    """A task for each socket and direction, where there is no descriptor for all of them, as on Windows.

    Args:
        clock: Where time comes from.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(clock=clock)
        self._tasks: TaskGroup | None = None
        self._waiting: dict[Source, int] = {}  # the events that a task waits for

    @property
    def sources(self) -> list[Source]:
        """Those that are served now."""
        return list(self._waiting)

    def add(self, source: Source) -> None:
        """Serve this source as long as it wants to read or write.

        Raises:
            LocalProtocolError: The poller does not run.
        """
        self.check_running()
        self._waiting[source] = 0
        self.update(source)

    def update(self, source: Source) -> None:
        """Look again at what a source wants; no matter if it is not served."""
        waiting = self._waiting.get(source)
        if waiting is None or self._tasks is None:
            return
        if source.wants_read and not waiting & selectors.EVENT_READ:
            self._tasks.start_soon(self._wait, source, selectors.EVENT_READ)
            self._waiting[source] |= selectors.EVENT_READ
        if source.wants_write and not waiting & selectors.EVENT_WRITE:
            self._tasks.start_soon(self._wait, source, selectors.EVENT_WRITE)
            self._waiting[source] |= selectors.EVENT_WRITE

    def drop(self, source: Source) -> None:
        """Serve this source no more, from this moment; any number of times. Do it before its socket is closed."""
        if self._waiting.pop(source, None) is not None:
            anyio.notify_closing(source.number)  # ends its tasks

    def _open(self, tasks: TaskGroup) -> None:
        self._tasks = tasks

    async def _serve(self) -> None:
        await anyio.sleep_forever()

    async def _wait(self, source: Source, event: int) -> None:
        """Wait for one direction as long as it is wanted.

        A direction that is not wanted any more is not given up at once: the task may be waiting for it, and ends when it comes.
        """
        is_reading = event == selectors.EVENT_READ
        wait = anyio.wait_readable if is_reading else anyio.wait_writable
        while source in self._waiting and (source.wants_read if is_reading else source.wants_write):
            try:
                await wait(source.number)
            except anyio.ClosedResourceError:
                return  # it was dropped
            except OSError as error:
                source.fail(error)
                return
            if source in self._waiting:
                _serve(source, event)
        if source in self._waiting:
            self._waiting[source] &= ~event

    def _shut(self) -> None:
        self._tasks = None
        self._waiting.clear()


def _number(selector: selectors.BaseSelector) -> int:
    """The descriptor of the set itself."""
    number: int = getattr(selector, "fileno")()  # noqa: B009 - not every selector has one, so the base class has not
    return number


def _serve(source: Source, events: int) -> None:
    """Let a source work; nothing that it raises reaches the others."""
    try:
        if events & selectors.EVENT_WRITE and source.wants_write:
            source.writable()
        if events & selectors.EVENT_READ and source.wants_read:
            source.readable()
    except Exception as error:  # noqa: BLE001 - the barrier between one call and the others
        source.fail(error)


def open_poller(*, clock: Clock = SYSTEM_CLOCK) -> Poller:
    """The poller that suits this system; start it."""
    if hasattr(selectors.DefaultSelector, "fileno"):
        return SelectorPoller(clock=clock)
    return TaskPoller(clock=clock)
