"""The front door of a simulated realtime service: faults that befall connections, and how clients are turned away."""

import json
import math
import ssl
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs

import anyio

from trunkline.testing.brain import Brain
from trunkline.testing.faults import Fault, FaultAtTheDoor, FaultScript, HangInHandshake, RefuseUpgrade
from trunkline.testing.line import Journal
from trunkline.testing.openai.faults import RateLimited
from trunkline.testing.openai.ids import new_id
from trunkline.testing.openai.session import Pace, Session
from trunkline.testing.tls import loopback_tls
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import Request, Response, Route, Upgrade
from trunkline.transport.http.server import Server
from trunkline.transport.websocket.connection import WebSocketConnection

_LARGEST_MESSAGE = 16 * 1024 * 1024
# A handshake that is left to hang would otherwise be answered when the server has waited long enough.
_PATIENT = ServerLimits(handler_timeout=math.inf)


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Why no session is opened; `status` is for the upgrade, `close` for a WebSocket."""

    status: int
    close: int
    code: str
    message: str

    @property
    def error(self) -> dict[str, object]:
        """The object of an `error` event."""
        return {"type": "invalid_request_error", "code": self.code, "message": self.message, "param": None}


class RealtimeSimulator(ABC):
    """A service on loopback that speaks OpenAI's protocol or a dialect of it; a subclass says whom it lets in, and what they get.

    `received` and `sent` hold every event of either side, parsed, over all sessions and in order; `sessions` the sessions ever opened.
    `client_tls` is what a client needs with `tls=True`, and None otherwise.
    """

    def __init__(
        self,
        path: str,
        *,
        brain: Brain,
        pace: Pace,
        api_key: str | None,
        refuse: Literal["error_event", "http"],
        tls: ssl.SSLContext | bool,
        port: int,
    ) -> None:
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.sessions: list[Session] = []
        self.client_tls: ssl.SSLContext | None = None
        self._brain = brain
        self._pace = pace
        self._api_key = api_key
        self._refuse = refuse
        self._script = FaultScript()
        self._journal = Journal(self.received, self.sent)
        served = tls or None
        if served is True:
            served, self.client_tls = loopback_tls()
        self._server = Server([Route("GET", path, self._open)], port=port, tls=served, grace=0.0, limits=_PATIENT)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    def script(self, faults: Iterable[Fault]) -> None:
        """Let these faults happen, each when its event comes and the one before it has happened."""
        self._script.extend(faults)

    @abstractmethod
    def _refused(self, request: Request, query: Mapping[str, str]) -> TurnedAway | None:
        """Why this client gets no session; None if it does."""

    @abstractmethod
    def _session(self, socket: WebSocketConnection, query: Mapping[str, str]) -> Session:
        """A session for a client that was let in."""

    def _wrong_key(self, request: Request) -> str:
        """What is wrong with the bearer token of a request; "" if nothing is."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return "missing"
        return "" if self._api_key is None or key.strip() == self._api_key else "wrong"

    async def _open(self, request: Request) -> Response | Upgrade:
        fault = self._script.due_at_the_door()
        if fault is not None:
            return await self._fail(fault)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        refused = self._refused(request, query)
        if refused is None:
            return _upgraded(partial(self._serve, query))
        if self._refuse == "http":
            return Response(refused.status, json.dumps({"error": refused.error}), media_type="application/json")
        return _upgraded(partial(self._turn_away, refused))

    async def _fail(self, fault: FaultAtTheDoor) -> Response | Upgrade:
        match fault:
            case RefuseUpgrade(status=status, retry_after=seconds, code=code, message=message):
                kind = "server_error" if status >= 500 else "invalid_request_error"
                body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
                headers = [] if seconds is None else [("Retry-After", str(seconds))]
                return Response(status, json.dumps(body), headers=headers, media_type="application/json")
            case RateLimited(code=code, message=message):
                return _upgraded(partial(self._turn_away, TurnedAway(429, 4000, code, message)))
            case HangInHandshake(upgraded=True):
                return _upgraded(_say_nothing)
            case _:
                await anyio.sleep_forever()
                raise AssertionError("nothing ends this sleep but cancellation")

    async def _serve(self, query: Mapping[str, str], socket: WebSocketConnection) -> None:
        session = self._session(socket, query)
        self.sessions.append(session)
        await session.run()

    async def _turn_away(self, refused: TurnedAway, socket: WebSocketConnection) -> None:
        event = {"type": "error", "event_id": new_id("event"), "error": refused.error}
        self.sent.append(event)
        await socket.send(json.dumps(event))
        await socket.aclose(refused.close, f"{refused.error['type']}.{refused.code}")


def _upgraded(run: Callable[[WebSocketConnection], Awaitable[None]]) -> Upgrade:
    return Upgrade(run, max_size=_LARGEST_MESSAGE, ping_interval=None)


async def _say_nothing(socket: WebSocketConnection) -> None:
    while True:
        await socket.receive()
