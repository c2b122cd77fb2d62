"""The requests that Twilio makes about a call, signed as Twilio signs them.

The signature is written out here instead of taken from the package, so that a mistake in one of the two shows.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from ssl import SSLContext
from types import TracebackType
from typing import Final, Literal, Self
from urllib.parse import urlencode
from uuid import uuid4

from trunkline.clock import Clock
from trunkline.errors import ConfigError, TransportError
from trunkline.transport import HttpClient, HttpResponse

Signing = Literal["right", "wrong", "none"]
"""How requests are signed: as Twilio does, with another secret, or not at all."""

SIGNINGS: Final[dict[bool | str, Signing]] = {True: "right", False: "none", "wrong": "wrong"}
"""The same, as a user says it."""

_USER_AGENT: Final = "TwilioProxy/1.1"


def sign(
    auth_token: str, url: str, fields: dict[str, str] | None = None, *, signing: Signing = "right"
) -> dict[str, str]:
    """The signature header of a request to an address without fragment, to be merged into its headers; empty for an unsigned one."""
    if signing == "none":
        return {}
    text = url + "".join(name + value for name, value in sorted((fields or {}).items()))
    key = auth_token if signing == "right" else auth_token + "?"
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()
    return {"X-Twilio-Signature": base64.b64encode(digest).decode()}


class Request:
    """One request, ready to be sent, as many times as wanted: a retry carries the same idempotency token."""

    def __init__(
        self, *, method: str, url: str, fields: dict[str, str], auth_token: str, signing: Signing = "right"
    ) -> None:
        address = url.split("#", maxsplit=1)[0]
        self.method = method
        self.headers = {"User-Agent": _USER_AGENT, "I-Twilio-Idempotency-Token": str(uuid4())}
        if method == "GET":
            self.url = f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}"
            self.body = b""
            self.headers |= sign(auth_token, self.url, signing=signing)
        else:
            self.url = address
            self.body = urlencode(fields).encode()
            self.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
            self.headers |= sign(auth_token, address, fields, signing=signing)


class CallRecord:
    """Who calls whom, and the fields that each kind of request tells of it."""

    def __init__(
        self,
        *,
        from_: str,
        to: str,
        account_sid: str,
        extra_fields: Mapping[str, str],
        direction: Literal["inbound", "outbound-api"] = "inbound",
        clock: Clock,
    ) -> None:
        self.call_sid = f"CA{uuid4().hex}"
        self.account_sid = account_sid
        self.from_ = from_
        self.to = to
        self.direction: Final = direction
        self._extra_fields = extra_fields
        self._clock = clock
        self._progress = 0

    def voice(self, status: str) -> dict[str, str]:
        """Fields of a request for a document."""
        return {
            "CallSid": self.call_sid,
            "AccountSid": self.account_sid,
            "From": self.from_,
            "To": self.to,
            "Caller": self.from_,
            "Called": self.to,
            "CallStatus": status,
            "ApiVersion": "2010-04-01",
            "Direction": self.direction,
            **self._extra_fields,
        }

    def progress(self, status: str, *, duration_s: float | None = None) -> dict[str, str]:
        """Fields of a status callback; they are numbered from 0, in the order of the events."""
        fields = self.voice(status) | {
            "Timestamp": format_datetime(self._clock.wall()),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._progress),
        }
        self._progress += 1
        if duration_s is not None:
            fields |= {"CallDuration": str(round(duration_s)), "Duration": str(-int(-duration_s // 60))}
        return fields

    def stream(self, event: str, *, stream_sid: str, name: str) -> dict[str, str]:
        """Fields of a stream's status callback."""
        moment = self._clock.wall().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {
            "AccountSid": self.account_sid,
            "CallSid": self.call_sid,
            "StreamSid": stream_sid,
            "StreamName": name or stream_sid,
            "StreamEvent": event,
            "Timestamp": moment,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSetup:
    """How requests about a call are made.

    Attributes:
        auth_token: What they are signed with.
        signing: How.
        status_callback_url: Where the call's progress is told; None for nowhere.
        status_events: Which events of it are.
        out_of_order: Tell the last one first.
        copies: How often each callback is made.
        tls: What to trust; the system's certificates if None.
        timeout: Seconds for a whole answer.
    """

    auth_token: str = field(repr=False)
    signing: Signing = "right"
    status_callback_url: str | None = None
    status_events: frozenset[str] = frozenset({"completed"})
    out_of_order: bool = False
    copies: int = 1
    tls: SSLContext | None = None
    timeout: float = 15.0


class Webhooks:
    """Makes the requests of one call; use it in `async with`.

    Args:
        record: The call that they tell of.
        setup: How they are made.
        fail: Called with Twilio's error code and the reason when a request had no answer, or a callback a bad one.
        clock: Whose seconds.
    """

    def __init__(
        self, record: CallRecord, setup: CallbackSetup, *, fail: Callable[[int, str], None], clock: Clock
    ) -> None:
        self._record = record
        self._setup = setup
        self._fail = fail
        self._kept_back: list[dict[str, str]] = []
        self._http = HttpClient(timeout=setup.timeout, tls=setup.tls, clock=clock)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def ask(self, url: str, method: str, fields: dict[str, str], *, copies: int = 1) -> HttpResponse | None:
        """Ask for a document, `copies` times; the first answer, or None if there was none."""
        request = Request(
            method=method, url=url, fields=fields, auth_token=self._setup.auth_token, signing=self._setup.signing
        )
        answer = await self._send(request)
        for _ in range(1, copies):
            await self._send(request)
        return answer

    async def tell(self, url: str, fields: dict[str, str]) -> None:
        """Make a callback; what is answered does not matter, so long as it is a success."""
        request = Request(
            method="POST", url=url, fields=fields, auth_token=self._setup.auth_token, signing=self._setup.signing
        )
        for _ in range(1, self._setup.copies):
            await self._send(request)
        answer = await self._send(request)
        if answer is not None and not 200 <= answer.status < 300:
            self._fail(11200, f"a callback was answered with HTTP status {answer.status}")

    async def progress(self, event: str, status: str, *, duration_s: float | None = None) -> None:
        """Tell of the call's progress, if anybody wants to hear of this event."""
        url = self._setup.status_callback_url
        if url is None or event not in self._setup.status_events:
            return
        fields = self._record.progress(status, duration_s=duration_s)
        if self._setup.out_of_order and event != "completed":
            self._kept_back.append(fields)
            return
        for told in [fields, *reversed(self._kept_back)]:
            await self.tell(url, told)
        self._kept_back.clear()

    async def _send(self, request: Request) -> HttpResponse | None:
        try:
            return await self._http.request(
                request.method, request.url, headers=request.headers.items(), content=request.body or None
            )
        except (TransportError, ConfigError) as error:
            self._fail(11200, str(error))
            return None
