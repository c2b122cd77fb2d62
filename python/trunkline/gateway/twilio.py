"""The Twilio gateway: its webhooks, its media socket, and their signatures."""

import logging
import re
from functools import partial
from typing import Final, Unpack
from urllib.parse import parse_qsl, urlsplit

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import CallRejected, InvalidConfig, RemoteProtocolError, SignatureInvalid, TransportError
from trunkline.gateway.config import CallInfo, GatewayConfig, GatewayOptions, ProviderName
from trunkline.gateway.gateway import Gateway
from trunkline.telephony.twilio import TwilioPort
from trunkline.transport import Request, Response, Route, Upgrade, WebSocketConnection
from trunkline.wire.telephony.events import StreamStarted
from trunkline.wire.telephony.twilio import twiml
from trunkline.wire.telephony.twilio.signature import SignatureValidator
from trunkline.wire.telephony.twilio.stream import TwilioStream

logger = logging.getLogger("trunkline.gateway")

MAX_FIELDS: Final = 200
MAX_MESSAGE: Final = 65_536
CALL_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")  # it is written to logs
ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


class TwilioGateway(Gateway):
    """Answers calls to a Twilio number.

    Set the number's voice webhook to `POST {public_url}/voice/inbound`, and its status callback to `POST {public_url}/voice/status`.

    Args:
        account_sid: The account that calls must belong to; "" takes any that signs with `auth_token`.
        auth_token: Twilio signs with this. It is in no log and no repr.
        phone_number: The number that is answered, for your own use.
        verify_signatures: Whether requests must be signed. Switch it off in tests alone: without it anybody can place calls.
        clock: What everything is timed by.
        **options: See `GatewayConfig`.

    Raises:
        InvalidConfig: A value is missing or cannot work.
    """

    name = ProviderName.TWILIO

    def __init__(
        self,
        *,
        account_sid: str = "",
        auth_token: str = "",
        phone_number: str = "",
        verify_signatures: bool = True,
        clock: Clock = SYSTEM_CLOCK,
        **options: Unpack[GatewayOptions],
    ) -> None:
        if verify_signatures and not auth_token:
            raise InvalidConfig("auth_token", "is needed to check Twilio's signatures")
        super().__init__(GatewayConfig(**options), clock=clock)
        self.account_sid = account_sid
        self.phone_number = phone_number
        self._validator = SignatureValidator(auth_token) if verify_signatures else None

    def __repr__(self) -> str:
        return f"TwilioGateway(account_sid={self.account_sid!r}, phone_number={self.phone_number!r})"

    def carrier_routes(self) -> list[Route]:
        """Twilio's webhooks and media socket."""
        return [
            Route("POST", "/voice/inbound", self._inbound),
            Route("POST", "/voice/status", self._status),
            Route("GET", "/ws/media-stream/{token}", self._media),
        ]

    # ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _inbound(self, request: Request) -> Response:
        fields = self._verified_form(request)
        if isinstance(fields, Response):
            return fields
        call_id = fields.get("CallSid", "")
        if not CALL_ID.fullmatch(call_id):
            return Response(400, "CallSid is missing or not an id\n")
        if self.account_sid and fields.get("AccountSid") != self.account_sid:
            logger.warning("call %s is refused: it belongs to another account", call_id)
            return _document(twiml.reject())
        info = CallInfo(
            call_id=call_id,
            from_=fields.get("From", ""),
            to=fields.get("To", ""),
            direction="inbound",
            start_time=self._clock.wall(),
        )
        try:
            path = await self.admit(info)
        except CallRejected as rejected:
            return _document(twiml.reject("busy" if rejected.reason == "busy" else "rejected"))
        return _document(twiml.connect_stream(_socket_url(self.public_url) + path))

    async def _status(self, request: Request) -> Response:
        fields = self._verified_form(request)
        if isinstance(fields, Response):
            return fields
        if fields.get("CallStatus") in ENDED:
            session = self.end_call(fields.get("CallSid", ""))
            if session is not None:
                await session.close(f"carrier_{fields['CallStatus']}")
        return Response(204)

    # ── media ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _media(self, request: Request) -> Response | Upgrade:
        if self._validator is not None:
            try:
                self._validator.verify_upgrade(self._public_address(request), request.headers.get("x-twilio-signature"))
            except SignatureInvalid as error:
                return self._refuse(request, str(error))
        if not request.wants_websocket:
            return Response(426, "this address is for a WebSocket\n", headers=[("Upgrade", "websocket")])
        info = self.redeem(request.params["token"])
        if info is None:
            return self._refuse(request, "its token is unknown, used or too old")
        return Upgrade(partial(self._carry, info), max_size=MAX_MESSAGE)

    async def _carry(self, info: CallInfo, socket: WebSocketConnection) -> None:
        stream = TwilioStream()
        with self.arrival(info):
            try:
                await self._await_start(info, socket, stream)
            except (TransportError, RemoteProtocolError) as error:
                logger.warning("call %s: its media did not begin: %s", info.call_id, error)
                await socket.aclose(1002)
                return
            await self.carry(info, socket, stream, TwilioPort(socket, stream))

    async def _await_start(self, info: CallInfo, socket: WebSocketConnection, stream: TwilioStream) -> None:
        with self._clock.move_on_after(self.config.start_timeout):
            while True:
                event = stream.receive(await socket.receive())
                if isinstance(event, StreamStarted):
                    if event.call_id != info.call_id:
                        raise RemoteProtocolError("twilio", "the media belongs to another call", path="start.callSid")
                    if event.format != TwilioPort.traits.format:
                        raise RemoteProtocolError("twilio", "the audio is not 8 kHz µ-law", path="start.mediaFormat")
                    return
        raise TransportError(f"no start message within {self.config.start_timeout:g} s")

    # ── signatures ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _verified_form(self, request: Request) -> dict[str, str] | Response:
        try:
            fields = parse_qsl(
                request.body.decode(), keep_blank_values=True, strict_parsing=False, max_num_fields=MAX_FIELDS
            )
        except ValueError:
            return Response(400, "the body is not a form\n")
        if self._validator is not None:
            try:
                self._validator.verify_form(
                    self._public_address(request), fields, request.headers.get("x-twilio-signature")
                )
            except SignatureInvalid as error:
                return self._refuse(request, str(error))
        return dict(fields)

    def _public_address(self, request: Request) -> str:
        """The address as Twilio was told it: what arrives here may have passed a proxy, but the path is the same."""
        public = urlsplit(self.public_url)
        return f"{public.scheme}://{public.netloc}{request.target}"

    def _refuse(self, request: Request, why: str) -> Response:
        logger.warning("%s %s from %s is refused: %s", request.method, request.route, request.client, why)
        return Response(403, "forbidden\n")


def _socket_url(public_url: str) -> str:
    return f"ws{public_url.removeprefix('http')}"


def _document(text: str) -> Response:
    return Response(200, text, media_type="text/xml; charset=utf-8")
