"""An HTTP/1.1 and WebSocket server: listen, serve each connection behind a barrier, stop without dropping a call."""

import ssl
from collections.abc import Iterable, Sequence
from contextlib import closing
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import ByteStream, SocketAttribute, TaskGroup, TaskStatus

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import DeadlineExceeded, InvalidConfig
from trunkline.transport.http.connection import Exchange, log
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import Route, Router, refusal
from trunkline.transport.tcp import STREAM_FAILED, TcpListener, TcpStream, listen_tcp
from trunkline.transport.tls import TlsStream

STOP_TIMEOUT = 5.0  # for tasks that were cancelled to end
ACCEPT_PAUSE = 0.1  # after an accept failed, for instance for want of file descriptors
REFUSING = 64  # connections above the limit that are told so; more are dropped


class Server:
    """Serves `routes` in the background.

    Either `async with Server(…) as server`, or `await server.start(task_group)` and later `aclose()`.

    Args:
        routes: The first that fits a request handles it.
        host: The address to listen on; the empty string for all.
        port: 0 for any free one.
        tls: Serve TLS with this.
        limits: What one peer may ask for.
        grace: Seconds that running handlers get when the server stops.
        clock: Where time comes from.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        limits: ServerLimits | None = None,
        grace: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._router = Router(routes)
        self._host = host
        self._port = port
        self._tls = tls
        self._limits = limits or ServerLimits()
        self._grace = grace
        self._clock = clock
        self._exchanges: dict[Exchange, None] = {}  # in the order in which they were opened
        self._connections = 0
        self._failures = 0
        self._draining = False
        self._accepting: anyio.CancelScope | None = None
        self._serving: anyio.CancelScope | None = None
        self._stopped = anyio.Event()
        self._own_group: TaskGroup | None = None

    # ── starting ─────────────────────────────────────────────────────────────────────────────────────────────────────

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
        """Listen, and serve in `task_group`, which must outlive the server.

        Raises:
            InvalidConfig: No task group was given, the server was started before, or it cannot listen there.
        """
        if task_group is None:
            raise InvalidConfig(
                "task_group", "start() needs one; write `async with Server(…)` or `await server.start(task_group)`"
            )
        if self._serving is not None:
            raise InvalidConfig("start", "a server starts once")
        self._serving, self._accepting = anyio.CancelScope(), anyio.CancelScope()
        try:
            listeners = await listen_tcp(
                self._host, self._port, send_timeout=self._limits.write_timeout, clock=self._clock
            )
        except OSError as error:
            raise InvalidConfig(
                "port", f"cannot listen on {self._host}:{self._port}: {error.strerror or error}"
            ) from error
        self._port = listeners[0].port
        try:
            await task_group.start(self._serve, listeners, self._serving, self._accepting)
        except BaseException:
            for listener in listeners:
                listener.close()
            raise

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def url(self) -> str:
        """The address it listens on, as an HTTP client dials it from this machine."""
        host = "127.0.0.1" if self._host in {"", "0.0.0.0"} else self._host  # noqa: S104 - compared, not bound
        return f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self._port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._connections

    @property
    def failures(self) -> int:
        """How many handlers raised or did not answer in time; each is in the log."""
        return self._failures + sum(exchange.failures for exchange in self._exchanges)

    # ── serving ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _serve(
        self,
        listeners: Sequence[TcpListener],
        serving: anyio.CancelScope,
        accepting: anyio.CancelScope,
        *,
        task_status: TaskStatus[None],
    ) -> None:
        try:
            with serving:
                async with anyio.create_task_group() as connections:
                    with accepting:
                        async with anyio.create_task_group() as doors:
                            for listener in listeners:
                                doors.start_soon(self._accept, listener, connections)
                            task_status.started()
        finally:
            self._stopped.set()

    async def _accept(self, listener: TcpListener, connections: TaskGroup) -> None:
        with closing(listener):
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    log.error("a connection could not be accepted: %s", error.strerror)
                    await anyio.sleep(ACCEPT_PAUSE)
                else:
                    connections.start_soon(self._connection, stream)

    async def _connection(self, socket: TcpStream) -> None:
        """The barrier: nothing that goes wrong here reaches another connection."""
        self._connections += 1
        try:
            excess = self._connections - self._limits.connections
            if excess > 0 and any(exchange.evict() for exchange in self._exchanges):
                excess = 0
            if excess <= REFUSING:
                await self._converse(await self._secured(socket), refused=excess > 0)
        except (anyio.EndOfStream, DeadlineExceeded, *STREAM_FAILED) as error:
            log.debug("a connection was lost: %s", type(error).__name__)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._failures += 1
            log.error("a connection failed", exc_info=error)
        finally:
            self._connections -= 1
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(socket)

    async def _secured(self, socket: TcpStream) -> ByteStream:
        if self._tls is None:
            return socket
        stream: ByteStream | None = None
        with self._clock.move_on_after(self._limits.header_timeout):
            stream = await TlsStream.wrap(socket, self._tls, server_side=True)
        if stream is None:
            raise anyio.EndOfStream
        return stream

    async def _converse(self, stream: ByteStream, *, refused: bool) -> None:
        client = stream.extra(SocketAttribute.remote_address, None)  # noqa: S610 - not Django
        exchange = Exchange(
            stream, self._router, self._limits, client if isinstance(client, tuple) else None, self._clock
        )
        self._exchanges[exchange] = None
        try:
            if self._draining:
                exchange.drain()
            if refused:
                await exchange.refuse(refusal(503, headers=[("Retry-After", "1")]))
            else:
                await exchange.serve()
        finally:
            del self._exchanges[exchange]
            self._failures += exchange.failures

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self, *, grace: float | None = None) -> None:
        """Stop listening, let running handlers finish for `grace` seconds, cancel the rest; from any task, any number of times.

        Idle connections are closed at once. A cancelled `aclose` grants no more grace.
        """
        if self._serving is None or self._accepting is None:
            return
        self._draining = True
        self._accepting.cancel()
        for exchange in self._exchanges:
            exchange.drain()
        try:
            with self._clock.move_on_after(self._grace if grace is None else grace):
                await self._stopped.wait()
        finally:
            self._serving.cancel()
            with self._clock.move_on_after(STOP_TIMEOUT, shield=True):
                await self._stopped.wait()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        group, self._own_group = self._own_group, None
        assert group is not None  # noqa: S101 - set on entry
        try:
            await self.aclose(grace=None if exc is None else 0.0)
        finally:
            # An error of the block is not the group's: passing it in would bring it back inside an ExceptionGroup.
            if isinstance(exc, Exception):
                await group.__aexit__(None, None, None)
            else:
                await group.__aexit__(exc_type, exc, traceback)
