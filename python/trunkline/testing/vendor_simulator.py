"""What the simulators of services over HTTP and WebSocket have in common: a server on loopback, routes, who may enter, and faults.

A simulator is this frame with the vendor's manners (`Manners`) and a list of functions, each of which gives the routes of one interface.
"""

import math
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import parse_qs

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import Brain
from trunkline.testing.faults import Fault, FaultAtTheDoor, FaultScript, HangInHandshake, RefuseUpgrade
from trunkline.testing.invented_speech import Voice
from trunkline.testing.line import Codec, Journal, Line
from trunkline.testing.tls import loopback_tls
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import Request, Response, Route, Upgrade
from trunkline.transport.http.server import Server
from trunkline.transport.websocket.connection import WebSocketConnection

LARGEST_MESSAGE = 16 * 1024 * 1024
# Uploads are large, and what is left to hang must not be answered when the server has waited long enough.
_LIMITS = ServerLimits(body=32 * 1024 * 1024, handler_timeout=math.inf)

Query = dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SendEvent(Fault):
    """The server sends this event, which nobody caused; what follows it is another fault's affair."""

    event: dict[str, Any]


class Manners(Protocol):
    """How one vendor turns clients away."""

    def refused(self, request: Request) -> Response | None:
        """Why this request is not served, by its headers; None if it is."""
        ...

    def refusal(self, status: int, code: str | None, message: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """An error of the vendor's over HTTP."""
        ...


class VendorSimulator:
    """A vendor's service on loopback, for tests of voice agents, ours and yours. The official SDK works against it unchanged.

    `received` and `sent` hold every WebSocket event of either side, over all sessions and in order; binary messages are events of the type
    "audio". `requests` holds every request, the upgrades among them. `client_tls` is what a client needs with `tls=True`, and None
    otherwise.

    Args:
        brain: Hears, decides and speaks.
        transcripts: What callers say, one utterance after the other: told word by word while they speak. Without them, what the brain
            understood is told when an utterance is over.
        manners: How the vendor turns clients away.
        interfaces: Each gives the routes of one of the vendor's interfaces.
        prefix: What `url` ends with.
        voice: How it speaks where it is given a text (`Voice`).
        clock: Where the service's time comes from; the network itself lives in real time.
        tls: True to serve TLS with a certificate of its own (needs the extra `testing`); or a context to serve it with.
        port: 0 for any free one.

    Raises:
        MissingExtra: `tls=True` without the extra `testing`.
    """

    def __init__(
        self,
        *,
        brain: Brain,
        transcripts: Iterable[str] | None,
        manners: Manners,
        interfaces: Iterable[Callable[["VendorSimulator"], Iterable[Route]]],
        prefix: str = "",
        voice: Voice | None = None,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | bool = False,
        port: int = 0,
    ) -> None:
        self.brain = brain
        self.transcripts = None if transcripts is None else iter(transcripts)
        self.manners = manners
        self.voice = voice or Voice()
        self.clock = clock
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.open_sessions = 0
        self.client_tls: ssl.SSLContext | None = None
        self._prefix = prefix
        self._script = FaultScript()
        served = tls or None
        if served is True:
            served, self.client_tls = loopback_tls()
        routes = [
            Route(route.method, route.pattern, self._guarded(route))
            for interface in interfaces
            for route in interface(self)
        ]
        self._server = Server(routes, port=port, tls=served, grace=0.0, limits=_LIMITS)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The `base_url` for a client."""
        return f"{self._server.url}{self._prefix}"

    def script(self, faults: Iterable[Fault]) -> None:
        """Let these faults happen, each when its event comes and the one before it has happened. Each request is at the door."""
        self._script.extend(faults)

    def due(self, event: str) -> Fault | None:
        """The fault that happens at this event of an answer over HTTP, if one does."""
        return self._script.due(event)

    def upgrade(self, codec: Codec, run: Callable[[Line], Awaitable[None]]) -> Upgrade:
        """Accept a WebSocket; `run` serves its line until it returns, `write()` included."""

        async def serve(socket: WebSocketConnection) -> None:
            self.open_sessions += 1
            try:
                await run(Line(socket, Journal(self.received, self.sent), self._script, self.clock, codec))
            finally:
                self.open_sessions -= 1

        return Upgrade(serve, max_size=LARGEST_MESSAGE, ping_interval=None)

    def _guarded(self, route: Route) -> Callable[[Request], Awaitable[Response | Upgrade]]:
        async def handle(request: Request) -> Response | Upgrade:
            self.requests.append(request)
            fault = self._script.due_at_the_door()
            if fault is not None:
                return await self._fail(fault)
            return self.manners.refused(request) or await route.handler(request)

        return handle

    async def _fail(self, fault: FaultAtTheDoor) -> Response | Upgrade:
        match fault:
            case RefuseUpgrade(status=status, retry_after=seconds, code=code, message=message):
                headers = [] if seconds is None else [("Retry-After", str(seconds))]
                return self.manners.refusal(status, code, message, headers)
            case HangInHandshake(upgraded=True):
                return Upgrade(_say_nothing, ping_interval=None)
            case _:
                await anyio.sleep_forever()
                raise AssertionError("nothing ends this sleep but cancellation")


async def _say_nothing(socket: WebSocketConnection) -> None:
    while True:
        await socket.receive()


def query_of(request: Request) -> Query:
    """The parameters of an address, each with its values in their order."""
    return parse_qs(request.query, keep_blank_values=True)


def one(query: Query, name: str, default: str = "") -> str:
    """The last value of a parameter."""
    return query.get(name, [default])[-1]
