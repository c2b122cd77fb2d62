"""The front door: who may open a session, and how the others are turned away."""

import json
import math
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.testing.brain import Brain
from trunkline.testing.delivery import Delivery
from trunkline.testing.faults import Fault, FaultAtTheDoor, FaultScript, HangInHandshake, RefuseUpgrade
from trunkline.testing.gemini.codec import GeminiCodec, Refusal
from trunkline.testing.gemini.conversation import Memory, Terms
from trunkline.testing.gemini.session import Session
from trunkline.testing.line import Journal, Line
from trunkline.testing.tls import loopback_tls
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import Request, Response, Route, Upgrade
from trunkline.transport.http.server import Server
from trunkline.transport.websocket.connection import WebSocketConnection

_LARGEST_MESSAGE = 16 * 1024 * 1024
# A handshake that is left to hang would otherwise be answered when the server has waited long enough.
_PATIENT = ServerLimits(handler_timeout=math.inf)
_VERSIONS = ("v1", "v1beta", "v1alpha")
_METHODS = ("BidiGenerateContent", "BidiGenerateContentConstrained")
_BAD_KEY = Refusal(1007, "API key not valid. Please pass a valid API key.")
_NO_KEY = Refusal(
    1008,
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API.",
)


class GeminiLiveSimulator:
    """Google's Gemini Live service on loopback, for tests of voice agents, ours and yours.

    It listens to the audio that is sent to it, lets a brain understand, decide and speak, and tells the client so in the messages, the
    order and the close codes of the real service, as JSON in binary frames. Names are taken in either casing, base64 in either alphabet,
    and the key as a header or in the address. Any client of the protocol works against it unchanged, the official SDK too:

        async with GeminiLiveSimulator(brain=ScriptedBrain(...), tls=True) as vendor:
            options = {"base_url": vendor.url, "async_client_args": {"ssl": vendor.client_tls}}
            client = genai.Client(api_key="any", http_options=options)

    `received` and `sent` hold every message of either side, parsed, over all sessions and in order; `sessions` the sessions ever opened.
    `client_tls` is what a client needs with `tls=True`, and None otherwise.
    An exception of the brain's is logged and closes the session with code 1011.

    Where the service's behaviour is not known, this is what happens: a turn ends after 500 ms of silence unless the setup says otherwise;
    results of calls that are not open are ignored; only calls that the model waits for are taken back by an interruption; `turnComplete`
    is not held back until an answer would have been played.

    Args:
        brain: Hears, decides and speaks.
        api_key: The key or token that is accepted; None for any.
        refuse: How a key is refused: "close" accepts the WebSocket and closes it with 1007 or 1008, as the service does; "http" answers
            the upgrade with a status, as proxies do.
        connection_limit: Seconds until a connection is ended.
        go_away_lead: Seconds before that in which `goAway` tells of it.
        speed: None to send an answer at once, as soon as it is spoken, or how many times faster than it plays.
        chunk_ms: How much audio one message holds, in milliseconds.
        text_frames: Send text frames instead of binary ones.
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
        refuse: Literal["close", "http"] = "close",
        connection_limit: float = 600.0,
        go_away_lead: float = 10.0,
        speed: float | None = None,
        chunk_ms: int = 100,
        text_frames: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | bool = False,
        port: int = 0,
    ) -> None:
        if not 0 <= go_away_lead <= connection_limit:
            raise InvalidConfig("go_away_lead", "must be between 0 and connection_limit")
        self.received: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.sessions: list[Session] = []
        self._brain = brain
        self._api_key = api_key
        self._refuse = refuse
        self._limits = (connection_limit, go_away_lead)
        self._delivery = Delivery(clock=clock, speed=speed, chunk_ms=chunk_ms)
        self._text_frames = text_frames
        self._clock = clock
        self._memory = Memory()
        self._script = FaultScript()
        self._journal = Journal(self.received, self.sent)
        self.client_tls: ssl.SSLContext | None = None
        served = tls or None
        if served is True:
            served, self.client_tls = loopback_tls()
        routes = [
            Route("GET", f"/ws/google.ai.generativelanguage.{version}.GenerativeService.{method}", self._open)
            for version in _VERSIONS
            for method in _METHODS
        ]
        self._server = Server(routes, port=port, tls=served, grace=0.0, limits=_PATIENT)

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
        return self._server.url

    def script(self, faults: Iterable[Fault]) -> None:
        """Let these faults happen, each when its message comes and the one before it has happened.

        A fault's `on` is a message's key: "setup", "toolCall"; and of two of them with the key within: "serverContent.modelTurn",
        "realtimeInput.audio".
        """
        self._script.extend(faults)

    async def _open(self, request: Request) -> Response | Upgrade:
        fault = self._script.due_at_the_door()
        if fault is not None:
            return await self._fail(fault)
        refused = self._refused(request)
        if refused is not None and self._refuse == "http":
            status = 403 if refused is _NO_KEY else 401
            body = {"error": {"code": status, "message": refused.reason, "status": "UNAUTHENTICATED"}}
            return Response(status, json.dumps(body), media_type="application/json")
        found = re.search(r"generativelanguage\.(\w+)\.", request.path)
        version = found[1] if found else _VERSIONS[0]

        async def serve(socket: WebSocketConnection) -> None:
            if refused is not None:
                await socket.aclose(refused.code, refused.reason)
            else:
                await self._serve(socket, version)

        return _upgraded(serve)

    async def _fail(self, fault: FaultAtTheDoor) -> Response | Upgrade:
        match fault:
            case RefuseUpgrade(status=status, retry_after=seconds, message=message):
                body = {"error": {"code": status, "message": message}}
                headers = [] if seconds is None else [("Retry-After", str(seconds))]
                return Response(status, json.dumps(body), headers=headers, media_type="application/json")
            case HangInHandshake(upgraded=True):
                return _upgraded(_say_nothing)
            case _:
                await anyio.sleep_forever()
                raise AssertionError("nothing ends this sleep but cancellation")

    def _refused(self, request: Request) -> Refusal | None:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        _, _, token = request.headers.get("authorization", "").partition(" ")
        keys = (token.strip(), request.headers.get("x-goog-api-key", ""), query.get("key"), query.get("access_token"))
        key = next((key for key in keys if key), None)
        if key is None:
            return _NO_KEY
        return None if self._api_key in {None, key} else _BAD_KEY

    async def _serve(self, socket: WebSocketConnection, version: str) -> None:
        def end_in(seconds: float) -> None:
            session.end_in(seconds)

        codec = GeminiCodec(as_text=self._text_frames, on_go_away=end_in)
        line = Line(socket, self._journal, self._script, self._clock, codec)
        limit, lead = self._limits
        terms = Terms(
            clock=self._clock,
            delivery=self._delivery,
            memory=self._memory,
            version=version,
            connection_limit=limit,
            go_away_lead=lead,
        )
        session = Session(line, self._brain, terms)
        self.sessions.append(session)
        await session.run()


def _upgraded(run: Callable[[WebSocketConnection], Awaitable[None]]) -> Upgrade:
    return Upgrade(run, max_size=_LARGEST_MESSAGE, ping_interval=None)


async def _say_nothing(socket: WebSocketConnection) -> None:
    while True:
        await socket.receive()
