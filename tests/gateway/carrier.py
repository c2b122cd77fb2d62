"""A carrier that is as small as one can be: what every gateway does is tested with it, so that no real carrier is taken for granted.

A call is announced by `POST /call` with its id; the answer is the path of its media. There the text messages are `start ID`, `stop`,
`key DIGIT`, and binary ones are 8 kHz µ-law, both ways; `clear` is said in text.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from trunkline.audio import TWILIO
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import CallRejected, ConnectionLost, RemoteProtocolError
from trunkline.gateway import CallInfo, CallSession, Gateway, GatewayConfig
from trunkline.telephony.line import CallLine, LineTraits
from trunkline.testing.fake_provider import FULL, FakeProvider
from trunkline.transport import (
    HttpClient,
    MessageStream,
    Request,
    Response,
    Route,
    WebSocketConnection,
    connect_websocket,
)
from trunkline.wire.telephony.events import (
    DtmfReceived,
    MediaReceived,
    StreamEvent,
    StreamStarted,
    StreamStopped,
    UnknownReceived,
)

FRAME = b"\x20" * 160


class PlainLine:
    """The carrier's line."""

    traits = LineTraits(format=TWILIO, returns_marks=False, max_lead_ms=200)

    def __init__(self, socket: MessageStream) -> None:
        self._socket = socket

    async def receive(self) -> StreamEvent:
        message = await self._socket.receive()
        if isinstance(message, bytes):
            return MediaReceived(message, 0, 0)
        match message.split():
            case ["start", *call_id]:
                return StreamStarted("stream", "".join(call_id), TWILIO)
            case ["stop"]:
                return StreamStopped()
            case ["key", digit]:
                return DtmfReceived(digit)
            case ["bad"]:
                raise RemoteProtocolError("plain", "a bad message")
        return UnknownReceived(message)

    async def send_media(self, payload: bytes) -> None:
        await self._socket.send(payload)

    async def send_mark(self, name: str) -> None:
        raise AssertionError("this line has no marks")

    async def clear(self) -> None:
        await self._socket.send("clear")

    async def aclose(self) -> None:
        await self._socket.aclose()


class PlainGateway(Gateway):
    """The carrier's gateway, with a fake provider unless another is given."""

    name = "plain"

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, **options: Any) -> None:
        settings: dict[str, Any] = {
            "listen_addr": "127.0.0.1:0",
            "stop_timeout": 0.2,
        }  # a token that is out is waited for
        if "realtime_config" not in options or not options["realtime_config"].provider:
            settings["realtime_provider"] = fake()
        super().__init__(GatewayConfig(**(settings | options)), clock=clock)
        self.sessions: list[CallSession] = []
        self.events: list[Any] = []
        self.on_session(self.watch)

    def carrier_routes(self) -> Sequence[Route]:
        return [Route("POST", "/call", self._call), Route("POST", "/over", self._over)]

    def open_line(self, socket: WebSocketConnection) -> CallLine:
        return PlainLine(socket)

    async def _call(self, request: Request) -> Response:
        try:
            return Response(200, await self.admit(self.info(request.body.decode())))
        except CallRejected as rejected:
            return Response(403, rejected.reason)

    async def _over(self, request: Request) -> Response:
        self.end_call(request.body.decode(), "carrier_completed")
        return Response(204)

    def info(self, call_id: str = "C1") -> CallInfo:
        return CallInfo(call_id=call_id, from_="+1", to="+2", direction="inbound", start_time=self.clock.wall())

    # ── what the tests see and do ────────────────────────────────────────────────────────────────────────────────────

    async def watch(self, session: CallSession) -> None:
        self.sessions.append(session)
        async for event in session.events():
            self.events.append(event)

    def told(self) -> list[str]:
        return [str(event.type) for event in self.events]

    def reasons(self) -> list[str]:
        return [event.data["reason"] for event in self.events if event.type == "session_ended"]

    async def until(self, kind: str, count: int = 1) -> None:
        with anyio.fail_after(10):
            while self.told().count(kind) < count:
                await anyio.wait_all_tasks_blocked()

    async def post(self, path: str, body: str = "C1") -> Response:
        async with HttpClient() as http:
            answer = await http.request("POST", self.url + path, content=body.encode())
        return Response(answer.status, answer.text)

    async def announce(self, call_id: str = "C1") -> str:
        """What the carrier is answered: the path of the media, or why the call is refused."""
        return (await self.post("/call", call_id)).content.decode()

    @asynccontextmanager
    async def phone(self, call_id: str = "C1") -> AsyncIterator[MessageStream]:
        """A call whose media has started."""
        path = await self.announce(call_id)
        async with connect_websocket(f"{self.url}{path}") as socket:
            await socket.send(f"start {call_id}")
            yield socket

    async def until_empty(self) -> None:
        """Wait until no call has a place."""
        with anyio.fail_after(10):
            await self._admission.wait_empty()


def fake(**options: Any) -> FakeProvider:
    """A provider that speaks the carrier's format."""
    settings: dict[str, Any] = {"capabilities": FULL, "input_format": TWILIO, "output_format": TWILIO}
    return FakeProvider(**(settings | options))


async def until_lost(socket: MessageStream) -> int:
    """The code with which the gateway closed a media socket."""
    with anyio.fail_after(10):
        while True:
            try:
                await socket.receive()
            except ConnectionLost as lost:
                return lost.code
