"""The server of a gateway: it listens, and at the end it drains: no more calls, those that were accepted end, then the server does."""

import signal
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio.abc import TaskGroup

from trunkline.clock import Clock
from trunkline.gateway.call import OBSERVER_GRACE
from trunkline.gateway.config import GatewayConfig
from trunkline.transport import Route, Server, ServerLimits

CONNECTIONS: Final = 500
"""Connections that may be open besides two for each call, its media socket and its webhooks."""

_serving: ContextVar["Service | None"] = ContextVar("trunkline_serving", default=None)
"""The service that the running task belongs to: such a task must not wait for the end of what it is part of."""


class Service:
    """One run of a gateway, from start to stop; `async with Service(…) as service` owns all its tasks.

    Args:
        routes: What it answers.
        config: Where it listens, and how long calls are waited for.
        calls_over: Returns when no call runs or is expected any more.
        end_calls: Ends those that do.
        clock: Where time comes from.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        config: GatewayConfig,
        *,
        calls_over: Callable[[], Awaitable[None]],
        end_calls: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        host, port = config.address
        limits = ServerLimits(connections=CONNECTIONS + 2 * config.max_concurrent_calls)
        self._server = Server(routes, host=host, port=port, limits=limits, clock=clock)
        self._stop_timeout = config.stop_timeout
        self._logger = config.logger
        self._calls_over = calls_over
        self._end_calls = end_calls
        self._clock = clock
        self._stopping = anyio.Event()
        self._tasks: TaskGroup = anyio.create_task_group()

    @property
    def url(self) -> str:
        """Where it listens, as this machine dials it."""
        return self._server.url

    @property
    def is_stopping(self) -> bool:
        """Whether it takes no more calls."""
        return self._stopping.is_set()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        try:
            outside = _serving.set(self)  # for all tasks that the server starts, and all that those start
            try:
                await self._server.start(self._tasks)
            finally:
                _serving.reset(outside)
        except BaseException:
            await self._tasks.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            self._tasks.cancel_scope.cancel()
            # An error of the block is not the group's: passing it in would bring it back inside an ExceptionGroup.
            await self._tasks.__aexit__(None, None, None)

    def run_soon(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Run something in a task of the service, outside any request; what it raises goes to the log."""
        self._tasks.start_soon(self._run, function, args)

    async def _run(self, function: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        try:
            await function(*args)
        except Exception:
            self._logger.exception("a task of the gateway failed")

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def stop(self) -> None:
        """Take no more calls, wait `stop_timeout` seconds for those there are, end them, then stop serving.

        Any number of times, from any task. A task of the service, such as a handler or a tool, is part of what ends: there this returns
        at once.
        """
        self._stopping.set()
        if _serving.get() is self:
            self.run_soon(self._drain)
        else:
            await self._drain()

    async def _drain(self) -> None:
        with self._clock.move_on_after(self._stop_timeout):
            await self._calls_over()
        await self._end_calls()
        await self._server.aclose(grace=OBSERVER_GRACE)

    async def serve_until_stopped(self) -> None:
        """Return once somebody called `stop()`, or SIGTERM came."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stop_on_signal)
            await self._stopping.wait()
            tasks.cancel_scope.cancel()

    async def _stop_on_signal(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # signals reach the main thread alone; a gateway elsewhere is stopped by whoever runs it
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                self._logger.info("SIGTERM: taking no more calls")
                self._stopping.set()
                return
