"""What every carrier's gateway has in common: who is let in, the calls in progress, and what the application may ask of them."""

import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import CallRejected, InvalidConfig
from trunkline.gateway.admission import TOKEN_LIFETIME, Admission, CallHandler, ask_application
from trunkline.gateway.call import CallSession
from trunkline.gateway.commands import CallCommands
from trunkline.gateway.config import CallInfo, GatewayConfig
from trunkline.gateway.config_file import read_settings
from trunkline.gateway.media import MEDIA_PATH, MediaDoor, refused
from trunkline.gateway.outbound import OutboundCalls
from trunkline.gateway.preparing import PreparedSessions
from trunkline.gateway.provider import make_provider
from trunkline.gateway.recording import Recording
from trunkline.gateway.serving import Service
from trunkline.pipeline import BridgeConfig, RealtimeBridge
from trunkline.realtime.provider import ProcessConfig
from trunkline.telephony.control import CallControl, MachineDetection, OutgoingCall
from trunkline.telephony.line import CallLine, LineTraits
from trunkline.tools.calling import WorkerThreads, call
from trunkline.transport import Request, Response, Route, WebSocketConnection

SessionHandler = Callable[[CallSession], Awaitable[None] | None]


class Gateway(ABC):
    """Answers a carrier's webhooks and media sockets, and runs a session for each call.

    `async with gateway:` serves in the background, `await gateway.start()` here, until `stop()`, cancellation or SIGTERM.

    A carrier's class has its webhooks in `carrier_routes`, and makes its line in `open_line`.
    """

    name: str
    config_class: ClassVar[type[GatewayConfig]] = GatewayConfig
    """The configuration that the carrier's class is built of."""
    line_traits: ClassVar[LineTraits | None] = None
    """What the carrier's lines can do, where all can do the same: then sessions are opened while the phone rings, and calls can be made."""

    phone_number: str = ""
    """The number that outbound calls show."""

    def __init__(self, config: GatewayConfig, *, control: CallControl | None = None, clock: Clock) -> None:
        self.config = config
        self.logger = config.logger
        self.clock = clock
        session = config.realtime_config
        self._bridge_config = BridgeConfig(
            provider=make_provider(config, clock=clock),
            process_config=session.to_process_config() if session else ProcessConfig(),
            tools=config.tools,
            tool_handlers=config.tool_handlers,
            greeting=config.greeting,
            greeting_interruptible=config.greeting_interruptible,
            media_timeout=config.media_timeout,
            interruption=config.interruption,
        )
        self._admission = Admission(
            places=config.max_concurrent_calls, places_per_caller=config.max_calls_per_caller, clock=clock
        )
        self._media = MediaDoor(
            self._admission,
            open_line=self.open_line,
            verify=self.verify_upgrade,
            carry=self.carry,
            start_timeout=config.start_timeout,
            logger=self.logger,
            clock=clock,
        )
        self._control = control
        self._commands = CallCommands(control, media_url=self._another_socket, clock=clock)
        self.outbound = OutboundCalls(
            self._commands,
            self._admission,
            traits=self.line_traits,
            open_session=self._open_session,
            run_session=self._run_session,
            run_soon=self.run_soon,
            clock=clock,
            logger=self.logger,
        )
        self._sessions: dict[str, CallSession] = {}
        self._prepared = PreparedSessions(
            self._bridge_config, lifetime=TOKEN_LIFETIME + config.start_timeout, run_soon=self.run_soon, clock=clock
        )
        self._call_handler: CallHandler | None = None
        self._session_handler: SessionHandler | None = None
        self._observers: WorkerThreads | None = None
        self._service: Service | None = None

    @classmethod
    def from_config(
        cls, path: str | os.PathLike[str] | None = None, *, clock: Clock = SYSTEM_CLOCK, **more: Any
    ) -> Self:
        """A gateway as a TOML file and the environment say.

        A variable `TRUNKLINE_<NAME>` goes before what the file says, and secrets may come from the carrier's own variables.

        Args:
            path: The file; its names are those of the keywords. None reads the environment alone.
            clock: What everything is timed by.
            **more: Keywords that go before both, such as tools.

        Raises:
            InvalidConfig: The file cannot be read, is for another carrier, or holds what cannot work.
        """
        settings = read_settings(path, cls.config_class, carrier=cls.name)
        build: Callable[..., Self] = cls
        return build(**(settings | more), clock=clock)

    def gateway(self) -> Self:
        """The gateway itself: for programs that were written for a registry which wraps it."""
        return self

    # ── the application ──────────────────────────────────────────────────────────────────────────────────────────────

    def on_call(self, handler: CallHandler) -> CallHandler:
        """Decide about each call before it is answered: return to accept, raise `CallRejected` to refuse. Plain or `async`.

        It has `on_call_timeout` seconds. What it puts into `call.parameters` goes with the call.
        """
        self._call_handler = handler
        return handler

    def on_session(self, handler: SessionHandler) -> SessionHandler:
        """Run beside each call, from the beginning of its media; cancelled shortly after its end. Plain, in a thread, or `async`."""
        self._session_handler = handler
        return handler

    async def make_call(
        self,
        to: str,
        *,
        from_: str | None = None,
        timeout: int = 30,
        machine_detection: MachineDetection = False,
        record: bool = False,
        status_callback: str | None = None,
    ) -> CallSession:
        """Call somebody; the session can be used at once, and its events tell how the call goes.

        Args:
            to: A number in E.164 form, or what else the carrier can dial.
            from_: The number that is shown; None for the gateway's `phone_number`.
            timeout: Seconds that it rings.
            machine_detection: Find out whether a machine answers, for an `answering_machine` event: True at once, "message_end" when its
                greeting is over.
            record: Let the carrier record the call.
            status_callback: An address to which each `call_state`, `answering_machine` and `session_ended` event is posted as JSON.

        Raises:
            InvalidConfig: The gateway does not run or has no credentials for the carrier's REST interface, or the call cannot be made so.
            CallRejected: Every place is taken, or the gateway is stopping.
            ProviderError: The carrier refused; `code` is the carrier's.
            TransportError: The carrier cannot be reached.
        """
        self._running()
        if self._is_stopping:
            raise CallRejected("busy")

        def call(query: str) -> OutgoingCall:
            return OutgoingCall(
                to=to,
                from_=from_ or self.phone_number,
                answer_url=f"{self.public_url}/voice/inbound?{query}",
                status_url=f"{self.public_url}/voice/status?{query}",
                timeout=timeout,
                machine_detection=machine_detection,
                record=record,
            )

        return await self.outbound.make_call(call, status_callback=status_callback)

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
        return self._running().url

    @property
    def public_url(self) -> str:
        """Where the carrier reaches the gateway, without a slash at the end."""
        return self.config.public_url or self.url

    async def start(self) -> None:
        """Serve here until `stop()`, cancellation or SIGTERM."""
        async with self:
            self.logger.info("%s gateway listens on %s", self.name, self.url)
            await self._running().serve_until_stopped()

    async def stop(self) -> None:
        """Take no more calls, give those in progress or accepted `stop_timeout` seconds, then end them; any number of times, from any task.

        Called in a task of the gateway, such as a handler or a tool, it returns at once.
        """
        if self._service is not None:
            await self._service.stop()

    async def __aenter__(self) -> Self:
        if self._service is not None:
            raise InvalidConfig("gateway", "is running already")
        self._observers = WorkerThreads(self.config.max_concurrent_calls)
        service = Service(
            self._routes(),
            self.config,
            calls_over=self._admission.wait_empty,
            end_calls=self._end_calls,
            clock=self.clock,
        )
        self._service = await service.__aenter__()
        if self._control is not None:
            await self._control.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._service is not None:
            try:
                await self._service.__aexit__(kind, error, trace)
            finally:
                self._service = None
                if self._control is not None:
                    await self._control.__aexit__(kind, error, trace)

    # ── what a carrier has of its own ────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def carrier_routes(self) -> Sequence[Route]:
        """The carrier's webhooks."""

    @abstractmethod
    def open_line(self, socket: WebSocketConnection) -> CallLine:
        """The line of a media socket that was just opened."""

    def verify_upgrade(self, request: Request) -> None:  # noqa: B027 - some carriers do not sign it
        """Check who opens a media socket, besides the token.

        Raises:
            SignatureInvalid: It is not the carrier.
        """

    # ── for the carriers ─────────────────────────────────────────────────────────────────────────────────────────────

    async def admit(self, info: CallInfo) -> str:
        """Decide about a call; returns the path of its media socket, which works once, within a minute.

        A carrier that asks again about a call whose media socket has not come is given the same answer.

        Raises:
            CallRejected: The application refused the call, or there is no room for it.
        """
        try:
            with self._admission.place(info.call_id, info.from_) as place:
                async with place.turn:
                    token = self._admission.token_of(info.call_id)
                    if token is None:
                        token = await self._decide(info)
                    else:
                        info.parameters.update(self._admission.info_of(token).parameters)
                    return MEDIA_PATH + token
        except CallRejected as rejected:
            self.logger.info("call %s is refused: %s", info.call_id, rejected.reason)
            raise

    async def carry(self, info: CallInfo, line: CallLine) -> None:
        """Run a call on its line, which has started, until it is over and hung up; or carry on the call that waits for this line."""
        waiting = self._commands.line_of(info.call_id)
        if waiting is not None and waiting.expects_line:
            await waiting.carry_on(line)
        elif info.direction == "outbound":  # it was given up
            await line.aclose()
        else:
            with self._commands.line(info.call_id, line) as lasting:
                await self._run_session(self._open_session(info, lasting), lasting)

    def media_path(self, info: CallInfo) -> str:
        """The path of a media socket for a call that has its place."""
        return MEDIA_PATH + (self._admission.token_of(info.call_id) or self._admission.expect(info))

    def end_call(self, call_id: str, reason: str) -> None:
        """The carrier says that a call is over: its token no longer works, and its session ends soon."""
        self._admission.forget(call_id)
        self._prepared.cancel(call_id)
        session = self.get_session(call_id)
        if session is not None:
            self.run_soon(session.close, reason)

    def run_soon(self, function: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Run something in a task of the gateway, outside the request that is being answered; what it raises goes to the log.

        Raises:
            InvalidConfig: The gateway does not run.
        """
        self._running().run_soon(function, *args)

    def public_address(self, request: Request) -> str:
        """The address as the carrier was told it and signs it: what arrives here may have passed a proxy, but the path is the same."""
        public = urlsplit(self.public_url)
        return f"{public.scheme}://{public.netloc}{request.target}"

    def socket_url(self, path: str) -> str:
        """The address of a media socket, as the carrier dials it."""
        return f"ws{self.public_url.removeprefix('http')}{path}"

    def refuse(self, request: Request, why: str) -> Response:
        """The answer to a request that does not come from the carrier, which is told nothing; the log is told why."""
        return refused(request, why, self.logger)

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open_session(self, info: CallInfo, line: CallLine) -> CallSession:
        recording = None
        if self.config.recording_dir is not None:
            recording = Recording(self.config.recording_dir, info.call_id, line.traits.format, clock=self.clock)
        prepared = self._prepared.take(info.call_id)
        bridge = RealtimeBridge(self._bridge_config, line=line, prepared=prepared, recorder=recording, clock=self.clock)
        session = CallSession(info, bridge, recording, commands=self._commands, clock=self.clock)
        self._sessions[info.call_id] = session
        return session

    async def _run_session(self, session: CallSession, line: CallLine) -> None:
        try:
            await session.run(line, self._observe, config=self.config)
        finally:
            if self._sessions.get(session.id) is session:  # a redirected call may have a new stream already
                del self._sessions[session.id]

    def _another_socket(self, call_id: str) -> str:
        return self.socket_url(self.media_path(self._sessions[call_id].info))

    def _running(self) -> Service:
        if self._service is None:
            raise InvalidConfig("gateway", "is not running; use `async with gateway`")
        return self._service

    @property
    def _is_stopping(self) -> bool:
        return self._service is not None and self._service.is_stopping

    def _routes(self) -> list[Route]:
        prefix = urlsplit(self.config.public_url).path
        carrier = [
            Route(route.method, prefix + route.pattern, route.handler)
            for route in (*self.carrier_routes(), self._media.route)
        ]
        return [*carrier, Route("GET", "/health", self._health), Route("GET", "/ready", self._ready)]

    async def _health(self, _: Request) -> Response:
        return Response(200, b"ok\n")

    async def _ready(self, _: Request) -> Response:
        busy = self._admission.full or self._is_stopping
        return Response(503, b"busy\n") if busy else Response(200, b"ready\n")

    async def _decide(self, info: CallInfo) -> str:
        if not self._is_stopping and self._call_handler is not None:
            limit = self.config.on_call_timeout
            await ask_application(self._call_handler, info, timeout=limit, clock=self.clock, logger=self.logger)
        if self._is_stopping:
            raise CallRejected("busy", call_id=info.call_id)
        token = self._admission.expect(info)
        if self.line_traits is not None and self._service is not None:
            self._prepared.open(info.call_id, self.line_traits.format)
        return token

    async def _observe(self, session: CallSession) -> None:
        if self._session_handler is None:
            return
        try:
            await call(self._session_handler, session, threads=self._observers)
        except Exception:
            self.logger.exception("call %s: the on_session handler failed", session.id)

    async def _end_calls(self) -> None:
        async with anyio.create_task_group() as tasks:
            for session in self.list_sessions():
                tasks.start_soon(session.close, "shutdown")
