"""The requests that Twilio makes about a call, signed as Twilio signs them.

The signature is written out here instead of taken from the package, so that a mistake in one of the two shows.
"""

import base64
import hashlib
import hmac
from email.utils import format_datetime
from typing import Final, Literal
from urllib.parse import urlencode
from uuid import uuid4

from trunkline.clock import Clock

Signing = Literal["right", "wrong", "none"]
"""How requests are signed: as Twilio does, with another secret, or not at all."""

_USER_AGENT: Final = "TwilioProxy/1.1"


def sign(auth_token: str, url: str, fields: dict[str, str] | None = None, *, signing: Signing = "right") -> dict[str, str]:
    """The signature header of a request, to be merged into its headers; empty for an unsigned one."""
    if signing == "none":
        return {}
    text = url.split("#", maxsplit=1)[0]
    for name, value in sorted((fields or {}).items()):
        text += name + value
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

    def __init__(self, *, from_: str, to: str, account_sid: str, extra_fields: dict[str, str], clock: Clock) -> None:
        self.call_sid = f"CA{uuid4().hex}"
        self.account_sid = account_sid
        self._from = from_
        self._to = to
        self._extra_fields = extra_fields
        self._clock = clock
        self._progress = 0

    def voice(self, status: str) -> dict[str, str]:
        """Fields of a request for a document."""
        return {
            "CallSid": self.call_sid,
            "AccountSid": self.account_sid,
            "From": self._from,
            "To": self._to,
            "Caller": self._from,
            "Called": self._to,
            "CallStatus": status,
            "ApiVersion": "2010-04-01",
            "Direction": "inbound",
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
