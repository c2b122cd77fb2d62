"""TwiML: the documents that tell Twilio what to do with a call.

Each function returns a whole document to be answered as `text/xml; charset=utf-8`.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

from trunkline.errors import InvalidConfig
from trunkline.loopback import is_loopback

DIGITS: Final = re.compile(r"[0-9*#A-DwW]{1,32}")
"""Keys that Twilio can play: `w` is a pause of half a second, `W` of a second."""

_DIALABLE: Final = re.compile(r"\+[1-9][0-9]{1,14}|sip:[^\s@]+@[^\s@]+")
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def connect_stream(
    url: str,
    *,
    parameters: Mapping[str, str] | None = None,
    action: str | None = None,
    name: str | None = None,
    status_callback: str | None = None,
    digits: str | None = None,
    max_parameter_chars: int | None = 500,
) -> str:
    """Answer the call and connect it to a bidirectional media stream (Twilio, "TwiML: Connect, Stream").

    Args:
        url: Where Twilio opens the media socket: `wss`, or `ws` on a loopback host; without a query, which Twilio does not allow here.
        parameters: Repeated in the stream's `start` message.
        action: Asked (by POST) for the next document when the stream is over; without it the call ends.
        name: A label of the stream, unique within the call.
        status_callback: Called (by POST) when the stream starts, stops or fails.
        digits: Keys that are played into the call before (Twilio, "TwiML: Play").
        max_parameter_chars: Most characters that a parameter's name and value may have together.

    Raises:
        InvalidConfig: `url` is of another kind, or a value cannot stand in XML or is too long.
    """
    _check_stream_url(url)
    response = Element("Response")
    if digits is not None:
        if not DIGITS.fullmatch(digits):
            raise InvalidConfig("digits", "must be 1 to 32 of 0-9 * # A-D, w (half a second) and W (a second)")
        SubElement(response, "Play", digits=digits)
    connect = SubElement(response, "Connect", _attributes(action=action, method="POST" if action else None))
    stream = SubElement(
        connect,
        "Stream",
        _attributes(
            url=url,
            name=name,
            statusCallback=status_callback,
            statusCallbackMethod="POST" if status_callback else None,
        ),
    )
    for key, value in (parameters or {}).items():
        if max_parameter_chars is not None and len(key) + len(value) > max_parameter_chars:
            raise InvalidConfig(
                "parameters", f"{key[:40]!r} and its value have more than {max_parameter_chars} characters"
            )
        SubElement(stream, "Parameter", _attributes(name=key, value=value))
    return _document(response)


def reject(reason: Literal["rejected", "busy"] = "rejected") -> str:
    """Refuse the call without answering it, which is not billed (Twilio, "TwiML: Reject").

    Args:
        reason: "rejected" plays the tone of a number out of service, "busy" the busy tone.

    Raises:
        InvalidConfig: `reason` is neither.
    """
    if reason not in {"rejected", "busy"}:
        raise InvalidConfig("reason", f"must be 'rejected' or 'busy', got {reason!r}")
    response = Element("Response")
    SubElement(response, "Reject", reason=reason)
    return _document(response)


def say(text: str) -> str:
    """Answer the call, speak a sentence with Twilio's own voice, and hang up (Twilio, "TwiML: Say").

    Raises:
        InvalidConfig: There is nothing to say, or it cannot stand in XML.
    """
    if not text.strip():
        raise InvalidConfig("text", "must not be empty")
    response = Element("Response")
    SubElement(response, "Say").text = _attributes(text=text)["text"]
    SubElement(response, "Hangup")
    return _document(response)


def dial(to: str, *, caller_id: str | None = None, timeout: int | None = None, action: str | None = None) -> str:
    """Connect the call with somebody else (Twilio, "TwiML: Dial"); when they are done, the call ends.

    Args:
        to: A number in E.164 form, or a `sip:` address.
        caller_id: The number that they see.
        timeout: Seconds that it rings.
        action: Asked (by POST) for the next document afterwards.

    Raises:
        InvalidConfig: `to` is of another kind, or a value cannot stand in XML.
    """
    if not is_dialable(to):
        raise InvalidConfig("to", "must be a number in E.164 form, such as +15550100001, or a sip: address")
    response = Element("Response")
    values = _attributes(
        callerId=caller_id,
        timeout=None if timeout is None else str(timeout),
        action=action,
        method="POST" if action else None,
    )
    target = SubElement(SubElement(response, "Dial", values), "Sip" if to.startswith("sip:") else "Number")
    target.text = _attributes(to=to)["to"]
    return _document(response)


def is_dialable(to: str) -> bool:
    """Whether this can be dialled: a number in E.164 form, or a `sip:` address."""
    return bool(_DIALABLE.fullmatch(to))


def hangup() -> str:
    """End the call (Twilio, "TwiML: Hangup")."""
    response = Element("Response")
    SubElement(response, "Hangup")
    return _document(response)


def _check_stream_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port  # reading it refuses a port that is no number
    except ValueError:
        raise InvalidConfig("url", "the stream's address cannot be read") from None
    if not host or parts.username is not None:
        raise InvalidConfig("url", "the stream's address must be absolute, with a host and without a user")
    if parts.scheme != "wss" and not (parts.scheme == "ws" and is_loopback(host)):
        raise InvalidConfig("url", "the stream's address must be wss (ws only on a loopback host)")
    if "?" in url or "#" in url:
        raise InvalidConfig("url", "the stream's address must not carry a query or a fragment; use parameters")


def _attributes(**values: str | None) -> dict[str, str]:
    attributes = {key: value for key, value in values.items() if value is not None}
    for key, value in attributes.items():
        if _NOT_IN_XML.search(value):
            raise InvalidConfig(key, "holds a character that cannot stand in XML")
    return attributes


def _document(response: Element) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>{tostring(response, encoding="unicode")}'
