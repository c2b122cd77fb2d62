"""What every carrier's gateway has in common: admission, tokens, sessions, the server and its life."""

import inspect
import logging
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from trunkline.clock import Clock
from trunkline.errors import CallRejected, InvalidConfig
from trunkline.gateway.admission import Admission, Place
from trunkline.gateway.call import CallSession, StreamCodec
from trunkline.gateway.config import CallInfo, GatewayConfig, ProviderName
from trunkline.pipeline import BridgeConfig, RealtimeBridge
from trunkline.realtime.provider import ProcessConfig
from trunkline.telephony.line import CarrierPort
from trunkline.tools import CompiledTools
from trunkline.transport import MessageStream, Request, Response, Route, Server, ServerLimits

logger = logging.getLogger("trunkline.gateway")

OBSERVER_GRACE = 5.0
"""Seconds that an `on_session` handler has after the end of its call."""

CONNECTIONS = 500
"""Connections that may be open besides two for each call, its media socket and its webhooks."""

CallHandler = Callable[[CallInfo], Awaitable[None] | None]
SessionHandler = Callable[[CallSession], Awaitable[None]]


class Gateway(ABC):
    """Answers a carrier's webhooks and media sockets, and runs a session for each call.

    `async with gateway:` serves in the background, `await gateway.start()` here, until `stop()`, cancellation or SIGTERM.
    """

    name: ProviderName

    def __init__(self, config: GatewayConfig, *, clock: Clock) -> None:
        self.config = config
        self._clock = clock
        self._provider = config.make_provider(clock=clock)
        self._process_config = config.realtime_config.to_process_config() if config.realtime_config else ProcessConfig()
        # Built so that tools which cannot work are refused now, not in every call.
        CompiledTools([*self._process_config.functions, *config.tools], config.tool_handlers)
        self._admission = Admission(places=config.max_concurrent_calls, clock=clock)
        self._sessions: dict[str, CallSession] = {}
        self._call_handler: CallHandler | None = None
        self._session_handler: SessionHandler | None = None
        self._server: Server | None = None
        self._stack: AsyncExitStack | None = None
        self._stopping = anyio.Event()

    # ── the application ──────────────────────────────────────────────────────────────────────────────────────────────

    def on_call(self, handler: CallHandler) -> CallHandler:
        """Decide about each call before it is answered: return to accept, raise `CallRejected` to refuse. Plain or `async`."""
        self._call_handler = handler
        return handler

    def on_session(self, handler: SessionHandler) -> SessionHandler:
        """Run beside each call, from the beginning of its media; cancelled shortly after its end."""
        self._session_handler = handler
        return handler

    def get_session(self, call_id: str) -> CallSession | None:
        """The call in progress with this id, if there is one."""
        session = self._sessions.get(call_id)
        return session if session is not None and session.is_active else None

    def list_sessions(self) -> list[CallSession]:
        """The calls in progress."""
        return [session for session in self._sessions.values() if session.is_active]

    @property
    def url(self) -> str:
        """Where the gateway listens while it runs, as this machine dials it.

        Raises:
            InvalidConfig: It does not run.
        """
        if self._server is None:
            raise InvalidConfig("gateway", "is not running; use `async with gateway`")
        return self._server.url

    @property
    def public_url(self) -> str:
        """Where the carrier reaches the gateway, without a slash at the end."""
        return (self.config.public_url or self.url).rstrip("/")

    async def start(self) -> None:
        """Serve here until `stop()`, cancellation or SIGTERM."""
        async with self, anyio.create_task_group() as tasks:
            tasks.start_soon(self._stop_on_signal)
            logger.info("%s gateway listens on %s", self.name, self.url)
            await self._stopping.wait()
            tasks.cancel_scope.cancel()

    async def stop(self) -> None:
        """Take no more calls, give those in progress `stop_timeout` seconds, then end them; any number of times, from any task."""
        self._stopping.set()
        with self._clock.move_on_after(self.config.stop_timeout):
            for session in self.list_sessions():
                await session.wait_closed()
        async with anyio.create_task_group() as tasks:
            for session in self.list_sessions():
                tasks.start_soon(session.close, "shutdown")
        if self._server is not None:
            await self._server.aclose(grace=OBSERVER_GRACE)

    async def __aenter__(self) -> Self:
        if self._server is not None:
            raise InvalidConfig("gateway", "is running already")
        host, port = self.config.address
        self._stopping = anyio.Event()
        limits = ServerLimits(connections=CONNECTIONS + 2 * self.config.max_concurrent_calls)
        async with AsyncExitStack() as stack:
            self._server = await stack.enter_async_context(
                Server(self._routes(), host=host, port=port, limits=limits, clock=self._clock)
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        stack, self._stack = self._stack, None
        if stack is None:
            return None
        try:
            try:
                await self.stop()
            finally:
                handled = await stack.__aexit__(kind, error, trace)
        finally:
            self._server = None
        return handled

    async def _stop_on_signal(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # signals reach the main thread alone; a gateway elsewhere is stopped by whoever runs it
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                logger.info("SIGTERM: taking no more calls")
                self._stopping.set()
                return

    # ── for the carriers ─────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def carrier_routes(self) -> Sequence[Route]:
        """The carrier's webhooks and media socket."""

    async def admit(self, info: CallInfo) -> str:
        """Decide about a call; returns the path of its media socket, which works once, within a minute.

        A carrier that asks again about a call whose media socket has not come is given the same answer.

        Raises:
            CallRejected: The application refused the call, or there is no room for it.
        """
        try:
            with self._admission.place(info.call_id) as place:
                async with place.turn:
                    return _media_path(self._admission.token_of(info.call_id) or await self._decide(info))
        except CallRejected as rejected:
            logger.info("call %s is refused: %s", info.call_id, rejected.reason)
            raise

    def redeem(self, token: str) -> CallInfo | None:
        """The call that a media socket's token belongs to; the token is used up by asking."""
        return self._admission.redeem(token)

    def arrival(self, info: CallInfo) -> AbstractContextManager[Place]:
        """Hold the call's place while its media socket is open."""
        return self._admission.arrival(info.call_id)

    async def carry(self, info: CallInfo, line: MessageStream, codec: StreamCodec, port: CarrierPort) -> None:
        """Run a call on its open media socket until it is over."""
        config = BridgeConfig(
            provider=self._provider,
            process_config=self._process_config,
            tools=self.config.tools,
            tool_handlers=self.config.tool_handlers,
            greeting=self.config.greeting,
            interruption=self.config.interruption,
        )
        session = CallSession(info, RealtimeBridge(config, port=port, clock=self._clock), clock=self._clock)
        self._sessions[info.call_id] = session
        try:
            async with anyio.create_task_group() as tasks:
                observed = anyio.Event()
                tasks.start_soon(self._observe, session, observed)
                await session.serve(line, codec, max_duration=self.config.max_session_duration)
                await line.aclose()
                with self._clock.move_on_after(OBSERVER_GRACE):
                    await observed.wait()
                tasks.cancel_scope.cancel()
        finally:
            if self._sessions.get(info.call_id) is session:  # a redirected call may have a new stream already
                del self._sessions[info.call_id]

    def end_call(self, call_id: str) -> CallSession | None:
        """The session of a call that the carrier says is over."""
        self._admission.forget(call_id)
        return self._sessions.get(call_id)

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _routes(self) -> list[Route]:
        prefix = urlsplit(self.config.public_url).path.rstrip("/")
        carrier = [Route(route.method, prefix + route.pattern, route.handler) for route in self.carrier_routes()]
        return [*carrier, Route("GET", "/health", self._health), Route("GET", "/ready", self._ready)]

    async def _health(self, _: Request) -> Response:
        return Response(200, b"ok\n")

    async def _ready(self, _: Request) -> Response:
        busy = self._admission.full or self._stopping.is_set()
        return Response(503, b"busy\n") if busy else Response(200, b"ready\n")

    async def _decide(self, info: CallInfo) -> str:
        if not self._stopping.is_set():
            await self._ask_application(info)
        if self._stopping.is_set():
            raise CallRejected("busy", call_id=info.call_id)
        return self._admission.expect(info)

    async def _ask_application(self, info: CallInfo) -> None:
        handler = self._call_handler
        if handler is None:
            return
        try:
            if inspect.iscoroutinefunction(handler):
                await handler(info)
            else:  # in a tuple, since trio takes no coroutine out of a thread
                (decision,) = await anyio.to_thread.run_sync(lambda: (handler(info),), abandon_on_cancel=True)
                if inspect.isawaitable(decision):
                    await decision
        except CallRejected as rejected:
            rejected.call_id = info.call_id
            raise
        except Exception as error:
            logger.exception("call %s is refused: the on_call handler failed", info.call_id)
            raise CallRejected("rejected", call_id=info.call_id) from error

    async def _observe(self, session: CallSession, observed: anyio.Event) -> None:
        try:
            if self._session_handler is not None:
                await self._session_handler(session)
        except Exception:
            logger.exception("call %s: the on_session handler failed", session.id)
        finally:
            observed.set()


def _media_path(token: str) -> str:
    return f"/ws/media-stream/{token}"
