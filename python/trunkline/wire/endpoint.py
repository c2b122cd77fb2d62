"""Where a vendor's API is and the key that opens it, checked before anything is sent."""

import os
from collections.abc import Iterable
from urllib.parse import quote, urlencode, urlsplit

from trunkline.errors import InvalidConfig
from trunkline.loopback import is_loopback

_SOCKETS = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_PAGES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

SHORTEST_SECRET = 8
"""Characters; a shorter key is no vendor's, and taking it out of a sentence would tear words apart."""


def checked_key(api_key: str | None, variable: str) -> str:
    """The key, if a header can carry it; that of the environment variable if it is None.

    Raises:
        InvalidConfig: There is none, or it holds white space or other characters that no key has.
    """
    key = os.environ.get(variable, "") if api_key is None else api_key
    if not key:
        raise InvalidConfig("api_key", f"pass one, or set the environment variable {variable}")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise InvalidConfig("api_key", "holds characters that a key cannot have")
    return key


def checked_base(base_url: str) -> str:
    """The address without a slash at its end.

    Raises:
        InvalidConfig: It is no address, or one without TLS that is not of this machine.
    """
    try:
        address = urlsplit(base_url)
        _ = address.port
    except ValueError:
        raise InvalidConfig("base_url", "is not an address") from None
    if address.username is not None or address.query or address.fragment:
        raise InvalidConfig("base_url", "must be an address without user, query and fragment")
    if not address.hostname or address.scheme not in _SOCKETS:
        raise InvalidConfig("base_url", f"must be an https or wss address, got {base_url!r}")
    if address.scheme in {"http", "ws"} and not is_loopback(address.hostname):
        raise InvalidConfig("base_url", f"must be https or wss, as {address.hostname!r} is not this machine")
    return base_url.rstrip("/")


def socket_url(base: str, path: str, query: Iterable[tuple[str, str]] = ()) -> str:
    """The address of a WebSocket below a base that was checked."""
    return _below(_SOCKETS, base, path, query)


def page_url(base: str, path: str, query: Iterable[tuple[str, str]] = ()) -> str:
    """The address of an HTTP request below a base that was checked."""
    return _below(_PAGES, base, path, query)


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def without(secret: str, text: str) -> str:
    """The text with the secret taken out."""
    return text.replace(secret, "[hidden]") if len(secret) >= SHORTEST_SECRET else text


def _below(schemes: dict[str, str], base: str, path: str, query: Iterable[tuple[str, str]]) -> str:
    scheme, _, rest = base.partition("://")
    written = urlencode(list(query))
    return f"{schemes[scheme.lower()]}://{rest}{path}{f'?{written}' if written else ''}"
