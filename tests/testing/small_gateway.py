"""A gateway small enough to be seen through, for the simulated caller to call."""

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import anyio

from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, SignatureInvalid
from trunkline.testing.twilio import TwilioCaller
from trunkline.transport import Request, Response, Route, Upgrade, WebSocketConnection
from trunkline.wire.telephony.twilio.signature import SignatureValidator

QUIET = b"\xff" * 160
WORD = bytes(range(160))
TOKEN = "0123456789abcdef0123456789abcdef"


class Line:
    """The gateway's end of a media socket."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket
        self.stream_sid = ""

    async def receive(self) -> dict[str, Any]:
        told = json.loads(await self.socket.receive())
        assert isinstance(told, dict)
        self.stream_sid = told.get("streamSid", "")
        return told

    async def receive_until(self, event: str) -> list[dict[str, Any]]:
        told = [await self.receive()]
        while told[-1]["event"] != event:
            told.append(await self.receive())
        return told

    async def play(self, audio: bytes) -> None:
        payload = b64encode(audio).decode()
        await self.tell({"event": "media", "streamSid": self.stream_sid, "media": {"payload": payload}})

    async def mark(self, name: str) -> None:
        await self.tell({"event": "mark", "streamSid": self.stream_sid, "mark": {"name": name}})

    async def clear(self) -> None:
        await self.tell({"event": "clear", "streamSid": self.stream_sid})

    async def tell(self, message: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(message))


class Gateway:
    """Checks signatures, answers each voice request with the next document, hands each media socket to `run`."""

    token = TOKEN

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Request]] = []
        self.documents: list[str | Response] = []
        self.messages: list[dict[str, Any]] = []
        self.run: Callable[[Line], Awaitable[None]] = self.record
        self.close: tuple[int, str] = (1000, "")
        self.upgrade_status = 101
        self.lost: ConnectionLost | None = None
        self.url = ""
        self._news = anyio.Event()
        self._validator = SignatureValidator(TOKEN)

    @property
    def media_url(self) -> str:
        return f"ws{self.url.removeprefix('http')}/media"

    def connect(self, inside: str = "", *, connect: str = "", stream: str = "", then: str = "") -> None:
        """Answer the next voice request with a stream."""
        url = f'<Stream url="{self.media_url}" {stream}>{inside}</Stream>'
        self.answer(f"<Connect {connect}>{url}</Connect>{then}")

    def answer(self, body: str) -> None:
        document = f"<Response>{body}</Response>"
        self.documents.append(Response(200, document, media_type="text/xml"))

    async def record(self, line: Line) -> None:
        """Keep every message until the caller is gone."""
        try:
            while True:
                self.messages.append(await line.receive())
                self._stir()
        except ConnectionLost as lost:
            self.lost = lost
            self._stir()

    async def until(self, reached: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not reached():
                await self._news.wait()

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["event"] == event]

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.requests]

    def told(self, path: str) -> list[dict[str, str]]:
        return [fields for known, fields, _ in self.requests if known == path]

    def routes(self) -> list[Route]:
        voice = [Route(method, path, self._voice) for method in ("GET", "POST") for path in ("/voice", "/after")]
        told = [Route("POST", path, self._told) for path in ("/status", "/stream")]
        return [*voice, *told, Route("GET", "/media", self._media)]

    def _stir(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _heard(self, request: Request) -> bool:
        """Keep a request; whether it was signed."""
        fields = parse_qsl((request.body or request.query.encode()).decode(), keep_blank_values=True)
        self.requests.append((request.path, dict(fields), request))
        self._stir()
        signature = request.headers.get("X-Twilio-Signature")
        try:
            if request.wants_websocket:
                self._validator.verify_upgrade(self.media_url, signature)
            else:
                form = fields if request.method == "POST" else []
                self._validator.verify_form(self.url + request.target, form, signature)
        except SignatureInvalid:
            return False
        return True

    async def _voice(self, request: Request) -> Response:
        if not self._heard(request):
            return Response(403)
        document = self.documents.pop(0)
        return document if isinstance(document, Response) else Response(200, document, media_type="text/xml")

    async def _told(self, request: Request) -> Response:
        return Response(204 if self._heard(request) else 403)

    async def _media(self, request: Request) -> Response | Upgrade:
        if not self._heard(request):
            return Response(403)
        if self.upgrade_status != 101:
            return Response(self.upgrade_status)

        async def run(socket: WebSocketConnection) -> None:
            await self.run(Line(socket))
            await socket.aclose(*self.close)

        return Upgrade(run)


def caller(gateway: Gateway, **changes: Any) -> TwilioCaller:
    return TwilioCaller(**({"webhook_url": f"{gateway.url}/voice", "auth_token": gateway.token} | changes))


async def ticks(clock: ManualClock, frames: int) -> None:
    """Let so many frames pass, and a millisecond more the first time, so that no rounding decides."""
    await clock.advance(frames * 0.02 + (0.001 if clock.now() == 0 else 0))
