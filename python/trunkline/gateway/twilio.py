"""The Twilio gateway: its webhooks and their signatures."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Unpack
from urllib.parse import parse_qsl

from pydantic import Field, ValidationInfo, field_validator

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import CallRejected, InvalidConfig, SignatureInvalid
from trunkline.gateway.addresses import normalized_url
from trunkline.gateway.config import CallInfo, GatewayConfig, GatewayOptions, ProviderName, checked_credential
from trunkline.gateway.gateway import Gateway
from trunkline.telephony.control import CallState
from trunkline.telephony.line import CallLine
from trunkline.telephony.twilio import TwilioLine
from trunkline.telephony.twilio_rest import API, TwilioRest
from trunkline.transport import Request, Response, Route, WebSocketConnection
from trunkline.wire.fields import text_or
from trunkline.wire.telephony.twilio import twiml
from trunkline.wire.telephony.twilio.signature import SignatureValidator

MAX_FIELDS: Final = 200
"""Fields of a webhook; Twilio sends some thirty."""
CALL_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")  # it is written to logs
STATES: Final[dict[str, CallState]] = {
    "queued": "initiated",
    "initiated": "initiated",
    "ringing": "ringing",
    "in-progress": "answered",
    "completed": "completed",
    "busy": "busy",
    "no-answer": "no_answer",
    "failed": "failed",
    "canceled": "failed",
}
"""What Twilio calls how far a call is."""
ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


class TwilioOptions(GatewayOptions, total=False):
    """The keywords of a `TwilioGateway`; `TwilioConfig` tells what they mean."""

    account_sid: str
    auth_token: str
    phone_number: str
    api_base_url: str
    verify_signatures: bool


class TwilioConfig(GatewayConfig):
    """A `GatewayConfig` with what is Twilio's.

    Args:
        account_sid: The account that calls must belong to; "" takes any that signs with `auth_token`. Default: `TWILIO_ACCOUNT_SID`.
        auth_token: Twilio signs with this. It is in no log and no repr. Default: `TWILIO_AUTH_TOKEN`.
        phone_number: The number that is answered, and that outbound calls show.
        api_base_url: Where Twilio's REST interface is: a region's address, or a simulator's. `account_sid` is needed for it.
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
    api_base_url: str = API
    verify_signatures: bool = True

    @field_validator("account_sid", "auth_token")
    @classmethod
    def _credential(cls, value: str, about: ValidationInfo) -> str:
        return checked_credential(str(about.field_name), value)

    @field_validator("api_base_url")
    @classmethod
    def _api_base_url(cls, value: str) -> str:
        return normalized_url("api_base_url", value)

    @classmethod
    def conflicts(cls, given: Mapping[str, Any]) -> Iterator[InvalidConfig]:
        """What does not go together."""
        if given.get("verify_signatures", True) and not given.get("auth_token"):
            yield InvalidConfig("auth_token", "is needed to check Twilio's signatures; or set TWILIO_AUTH_TOKEN")
        if "api_base_url" in given and not given.get("account_sid"):
            yield InvalidConfig("api_base_url", "has no effect without account_sid; or set TWILIO_ACCOUNT_SID")
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
    line_traits = TwilioLine.traits

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, **options: Unpack[TwilioOptions]) -> None:
        settings: dict[str, Any] = {**options}
        config = TwilioConfig(**settings)
        rest = None
        if config.account_sid and config.auth_token:
            rest = TwilioRest(
                account_sid=config.account_sid, auth_token=config.auth_token, base_url=config.api_base_url, clock=clock
            )
        super().__init__(config, control=rest, clock=clock)
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
            self._validator.verify_upgrade(
                address,
                request.headers.get("x-twilio-signature"),
                settings=request.headers.get("x-twilio-webhooks-signature-settings"),
            )

    # ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _inbound(self, request: Request) -> Response:
        fields = self._verified_fields(request)
        if isinstance(fields, Response):
            return fields
        call_id = fields.get("CallSid", "")
        if not CALL_ID.fullmatch(call_id):
            return Response(400, "CallSid is missing or not an id\n")
        if self.account_sid and fields.get("AccountSid") != self.account_sid:
            self.logger.warning("call %s is refused: it belongs to another account", call_id)
            return _document(twiml.reject())
        if key := _key(request):
            answered = await self.outbound.answered(key)
            if answered is None or answered.call_id != call_id:
                return _document(twiml.hangup())
            return _document(twiml.connect_stream(self.socket_url(self.media_path(answered))))
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
        fields = self._verified_fields(request)
        if isinstance(fields, Response):
            return fields
        status = fields.get("CallStatus", "")
        if key := _key(request):
            if status in STATES:
                await self.outbound.progress(key, STATES[status], status)
            elif answered_by := fields.get("AnsweredBy"):
                await self.outbound.machine(key, answered_by.partition("_")[0], answered_by)
        elif status in ENDED:
            self.end_call(fields.get("CallSid", ""), f"carrier_{status}")
        return Response(204)

    def _verified_fields(self, request: Request) -> dict[str, str] | Response:
        """The fields of a form or a JSON body that Twilio signed; or what to answer where it did not."""
        is_json = request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/json"
        try:
            fields = _json_fields(request.body) if is_json else _form_fields(request.body)
        except (ValueError, RecursionError):
            return Response(400, f"the body is not {'JSON' if is_json else 'a form'}\n")
        if self._validator is not None:
            address = self.public_address(request)
            signature = request.headers.get("x-twilio-signature")
            settings = request.headers.get("x-twilio-webhooks-signature-settings")
            try:
                if is_json:
                    self._validator.verify_json(address, request.body, signature, settings=settings)
                else:
                    self._validator.verify_form(address, fields, signature, settings=settings)
            except SignatureInvalid as error:
                return self.refuse(request, str(error))
        return dict(fields)


def _form_fields(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=False, max_num_fields=MAX_FIELDS)


def _json_fields(body: bytes) -> list[tuple[str, str]]:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for all that cannot be read
    return [(name, text_or(value, name)) for name in value]


def _key(request: Request) -> str:
    """Which outbound call a callback is about; "" if it is about an inbound one."""
    return dict(parse_qsl(request.query)).get("call", "")


def _document(text: str) -> Response:
    return Response(200, text, media_type="text/xml; charset=utf-8")
