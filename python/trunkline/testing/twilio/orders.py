"""What a command to the simulated REST interface asks for: strictly read, or refused with Twilio's code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from trunkline.testing.twilio.switch import Instructions

Form = Mapping[str, list[str]]

KNOWN: Final = frozenset(
    {
        "To",
        "From",
        "Url",
        "Method",
        "Twiml",
        "ApplicationSid",
        "FallbackUrl",
        "FallbackMethod",
        "StatusCallback",
        "StatusCallbackMethod",
        "StatusCallbackEvent",
        "SendDigits",
        "Timeout",
        "TimeLimit",
        "Record",
        "RecordingChannels",
        "RecordingStatusCallback",
        "RecordingStatusCallbackEvent",
        "RecordingTrack",
        "Trim",
        "MachineDetection",
        "AsyncAmd",
        "AsyncAmdStatusCallback",
        "MachineDetectionTimeout",
        "CallerId",
        "CallToken",
        "CallReason",
    }
)
UNLISTED: Final = 400
"""Stands for a code of Twilio's that is not known here."""
EVENTS: Final = frozenset({"initiated", "ringing", "answered", "completed"})
MOST_DIGITS: Final = 32
MOST_TWIML: Final = 4000
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{1,14}")
_ADDRESS: Final = re.compile(r"\+[1-9][0-9]{1,14}|(sip|client):.+")


class CommandRefused(Exception):
    """Twilio would refuse this command, with this HTTP status and code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call to be made."""

    to: str
    from_: str
    instructions: Instructions
    status_callback: str | None
    status_events: frozenset[str]
    record: str


def read_order(form: Form) -> Order:
    """The call that a creation asks for.

    Raises:
        CommandRefused: Something is missing, unknown or wrong.
    """
    if unknown := form.keys() - KNOWN:
        raise CommandRefused(400, UNLISTED, f"unknown parameters: {', '.join(sorted(unknown))}")
    to, from_ = _one(form, "To"), _one(form, "From")
    if not _ADDRESS.fullmatch(to):
        raise CommandRefused(400, 21211, f"Invalid 'To' Phone Number: {to}")
    if not _NUMBER.fullmatch(from_) and not from_.startswith(("sip:", "client:")):
        raise CommandRefused(400, 21212, f"Invalid 'From' Phone Number: {from_}")
    timeout = _one(form, "Timeout") or "60"
    if not timeout.isdecimal() or not 1 <= int(timeout) <= 600:
        raise CommandRefused(400, UNLISTED, f"Timeout {timeout!r} is not 1 to 600")
    first = read_instructions(form)
    if first is None:
        raise CommandRefused(400, UNLISTED, "Url, Twiml or ApplicationSid is required")
    events = frozenset(form.get("StatusCallbackEvent", ["completed"]))
    if events - EVENTS:
        raise CommandRefused(400, UNLISTED, f"StatusCallbackEvent {', '.join(sorted(events - EVENTS))} is not known")
    return Order(
        to=to,
        from_=from_,
        instructions=Instructions(
            twiml=first.twiml,
            url=first.url,
            method=first.method,
            timeout=float(timeout),
            digits=_digits(form),
            detection=_detection(form),
            detection_url=_one(form, "AsyncAmdStatusCallback"),
        ),
        status_callback=_one(form, "StatusCallback") or None,
        status_events=events,
        record=(_one(form, "RecordingChannels") or "mono") if _flag(form, "Record") else "",
    )


def read_instructions(form: Form) -> Instructions | None:
    """The document that a command gives or names; None if it does neither."""
    url, twiml, method = _one(form, "Url"), _one(form, "Twiml"), _one(form, "Method") or "POST"
    if method not in {"GET", "POST"}:
        raise CommandRefused(400, UNLISTED, f"Method {method!r} is neither GET nor POST")
    if url:
        if not url.startswith(("https://", "http://")):
            raise CommandRefused(400, UNLISTED, f"Url is not a valid URL: {url}")
        return Instructions(url=url, method=method)
    if len(twiml) > MOST_TWIML:
        raise CommandRefused(400, UNLISTED, f"Twiml has more than {MOST_TWIML} characters")
    return Instructions(twiml=twiml) if twiml else None


def _detection(form: Form) -> Literal["", "sync", "async"]:
    wanted = _one(form, "MachineDetection")
    if not wanted:
        return ""
    if wanted not in {"Enable", "DetectMessageEnd"}:
        raise CommandRefused(400, UNLISTED, f"MachineDetection {wanted!r} is neither Enable nor DetectMessageEnd")
    return "async" if _flag(form, "AsyncAmd") else "sync"


def _digits(form: Form) -> str:
    digits = _one(form, "SendDigits")
    if len(digits) > MOST_DIGITS or set(digits) - set("0123456789*#wW"):
        raise CommandRefused(400, UNLISTED, f"SendDigits {digits!r} cannot be played")
    return digits


def _one(form: Form, name: str) -> str:
    return form.get(name, [""])[0]


def _flag(form: Form, name: str) -> bool:
    value = _one(form, name).lower() or "false"
    if value not in {"true", "false"}:
        raise CommandRefused(400, UNLISTED, f"{name} {value!r} is neither true nor false")
    return value == "true"
