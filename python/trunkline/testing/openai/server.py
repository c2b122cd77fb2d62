"""The front door: who may open a session, and how the others are turned away."""

import json
import math
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.testing.brain import Brain
from trunkline.testing.delivery import Delivery
from trunkline.testing.faults import Fault, FaultAtTheDoor, FaultScript, HangInHandshake, RefuseUpgrade
from trunkline.testing.line import Journal, Line
from trunkline.testing.openai.beta import Beta
from trunkline.testing.openai.dialect import GeneralAvailability, OpenAICodec
from trunkline.testing.openai.faults import RateLimited
from trunkline.testing.openai.ids import new_id
from trunkline.testing.openai.session import Pace, Session
from trunkline.testing.tls import loopback_tls
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import Request, Response, Route, Upgrade
from trunkline.transport.http.server import Server
from trunkline.transport.websocket.connection import WebSocketConnection

_LARGEST_MESSAGE = 16 * 1024 * 1024
# Models that are gone, and models of another interface.
_PREVIEWS = ("gpt-4o-realtime-preview", "gpt-4o-mini-realtime-preview")
_NOT_HERE = MappingProxyType({"ga": (*_PREVIEWS, "gpt-live-"), "beta": ("gpt-live-",)})
_DEFAULT_MODEL = "gpt-realtime-2.1"
# A handshake that is left to hang would otherwise be answered when the server has waited long enough.
_PATIENT = ServerLimits(handler_timeout=math.inf)


@dataclass(frozen=True, slots=True)
class _TurnedAway:
    """Why no session is opened; `status` is for the upgrade, `close` for a WebSocket."""

    status: int
    close: int
    code: str
    message: str

    @property
    def error(self) -> dict[str, object]:
        return {"type": "invalid_request_error", "code": self.code, "message": self.message, "param": None}


class OpenAIRealtimeSimulator:
    """OpenAI's Realtime service on loopback, for tests of voice agents, ours and yours.

    It listens to the audio that is sent to it (the server's voice activity detection, or the client's own turns), lets a brain understand,
    decide and speak, and tells the client so in the events, the order, the error shapes and the close codes of the real service. Any client
    of the protocol works against it unchanged, the official SDK too:

        async with OpenAIRealtimeSimulator(brain=ScriptedBrain(...)) as vendor:
            client = AsyncOpenAI(api_key="any", base_url=vendor.url)

    `received` and `sent` hold every event of either side, parsed, over all sessions and in order; `sessions` the sessions ever opened.
    `client_tls` is what a client needs with `tls=True`, and None otherwise.
    An exception of the brain's is logged and closes the session with code 1011.

    Where the service's behaviour is not known, this is what happens: a turn that ends while a response runs and may not be interrupted is
    not answered; `semantic_vad` ends a turn after 500 ms of silence, whatever its eagerness.

    Args:
        brain: Hears, decides and speaks.
        api_key: The bearer token that is accepted; None for any.
        refuse: How a connection is refused: "error_event" accepts the WebSocket, sends one `error` event and closes it with 3000 or
            4000, as the service does now; "http" answers the upgrade with an HTTP status, as it did before and proxies do.
        dialect: "ga" for the service's own interface, which refuses the beta's header; "beta" speaks the beta with every client, as older
            servers and those of other vendors do (conversations only, no transcription sessions).
        session_limit: Seconds until a session expires.
        speed: None to send an answer at once, as soon as it is spoken, or how many times faster than it plays.
        chunk_ms: How much audio one delta holds, in milliseconds.
        transcription_delay: Seconds from a commit to the transcript of it, where transcription is on.
        clock: Where the service's time comes from; the network itself lives in real time.
        tls: True to serve TLS with a certificate of its own, which a client trusts with `client_tls` (needs the extra `testing`); or a
            context to serve it with.
        port: 0 for any free one.

    Raises:
        InvalidConfig: A number that makes no sense.
        MissingExtra: `tls=True` without the extra `testing`.
    """

    def __init__(
        self,
        *,
        brain: Brain,
        api_key: str | None = None,
        refuse: Literal["error_event", "http"] = "error_event",
        dialect: Literal["ga", "beta"] = "ga",
        session_limit: float = 3600.0,
        speed: float | None = None,
        chunk_ms: int = 200,
        transcription_delay: float = 0.5,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | bool = False,
        port: int = 0,
    ) -> None:
        if speed is not None and speed <= 0:
            raise InvalidConfig("speed", "must be above 0, or None")
        if chunk_ms < 1:
            raise InvalidConfig("chunk_ms", "must be at least 1")
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.sessions: list[Session] = []
        self._brain = brain
        self._api_key = api_key
        self._refuse = refuse
        self._dialect: Literal["ga", "beta"] = dialect
        self._pace = Pace(
            clock=clock,
            session_limit=session_limit,
            transcription_delay=transcription_delay,
            delivery=Delivery(clock=clock, speed=speed, chunk_ms=chunk_ms),
        )
        self._script = FaultScript()
        self._journal = Journal(self.received, self.sent)
        self.client_tls: ssl.SSLContext | None = None
        served = tls or None
        if served is True:
            served, self.client_tls = loopback_tls()
        self._server = Server(
            [Route("GET", "/v1/realtime", self._open)], port=port, tls=served, grace=0.0, limits=_PATIENT
        )

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The `base_url` for a client, ending in `/v1`."""
        return f"{self._server.url}/v1"

    def script(self, faults: Iterable[Fault]) -> None:
        """Let these faults happen, each when its event comes and the one before it has happened."""
        self._script.extend(faults)

    async def _open(self, request: Request) -> Response | Upgrade:
        fault = self._script.due_at_the_door()
        if fault is not None:
            return await self._fail(fault)
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        refused = self._refused(request, query)
        if refused is None:
            kind = "transcription" if query.get("intent") == "transcription" else "realtime"
            return _upgraded(partial(self._serve, kind=kind, model=query.get("model", _DEFAULT_MODEL)))
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
                return _upgraded(partial(self._turn_away, _TurnedAway(429, 4000, code, message)))
            case HangInHandshake(upgraded=True):
                return _upgraded(_say_nothing)
            case _:
                await anyio.sleep_forever()
                raise AssertionError("nothing ends this sleep but cancellation")

    def _refused(self, request: Request, query: dict[str, str]) -> _TurnedAway | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return _TurnedAway(401, 3000, "invalid_api_key", "Missing bearer or basic authentication in header")
        if self._api_key is not None and key.strip() != self._api_key:
            return _TurnedAway(401, 3000, "invalid_api_key", "Incorrect API key provided.")
        if self._dialect == "ga" and "realtime=v1" in request.headers.get("openai-beta", ""):
            message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
            return _TurnedAway(400, 4000, "beta_api_shape_disabled", message)
        if self._dialect == "beta" and query.get("intent") == "transcription":
            return _TurnedAway(400, 4000, "invalid_intent", "The beta has no transcription sessions here.")
        if not {"model", "call_id", "intent"} & set(query):
            return _TurnedAway(400, 4000, "missing_model", "You must provide a model parameter.")
        model = query.get("model", "")
        if model.startswith(_NOT_HERE[self._dialect]):
            return _TurnedAway(404, 4000, "invalid_model", f'Model "{model}" is not supported in realtime mode.')
        return None

    async def _serve(self, socket: WebSocketConnection, *, kind: str, model: str) -> None:
        dialect = Beta() if self._dialect == "beta" else GeneralAvailability()
        line = Line(socket, self._journal, self._script, self._pace.clock, OpenAICodec(dialect))
        session = Session(line, self._brain, self._pace, kind=kind, model=model)
        self.sessions.append(session)
        await session.run()

    async def _turn_away(self, refused: _TurnedAway, socket: WebSocketConnection) -> None:
        event = {"type": "error", "event_id": new_id("event"), "error": refused.error}
        self.sent.append(event)
        await socket.send(json.dumps(event))
        await socket.aclose(refused.close, f"{refused.error['type']}.{refused.code}")


def _upgraded(run: Callable[[WebSocketConnection], Awaitable[None]]) -> Upgrade:
    return Upgrade(run, max_size=_LARGEST_MESSAGE, ping_interval=None)


async def _say_nothing(socket: WebSocketConnection) -> None:
    while True:
        await socket.receive()
