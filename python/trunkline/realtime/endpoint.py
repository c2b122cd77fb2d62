"""Where a vendor's realtime API is, and the key that opens it."""

import os
from urllib.parse import urlsplit

from trunkline.errors import InvalidConfig
from trunkline.loopback import is_loopback


def checked_key(api_key: str | None, *variables: str) -> str:
    """The key, if a header can carry it; None is what the first environment variable that is set says.

    Args:
        api_key: The key.
        variables: The environment variables that may hold it.

    Raises:
        InvalidConfig: It is empty, or holds white space or other characters that no key has.
    """
    api_key = api_key or next(filter(None, map(os.environ.get, variables)), "")
    if not api_key:
        raise InvalidConfig("api_key", f"pass one, or set the environment variable {variables[0]}")
    if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise InvalidConfig("api_key", "holds characters that a key cannot have")
    return api_key


def websocket_base(base_url: str) -> str:
    """The base as an address of WebSockets, without a slash at its end.

    Raises:
        InvalidConfig: The base is no address, or one without TLS that is not of this machine.
    """
    address = urlsplit(base_url)
    if address.username is not None or address.query or address.fragment:
        raise InvalidConfig("base_url", "must be an address without user, query and fragment")
    if not address.hostname or address.scheme not in {"http", "https", "ws", "wss"}:
        raise InvalidConfig("base_url", f"must be an https or wss address, got {base_url!r}")
    secure = address.scheme in {"https", "wss"}
    if not secure and not is_loopback(address.hostname):
        raise InvalidConfig("base_url", f"must be https or wss, as {address.hostname!r} is not this machine")
    return f"{'wss' if secure else 'ws'}://{address.netloc}{address.path.rstrip('/')}"
