"""What a TwiML document tells the simulated Twilio to do: strictly parsed, or refused with Twilio's error code."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit
from xml.etree.ElementTree import Element, ParseError, fromstring

from trunkline.loopback import is_loopback

_CONTENT_TYPES: Final = {"text/xml", "application/xml"}


class DocumentRefused(Exception):
    """Twilio would not obey this document; `code` is its error code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(code, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Open a media stream and stay in it; `refusal` holds the error code and the reason where its address is not allowed."""

    url: str
    name: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    status_callback: str = ""
    action: str = ""
    method: str = "POST"
    refusal: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the call before it is answered."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on with another document."""

    url: str
    method: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class PlayDigits:
    """Play keys into the call; each `w` is half a second of pause, each `W` a second."""

    digits: str


@dataclass(frozen=True, slots=True)
class Speak:
    """Say a sentence with Twilio's own voice."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    """Connect the caller with somebody else."""

    targets: tuple[str, ...]
    action: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class NotSimulated:
    """A verb, or a use of one, that Twilio knows and this simulator passes over."""

    verb: str


Verb = Connect | Reject | Hangup | Redirect | Pause | PlayDigits | Speak | Dial | NotSimulated


def read_twiml(body: bytes, content_type: str, *, base_url: str) -> list[Verb]:
    """The verbs of an answer, in order; addresses in it are made absolute against `base_url`.

    Raises:
        DocumentRefused: It is not a TwiML document.
    """
    if content_type.partition(";")[0].strip().lower() not in _CONTENT_TYPES:
        raise DocumentRefused(12100, f"the answer's content type is {content_type!r}, not text/xml")
    if b"<!DOCTYPE" in body:
        raise DocumentRefused(12100, "the document declares a type")
    try:
        root = fromstring(body)  # noqa: S314 - without a document type there are no entities to expand
    except (ParseError, LookupError, ValueError) as error:
        raise DocumentRefused(12100, f"the document is not well-formed XML: {error}") from None
    if root.tag != "Response":
        raise DocumentRefused(12100, f"the document's root is {root.tag!r}, not 'Response'")
    if any(element.tag == "Reject" for element in root[1:]):
        raise DocumentRefused(12100, "Reject is not the first verb")
    return [_verb(element, base_url) for element in root]


def _verb(element: Element, base_url: str) -> Verb:
    match element.tag:
        case "Connect":
            return _connect(element, base_url)
        case "Reject":
            return Reject(_one_of(element, "reason", "rejected", {"rejected", "busy"}))
        case "Hangup":
            return Hangup()
        case "Redirect":
            return Redirect(urljoin(base_url, (element.text or "").strip()), _method(element))
        case "Pause":
            return Pause(_seconds(element, "length", 1))
        case "Play" if "digits" in element.attrib:
            return PlayDigits(_digits(element.attrib["digits"]))
        case "Say":
            return Speak("".join(element.itertext()).strip())
        case "Dial":
            texts = [element.text, *(child.text for child in element)]
            targets = tuple(text.strip() for text in texts if text and text.strip())
            if not targets:
                raise DocumentRefused(12100, "Dial has nobody to call")
            return Dial(targets=targets, action=_absolute(element, "action", base_url), method=_method(element))
        case tag:
            return NotSimulated(tag)


def _connect(element: Element, base_url: str) -> Connect | NotSimulated:
    if [child.tag for child in element] != ["Stream"]:
        return NotSimulated("Connect without exactly one Stream")
    stream = element[0]
    _one_of(stream, "track", "inbound_track", {"inbound_track"})
    parameters = {}
    for child in stream:
        if child.tag != "Parameter" or not {"name", "value"} <= child.attrib.keys():
            raise DocumentRefused(12100, "a Stream may hold only Parameters with a name and a value")
        parameters[child.attrib["name"]] = child.attrib["value"]
    url = _stream_address(stream.get("url", ""), base_url)
    return Connect(
        url=url,
        name=stream.get("name", ""),
        parameters=parameters,
        status_callback=_absolute(stream, "statusCallback", base_url),
        action=_absolute(element, "action", base_url),
        method=_method(element),
        refusal=_stream_refusal(url),
    )


def _stream_address(url: str, base_url: str) -> str:
    """A relative address is of the document's host, and of the scheme that goes with its own."""
    if not url or "://" in url:
        return url
    scheme, _, rest = urljoin(base_url, url).partition("://")
    return f"{'wss' if scheme == 'https' else 'ws'}://{rest}"


def _stream_refusal(url: str) -> tuple[int, str] | None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return 31923, "the stream's address is malformed"
    if not host:
        return 31923, "the stream's address is malformed"
    if parts.scheme != "wss" and not (parts.scheme == "ws" and is_loopback(host)):
        return 31922, "the stream's address is not wss"
    if "?" in url:
        return 31920, "the stream's address carries a query"
    return None


def _absolute(element: Element, attribute: str, base_url: str) -> str:
    url = element.get(attribute, "")
    return urljoin(base_url, url) if url else ""


def _method(element: Element) -> str:
    return _one_of(element, "method", "POST", {"GET", "POST"})


def _one_of(element: Element, attribute: str, default: str, allowed: set[str]) -> str:
    value = element.get(attribute, default)
    if value not in allowed:
        raise DocumentRefused(12100, f"{element.tag} {attribute} {value!r} is not one of {', '.join(sorted(allowed))}")
    return value


def _seconds(element: Element, attribute: str, default: int) -> float:
    value = element.get(attribute, str(default))
    if not (value.isascii() and value.isdigit()) or int(value) == 0:
        raise DocumentRefused(12100, f"{element.tag} {attribute} {value!r} is not a whole number of seconds")
    return float(value)


def _digits(digits: str) -> str:
    if not digits or set(digits) - set("0123456789*#ABCDabcdwW"):
        raise DocumentRefused(12100, f"Play cannot play the digits {digits!r}")
    return digits
