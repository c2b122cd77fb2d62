"""OpenAI's Realtime service: who may open a session, and in which dialect."""

import ssl
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Literal

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import Brain
from trunkline.testing.delivery import Delivery
from trunkline.testing.line import Line
from trunkline.testing.openai.beta import Beta
from trunkline.testing.openai.dialect import GeneralAvailability, OpenAICodec
from trunkline.testing.openai.door import RealtimeSimulator, TurnedAway
from trunkline.testing.openai.ids import new_id
from trunkline.testing.openai.session import Pace, Session
from trunkline.testing.openai.settings import Settings
from trunkline.transport.http.routing import Request
from trunkline.transport.websocket.connection import WebSocketConnection

# Models that are gone, and models of another interface.
_PREVIEWS = ("gpt-4o-realtime-preview", "gpt-4o-mini-realtime-preview")
_NOT_HERE = MappingProxyType({"ga": (*_PREVIEWS, "gpt-live-"), "beta": ("gpt-live-",)})
_DEFAULT_MODEL = "gpt-realtime-2.1"


class OpenAIRealtimeSimulator(RealtimeSimulator):
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
        pace = Pace(
            clock=clock,
            session_limit=session_limit,
            transcription_delay=transcription_delay,
            delivery=Delivery(clock=clock, speed=speed, chunk_ms=chunk_ms),
        )
        super().__init__("/v1/realtime", brain=brain, pace=pace, api_key=api_key, refuse=refuse, tls=tls, port=port)
        self._dialect: Literal["ga", "beta"] = dialect

    @property
    def url(self) -> str:
        """The `base_url` for a client, ending in `/v1`."""
        return f"{self._server.url}/v1"

    def _refused(self, request: Request, query: Mapping[str, str]) -> TurnedAway | None:
        wrong = self._wrong_key(request)
        if wrong == "missing":
            return TurnedAway(401, 3000, "invalid_api_key", "Missing bearer or basic authentication in header")
        if wrong:
            return TurnedAway(401, 3000, "invalid_api_key", "Incorrect API key provided.")
        if self._dialect == "ga" and "realtime=v1" in request.headers.get("openai-beta", ""):
            message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
            return TurnedAway(400, 4000, "beta_api_shape_disabled", message)
        if self._dialect == "beta" and query.get("intent") == "transcription":
            return TurnedAway(400, 4000, "invalid_intent", "The beta has no transcription sessions here.")
        if not {"model", "call_id", "intent"} & set(query):
            return TurnedAway(400, 4000, "missing_model", "You must provide a model parameter.")
        model = query.get("model", "")
        if model.startswith(_NOT_HERE[self._dialect]):
            return TurnedAway(404, 4000, "invalid_model", f'Model "{model}" is not supported in realtime mode.')
        return None

    def _session(self, socket: WebSocketConnection, query: Mapping[str, str]) -> Session:
        dialect = Beta() if self._dialect == "beta" else GeneralAvailability()
        line = Line(socket, self._journal, self._script, self._pace.clock, OpenAICodec(dialect))
        model = query.get("model", _DEFAULT_MODEL)
        settings = Settings(
            kind="transcription" if query.get("intent") == "transcription" else "realtime",
            model=model,
            session_id=new_id("sess"),
            expires_at=self._pace.clock.wall() + timedelta(seconds=self._pace.session_limit),
        )
        return Session(line, self._brain, self._pace, settings, model=model)
