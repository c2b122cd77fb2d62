"""The Twilio gateway: its webhooks and their signatures."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Unpack
from urllib.parse import parse_qsl

from pydantic import Field, ValidationInfo, field_validator

from trunkline.audio import TWILIO
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import CallRejected, InvalidConfig, SignatureInvalid
from trunkline.gateway.config import CallInfo, GatewayConfig, GatewayOptions, ProviderName, checked_credential
from trunkline.gateway.gateway import Gateway
from trunkline.telephony.line import CallLine
from trunkline.telephony.twilio import TwilioLine
from trunkline.transport import Request, Response, Route, WebSocketConnection
from trunkline.wire.telephony.twilio import twiml
from trunkline.wire.telephony.twilio.signature import SignatureValidator

MAX_FIELDS: Final = 200
"""Fields of a webhook; Twilio sends some thirty."""
CALL_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")  # it is written to logs
ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


class TwilioOptions(GatewayOptions, total=False):
    """The keywords of a `TwilioGateway`; `TwilioConfig` tells what they mean."""

    account_sid: str
    auth_token: str
    phone_number: str
    verify_signatures: bool


class TwilioConfig(GatewayConfig):
    """A `GatewayConfig` with what is Twilio's.

    Args:
        account_sid: The account that calls must belong to; "" takes any that signs with `auth_token`. Default: `TWILIO_ACCOUNT_SID`.
        auth_token: Twilio signs with this. It is in no log and no repr. Default: `TWILIO_AUTH_TOKEN`.
        phone_number: The number that is answered, for your own use.
        verify_signatures: Whether requests must be signed. Switch it off in tests alone: without it anybody can place calls.
        **options: See `GatewayConfig`.
    """

    environment: ClassVar[Mapping[str, str]] = {
        "account_sid": "TWILIO_ACCOUNT_SID",
        "auth_token": "TWILIO_AUTH_TOKEN",
    }
    aliases: ClassVar[Mapping[str, str]] = {"api_key": "auth_token"}

    account_sid: str = ""
    auth_token: str = Field(default="", repr=False)
    phone_number: str = ""
    verify_signatures: bool = True

    @field_validator("account_sid", "auth_token")
    @classmethod
    def _credential(cls, value: str, about: ValidationInfo) -> str:
        return checked_credential(str(about.field_name), value)

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> Iterator[InvalidConfig]:
        """What does not go together."""
        if given.get("verify_signatures", True) and not given.get("auth_token"):
            yield InvalidConfig("auth_token", "is needed to check Twilio's signatures; or set TWILIO_AUTH_TOKEN")
        yield from super().conflicts(given)


class TwilioGateway(Gateway):
    """Answers calls to a Twilio number.

    Set the number's voice webhook to `POST {public_url}/voice/inbound`, and its status callback to `POST {public_url}/voice/status`.

    Args:
        clock: What everything is timed by.
        **options: See `TwilioConfig`.

    Raises:
        InvalidConfig: Values are missing or cannot work; the error names all of them.
    """

    name = ProviderName.TWILIO
    config_class = TwilioConfig
    media_format = TWILIO

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, **options: Unpack[TwilioOptions]) -> None:
        settings: dict[str, Any] = {**options}
        config = TwilioConfig(**settings)
        super().__init__(config, clock=clock)
        self.account_sid = config.account_sid
        self.phone_number = config.phone_number
        self._validator = SignatureValidator(config.auth_token) if config.verify_signatures else None

    def __repr__(self) -> str:
        return f"TwilioGateway(account_sid={self.account_sid!r}, phone_number={self.phone_number!r})"

    def carrier_routes(self) -> list[Route]:
        """Twilio's webhooks."""
        return [
            Route("POST", "/voice/inbound", self._inbound),
            Route("POST", "/voice/status", self._status),
        ]

    def open_line(self, socket: WebSocketConnection) -> CallLine:
        """Twilio's line over a media socket."""
        return TwilioLine(socket)

    def verify_upgrade(self, request: Request) -> None:
        """Twilio signs the upgrade, too.

        Raises:
            SignatureInvalid: It is not signed, or not by Twilio.
        """
        if self._validator is not None:
            address = self.public_address(request)
            self._validator.verify_upgrade(address, request.headers.get("x-twilio-signature"))

    # ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _inbound(self, request: Request) -> Response:
        fields = self._verified_form(request)
        if isinstance(fields, Response):
            return fields
        call_id = fields.get("CallSid", "")
        if not CALL_ID.fullmatch(call_id):
            return Response(400, "CallSid is missing or not an id\n")
        if self.account_sid and fields.get("AccountSid") != self.account_sid:
            self.logger.warning("call %s is refused: it belongs to another account", call_id)
            return _document(twiml.reject())
        info = CallInfo(
            call_id=call_id,
            from_=fields.get("From", ""),
            to=fields.get("To", ""),
            direction="inbound",
            start_time=self.clock.wall(),
        )
        try:
            path = await self.admit(info)
        except CallRejected as rejected:
            if rejected.say:
                return _document(twiml.say(rejected.say))
            return _document(twiml.reject("busy" if rejected.reason == "busy" else "rejected"))
        try:
            return _document(twiml.connect_stream(self.socket_url(path), parameters=info.parameters))
        except InvalidConfig as error:
            self.logger.error("call %s is refused: its %s", call_id, error)  # noqa: TRY400 - the sentence says it all
            self.end_call(call_id, "rejected")
            return _document(twiml.reject())

    async def _status(self, request: Request) -> Response:
        fields = self._verified_form(request)
        if isinstance(fields, Response):
            return fields
        if fields.get("CallStatus") in ENDED:
            self.end_call(fields.get("CallSid", ""), f"carrier_{fields['CallStatus']}")
        return Response(204)

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
                    self.public_address(request), fields, request.headers.get("x-twilio-signature")
                )
            except SignatureInvalid as error:
                return self.refuse(request, str(error))
        return dict(fields)


def _document(text: str) -> Response:
    return Response(200, text, media_type="text/xml; charset=utf-8")
