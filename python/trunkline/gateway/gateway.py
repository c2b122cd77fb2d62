"""What every carrier's gateway has in common: admission, tokens, sessions, the server and its life."""

import inspect
import logging
import secrets
import signal
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from trunkline.clock import Clock
from trunkline.errors import CallRejected, InvalidConfig
from trunkline.gateway.config import CallInfo, GatewayConfig, ProviderName
from trunkline.gateway.session import CallSession, StreamCodec
from trunkline.pipeline import BridgeConfig, RealtimeBridge
from trunkline.realtime.provider import ProcessConfig
from trunkline.telephony.port import CarrierPort
from trunkline.transport import MessageStream, Request, Response, Route, Server

logger = logging.getLogger("trunkline.gateway")

TOKEN_LIFETIME = 60.0
"""Seconds in which the carrier must open the media socket of an accepted call."""

OBSERVER_GRACE = 5.0
"""Seconds that an `on_session` handler has after the end of its call."""

CallHandler = Callable[[CallInfo], Awaitable[None] | None]
SessionHandler = Callable[[CallSession], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Expected:
    """A call that was accepted and whose media socket has not come yet."""

    info: CallInfo
    expires: float


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
        self._expected: dict[str, _Expected] = {}
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
        """Where the gateway listens, `http://host:port`; only while it runs."""
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
        async with AsyncExitStack() as stack:
            self._server = await stack.enter_async_context(
                Server(self._routes(), host=host or "0.0.0.0", port=port, clock=self._clock)  # noqa: S104
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
            await self.stop()
        finally:
            handled = await stack.__aexit__(kind, error, trace)
            self._server = None
        return handled

    async def _stop_on_signal(self) -> None:
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
        self._forget_expired()
        if self._stopping.is_set():
            raise CallRejected("busy", call_id=info.call_id)
        for token, expected in self._expected.items():
            if expected.info.call_id == info.call_id:
                return _media_path(token)
        if len(self._sessions) + len(self._expected) >= self.config.max_concurrent_calls:
            logger.warning("call %s is refused: %d calls are in progress", info.call_id, len(self._sessions))
            raise CallRejected("busy", call_id=info.call_id)
        await self._ask_application(info)
        token = secrets.token_urlsafe(24)
        self._expected[token] = _Expected(info, self._clock.now() + TOKEN_LIFETIME)
        return _media_path(token)

    def redeem(self, token: str) -> CallInfo | None:
        """The call that a media socket's token belongs to; the token is used up by asking."""
        self._forget_expired()
        expected = self._expected.pop(token, None)
        return expected.info if expected else None

    async def carry(self, info: CallInfo, line: MessageStream, codec: StreamCodec, port: CarrierPort) -> None:
        """Run a call on its open media socket until it is over."""
        config = BridgeConfig(
            provider=self._provider,
            process_config=self._process_config,
            tools=self.config.tools,
            tool_handlers=self.config.tool_handlers,
            greeting=self.config.greeting,
        )
        session = CallSession(info, RealtimeBridge(config, port=port, clock=self._clock), clock=self._clock)
        self._sessions[info.call_id] = session
        try:
            async with anyio.create_task_group() as tasks:
                if self._session_handler is not None:
                    tasks.start_soon(self._observe, session)
                await session.serve(line, codec, max_duration=self.config.max_session_duration)
                await line.aclose()
                tasks.cancel_scope.deadline = anyio.current_time() + OBSERVER_GRACE
        finally:
            if self._sessions.get(info.call_id) is session:  # a redirected call may have a new stream already
                del self._sessions[info.call_id]

    def end_call(self, call_id: str) -> CallSession | None:
        """The session of a call that the carrier says is over."""
        for token, expected in list(self._expected.items()):
            if expected.info.call_id == call_id:
                del self._expected[token]
        return self._sessions.get(call_id)

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _routes(self) -> list[Route]:
        prefix = urlsplit(self.config.public_url).path.rstrip("/")
        carrier = [Route(route.method, prefix + route.pattern, route.handler) for route in self.carrier_routes()]
        return [*carrier, Route("GET", "/health", self._health), Route("GET", "/ready", self._ready)]

    async def _health(self, _: Request) -> Response:
        return Response(200, b"ok\n")

    async def _ready(self, _: Request) -> Response:
        full = len(self._sessions) + len(self._expected) >= self.config.max_concurrent_calls
        return Response(503, b"busy\n") if full or self._stopping.is_set() else Response(200, b"ready\n")

    async def _ask_application(self, info: CallInfo) -> None:
        if self._call_handler is None:
            return
        try:
            if inspect.iscoroutinefunction(self._call_handler):
                await self._call_handler(info)
            else:
                decision = await anyio.to_thread.run_sync(self._call_handler, info)
                if inspect.isawaitable(decision):
                    await decision
        except CallRejected as rejected:
            rejected.call_id = info.call_id
            raise
        except Exception as error:
            logger.exception("call %s is refused: the on_call handler failed", info.call_id)
            raise CallRejected("rejected", call_id=info.call_id) from error

    async def _observe(self, session: CallSession) -> None:
        try:
            if self._session_handler is not None:
                await self._session_handler(session)
        except Exception:
            logger.exception("call %s: the on_session handler failed", session.id)

    def _forget_expired(self) -> None:
        now = self._clock.now()
        for token, expected in list(self._expected.items()):
            if expected.expires <= now:
                del self._expected[token]


def _media_path(token: str) -> str:
    return f"/ws/media-stream/{token}"
