"""Qwen-Omni-Realtime on loopback: who may open a session, and with which model."""

import ssl
from collections.abc import Mapping
from typing import Literal

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import Brain
from trunkline.testing.delivery import Delivery
from trunkline.testing.line import Line
from trunkline.testing.openai.dialect import OpenAICodec
from trunkline.testing.openai.door import RealtimeSimulator, TurnedAway
from trunkline.testing.openai.ids import new_id
from trunkline.testing.openai.session import Pace, Session
from trunkline.testing.qwen.dialect import QwenDialect
from trunkline.testing.qwen.profiles import profile_of
from trunkline.testing.qwen.session import QwenSession
from trunkline.testing.qwen.settings import QwenSettings
from trunkline.transport.http.routing import Request
from trunkline.transport.websocket.connection import WebSocketConnection


class QwenOmniSimulator(RealtimeSimulator):
    """Qwen-Omni-Realtime (DashScope) on loopback, for tests of voice agents, ours and yours.

    It listens, lets a brain understand, decide and speak, and tells the client so in the events, the order and the error shapes of the real
    service, by the family of the model that is asked for. Any client of the protocol works against it unchanged, the official SDK too:

        async with QwenOmniSimulator(brain=ScriptedBrain(...)) as vendor:
            conversation = OmniRealtimeConversation(model="qwen3.5-omni-flash-realtime", callback=…, url=vendor.sdk_url, api_key="any")

    Where the service's behaviour is not known, this is what happens: speech stops an answer as a cancel does, a session that has reached
    its limit is cut without a word, and `semantic_vad` and `smart_turn` end a turn as `server_vad` does.

    Args:
        brain: Hears, decides and speaks.
        api_key: The bearer token that is accepted; None for any.
        refuse: How a connection is refused: "http" by the status of the upgrade, "error_event" by an `error` and a close behind it.
        ends_cancelled: Whether a response that was cancelled gets its `response.done`; the service was seen to leave it out.
        session_limit: Seconds until the service ends a session.
        idle_limit: Seconds without an event of the client's after which it cuts the connection; pings do not count.
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
        refuse: Literal["error_event", "http"] = "http",
        ends_cancelled: bool = False,
        session_limit: float = 7200.0,
        idle_limit: float = 300.0,
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
        super().__init__(
            "/api-ws/v1/realtime", brain=brain, pace=pace, api_key=api_key, refuse=refuse, tls=tls, port=port
        )
        self._ends_cancelled = ends_cancelled
        self._idle_limit = idle_limit

    @property
    def url(self) -> str:
        """The `base_url` for `QwenRealtimeProvider`."""
        return f"{self._server.url}/api-ws/v1"

    @property
    def sdk_url(self) -> str:
        """The `url` or `ws_url` for the official SDK."""
        return f"{self.url.replace('http', 'ws', 1)}/realtime"

    def _refused(self, request: Request, query: Mapping[str, str]) -> TurnedAway | None:
        if self._wrong_key(request):
            return TurnedAway(401, 1011, "InvalidApiKey", "Invalid API-key provided.")
        if not query.get("model"):
            return TurnedAway(400, 1011, "invalid_value", "The model is missing.")
        if profile_of(query["model"]) is None:
            return TurnedAway(404, 1011, "ModelNotFound", f"Model {query['model']} does not exist.")
        return None

    def _session(self, socket: WebSocketConnection, query: Mapping[str, str]) -> Session:
        model = query["model"]
        profile = profile_of(model)
        assert profile is not None  # noqa: S101 - looked at before the client was let in
        settings = QwenSettings(profile, model=model, session_id=new_id("sess"))
        dialect = QwenDialect(settings, ends_cancelled=self._ends_cancelled)
        line = Line(socket, self._journal, self._script, self._pace.clock, OpenAICodec(dialect))
        return QwenSession(
            line, self._brain, self._pace, settings, model=model, profile=profile, idle_limit=self._idle_limit
        )
