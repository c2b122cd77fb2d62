"""Calling a program's functions from the event loop: what blocks runs in a thread, what gives an awaitable is awaited."""

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread

MOST_ABANDONED = 100
"""How many threads of a process may run on after whoever called them gave up."""
_AT_ONCE = 40
"""How many plain functions `call` runs at once in one event loop; as many as anyio's own threads."""

_lock = threading.Lock()


async def call(function: Callable[..., Any], *args: Any, threads: "WorkerThreads | None" = None) -> Any:
    """Call a function of the program, of whatever kind, without holding up the event loop.

    A coroutine function, or an object whose `__call__` is one, runs in the event loop. Anything else runs in a worker thread; if it gives
    an awaitable, as a wrapper around an `async def` does, that is awaited in the event loop. It is the same on asyncio and on trio.

    Args:
        function: What to call.
        args: What to call it with.
        threads: Where plain functions run; None means threads that the event loop shares.

    Returns:
        What it returned.

    Raises:
        TooManyThreads: Too many functions that nobody waits for any more have not returned yet.
        Exception: Whatever the function raises.

    A thread cannot be stopped: on cancellation it is abandoned, and what it returns is dropped.
    """
    if is_async(function):
        return await function(*args)
    result = await (threads or _shared_threads()).run(functools.partial(function, *args))
    return await result if inspect.isawaitable(result) else result


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it only makes a coroutine, so that it cannot block."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


class TooManyThreads(RuntimeError):
    """As many abandoned threads are still running as may be; nothing was called."""


class WorkerThreads:
    """Threads for plain functions, so few that functions which never return cannot fill the process.

    Args:
        limit: How many may run at once, and as many again may have been abandoned. The abandoned ones of all together are at most
            `MOST_ABANDONED`.
    """

    _abandoned_anywhere = 0

    def __init__(self, limit: int) -> None:
        self.abandoned = 0
        self._limit = limit
        self._places = anyio.CapacityLimiter(limit)
        # anyio's own count differs: on trio an abandoned thread keeps its place, on asyncio it gives it back.
        self._unlimited = anyio.CapacityLimiter(2 * limit)

    async def run(self, function: Callable[[], Any]) -> Any:
        """Run a function in a thread; on cancellation the thread is abandoned and counted until the function has returned.

        Raises:
            TooManyThreads: The limit of abandoned threads is reached.
            Exception: What the function raises.
        """
        async with self._places:
            if self.abandoned >= self._limit or WorkerThreads._abandoned_anywhere >= MOST_ABANDONED:
                raise TooManyThreads("too many functions that nobody waits for any more have not returned")
            job = _Job(function, self)
            try:
                await anyio.to_thread.run_sync(job.run, abandon_on_cancel=True, limiter=self._unlimited)
            finally:
                job.leave()
            return job.outcome()

    def count(self, change: int) -> None:
        """A thread was abandoned, or such a one has ended; call it with the lock held."""
        self.abandoned += change
        WorkerThreads._abandoned_anywhere += change


class _Job:
    """One function in one thread. Its result is kept here, since trio refuses threads that return a coroutine."""

    def __init__(self, function: Callable[[], Any], threads: WorkerThreads) -> None:
        self._function = function
        self._threads = threads
        self._running = self._left = False
        self._result: Any = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Call the function, in the thread, unless the caller has gone before it could begin."""
        with _lock:
            if self._left:
                return
            self._running = True
        try:
            self._result = self._function()
        except Exception as error:  # noqa: BLE001 - raised by `outcome`, in the task that waits
            self._error = error
        finally:
            with _lock:
                self._running = False
                if self._left:
                    self._threads.count(-1)
            if self._left and inspect.iscoroutine(self._result):
                self._result.close()  # nobody will await it

    def leave(self) -> None:
        """The caller does not wait any more: for good, where the function is still running."""
        with _lock:
            self._left = True
            if self._running:
                self._threads.count(1)

    def outcome(self) -> Any:
        """What the function returned or raised."""
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
            return self._result
        finally:
            del error  # its traceback holds this frame


_shared: anyio.lowlevel.RunVar[WorkerThreads] = anyio.lowlevel.RunVar("trunkline threads")


def _shared_threads() -> WorkerThreads:
    try:
        return _shared.get()
    except LookupError:
        threads = WorkerThreads(_AT_ONCE)
        _shared.set(threads)
        return threads
