"""Twilio's REST interface, as far as calls go (Twilio, "Voice API: Calls resource")."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig, ProtocolError, RequestRejected
from trunkline.telephony.control import OutgoingCall, command_error
from trunkline.transport import HttpClient, HttpResponse
from trunkline.transport.websocket.client import retry_after
from trunkline.wire.fields import Fields, int_or, text_or
from trunkline.wire.telephony.twilio import twiml

API: Final = "https://api.twilio.com"
LONGEST_RING: Final = 600
"""Seconds."""
OVER: Final = "21220"
"""The code for a command to a call that is over."""


class TwilioRest:
    """A `CallControl`: makes calls, ends them and changes what Twilio does with them.

    Args:
        account_sid: The account whose calls these are.
        auth_token: Its token, or the secret of `api_key`. It is in no log and no repr.
        api_key: The id of an API key, `SK…`; "" authenticates with the account's token.
        base_url: Where the interface is: a region's address, or a simulator's.
        timeout: Seconds for a command, with the attempts that Twilio refuses for now.
        clock: What that is measured by.

    Raises:
        InvalidConfig: A credential is missing.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        api_key: str = "",
        base_url: str = API,
        timeout: float = 15.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        for name, value in (("account_sid", account_sid), ("auth_token", auth_token)):
            if not value:
                raise InvalidConfig(name, "is needed for Twilio's REST interface")
        self.account_sid = account_sid
        self._clock = clock
        self._http = HttpClient(
            base_url=f"{base_url.rstrip('/')}/2010-04-01/Accounts/{quote(account_sid, safe='')}",
            auth=(api_key or account_sid, auth_token),
            timeout=timeout,
            retries=3,
            clock=clock,
        )

    def __repr__(self) -> str:
        return f"TwilioRest(account_sid={self.account_sid!r})"

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    def check(self, call: OutgoingCall) -> None:
        """See `CallControl.check`."""
        if not twiml.is_dialable(call.to) and not call.to.startswith("client:"):
            raise InvalidConfig(
                "to", "must be a number in E.164 form, such as +15550100001, a sip: or a client: address"
            )
        if not call.from_:
            raise InvalidConfig("from_", "is needed: one of the account's numbers, in E.164 form")
        if not 1 <= call.timeout <= LONGEST_RING:
            raise InvalidConfig("timeout", f"must be 1 to {LONGEST_RING} seconds, got {call.timeout!r}")

    async def create(self, call: OutgoingCall) -> str:
        """See `CallControl.create`; the call is queued where the account's rate of calls is exceeded."""
        self.check(call)
        form = [
            ("To", call.to),
            ("From", call.from_),
            ("Url", call.answer_url),
            ("Method", "POST"),
            ("StatusCallback", call.status_url),
            ("StatusCallbackMethod", "POST"),
            *(("StatusCallbackEvent", event) for event in ("initiated", "ringing", "answered", "completed")),
            ("Timeout", str(call.timeout)),
        ]
        if call.machine_detection:
            # Asynchronous, so that the call is connected at once and the result comes when it is known.
            form += [
                ("MachineDetection", "DetectMessageEnd" if call.machine_detection == "message_end" else "Enable"),
                ("AsyncAmd", "true"),
                ("AsyncAmdStatusCallback", call.status_url),
            ]
        if call.record:
            form += [("Record", "true"), ("RecordingChannels", "dual")]
        answer = await self._post("Calls.json", form)
        call_id = text_or(answer, "sid")
        if not call_id:
            raise RequestRejected("the answer to a new call has no sid", vendor="twilio")
        return call_id

    async def hang_up(self, call_id: str) -> None:
        """See `CallControl.hang_up`."""
        try:
            await self._change(call_id, [("Status", "completed")], twice=True)
        except RequestRejected as error:
            if error.code != OVER:
                raise

    async def transfer(self, call_id: str, to: str, *, from_: str = "") -> None:
        """See `CallControl.transfer`; `to` is a number or a `sip:` address."""
        await self.update(call_id, twiml.dial(to, caller_id=from_ or None))

    async def send_dtmf(self, call_id: str, digits: str, *, media_url: str) -> None:
        """See `CallControl.send_dtmf`: Twilio ends the stream, plays the keys, `W` is a pause of a second, and opens the stream anew."""
        await self.update(call_id, twiml.connect_stream(media_url, digits=digits))

    async def update(self, call_id: str, document: str) -> None:
        """See `CallControl.update`; the document is TwiML."""
        await self._change(call_id, [("Twiml", document)])

    async def _change(self, call_id: str, form: Iterable[tuple[str, str]], *, twice: bool = False) -> None:
        await self._post(f"Calls/{quote(call_id, safe='')}.json", form, call_id=call_id, twice=twice)

    async def _post(
        self, url: str, form: Iterable[tuple[str, str]], *, call_id: str = "", twice: bool = False
    ) -> Fields:
        response = await self._http.request("POST", url, form=form, idempotent=twice)
        answer = _fields(response)
        if response.status < 400:
            return answer
        code = int_or(answer, "code")
        raise command_error(
            "twilio",
            response.status,
            text_or(answer, "message") or text_or(answer, "detail") or f"HTTP status {response.status}",
            None if code is None else str(code),
            call_id=call_id,
            retry_after=retry_after(response.headers.get("Retry-After", ""), clock=self._clock),
        )


def _fields(response: HttpResponse) -> Fields:
    """The members of an answer; none where it is no JSON object, as a proxy's page is not."""
    try:
        value: Any = response.json()
    except ProtocolError:
        return {}
    return value if isinstance(value, dict) else {}
