"""The front door: who may open a session, and how the others are turned away."""

import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.testing.brain import Brain
from trunkline.testing.openai_realtime.answering import Delivery
from trunkline.testing.openai_realtime.faults import Fault, FaultScript
from trunkline.testing.openai_realtime.ids import new_id
from trunkline.testing.openai_realtime.line import Journal, Line
from trunkline.testing.openai_realtime.session import Pace, Session
from trunkline.transport.connection import WebSocketConnection
from trunkline.transport.routing import Request, Response, Route, Upgrade
from trunkline.transport.server import Server

_LARGEST_MESSAGE = 16 * 1024 * 1024
# Models that are gone, and models of another interface.
_NOT_HERE = ("gpt-4o-realtime-preview", "gpt-4o-mini-realtime-preview", "gpt-live-")
_DEFAULT_MODEL = "gpt-realtime-2.1"


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
    """OpenAI's Realtime service (the GA interface) on loopback, for tests of voice agents, ours and yours.

    It listens to the audio that is sent to it (the server's voice activity detection, or the client's own turns), lets a brain understand,
    decide and speak, and tells the client so in the events, the order, the error shapes and the close codes of the real service. Any client
    of the protocol works against it unchanged, the official SDK too:

        async with OpenAIRealtimeSimulator(brain=ScriptedBrain(...)) as vendor:
            client = AsyncOpenAI(api_key="any", base_url=vendor.url)

    `received` and `sent` hold every event of either side, parsed, over all sessions and in order; `sessions` the sessions ever opened.
    An exception of the brain's is logged and closes the session with code 1011.

    Where the service's behaviour is not known, this is what happens: a turn that ends while a response runs and may not be interrupted is
    not answered; `semantic_vad` ends a turn after 500 ms of silence, whatever its eagerness.

    Args:
        brain: Hears, decides and speaks.
        api_key: The bearer token that is accepted; None for any.
        refuse: How a connection is refused: "error_event" accepts the WebSocket, sends one `error` event and closes it with 3000 or
            4000, as the service does now; "http" answers the upgrade with an HTTP status, as it did before and proxies do.
        session_limit: Seconds until a session expires.
        speed: None to send an answer at once, as soon as it is spoken, or how many times faster than it plays.
        chunk_ms: How much audio one delta holds, in milliseconds.
        transcription_delay: Seconds from a commit to the transcript of it, where transcription is on.
        clock: Where the service's time comes from; the network itself lives in real time.
        tls: Serve TLS with this.
        port: 0 for any free one.

    Raises:
        InvalidConfig: A number that makes no sense.
    """

    def __init__(
        self,
        *,
        brain: Brain,
        api_key: str | None = None,
        refuse: Literal["error_event", "http"] = "error_event",
        session_limit: float = 3600.0,
        speed: float | None = None,
        chunk_ms: int = 200,
        transcription_delay: float = 0.5,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | None = None,
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
        self._pace = Pace(
            clock=clock,
            session_limit=session_limit,
            transcription_delay=transcription_delay,
            delivery=Delivery(clock=clock, speed=speed, chunk_ms=chunk_ms),
        )
        self._script = FaultScript()
        self._journal = Journal(self.received, self.sent)
        self._server = Server([Route("GET", "/v1/realtime", self._open)], port=port, tls=tls, grace=0.0)

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
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        refused = self._refused(request, query)
        if refused is None:
            kind = "transcription" if query.get("intent") == "transcription" else "realtime"
            run = partial(self._serve, kind=kind, model=query.get("model", _DEFAULT_MODEL))
        elif self._refuse == "http":
            return Response(refused.status, json.dumps({"error": refused.error}), media_type="application/json")
        else:
            run = partial(self._turn_away, refused)
        return Upgrade(run, max_size=_LARGEST_MESSAGE, ping_interval=None)

    def _refused(self, request: Request, query: dict[str, str]) -> _TurnedAway | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            return _TurnedAway(401, 3000, "invalid_api_key", "Missing bearer or basic authentication in header")
        if self._api_key is not None and key.strip() != self._api_key:
            return _TurnedAway(401, 3000, "invalid_api_key", "Incorrect API key provided.")
        if "realtime=v1" in request.headers.get("openai-beta", ""):
            message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
            return _TurnedAway(400, 4000, "beta_api_shape_disabled", message)
        if not {"model", "call_id", "intent"} & set(query):
            return _TurnedAway(400, 4000, "missing_model", "You must provide a model parameter.")
        model = query.get("model", "")
        if model.startswith(_NOT_HERE):
            return _TurnedAway(404, 4000, "invalid_model", f'Model "{model}" is not supported in realtime mode.')
        return None

    async def _serve(self, socket: WebSocketConnection, *, kind: str, model: str) -> None:
        session = Session(Line(socket, self._journal, self._script), self._brain, self._pace, kind=kind, model=model)
        self.sessions.append(session)
        await session.run()

    async def _turn_away(self, refused: _TurnedAway, socket: WebSocketConnection) -> None:
        event = {"type": "error", "event_id": new_id("event"), "error": refused.error}
        self.sent.append(event)
        await socket.send(json.dumps(event))
        await socket.aclose(refused.close, f"{refused.error['type']}.{refused.code}")
