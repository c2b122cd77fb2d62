"""Where a gateway listens and where the carrier reaches it: addresses as they are written in a configuration."""

import re
from urllib.parse import urlsplit

from trunkline.errors import InvalidConfig
from trunkline.loopback import is_loopback


def listening_address(listen_addr: object) -> tuple[str, int]:
    """Host and port of `host:port` or `:port`; the host is "" for all addresses.

    Raises:
        InvalidConfig: It looks otherwise.
    """
    host, colon, port = str(listen_addr).rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535 or not is_written_plainly(host):
        raise InvalidConfig("listen_addr", f"must look like host:port or :port, got {listen_addr!r}")
    return host.strip("[]"), int(port)


def is_written_plainly(text: str) -> bool:
    """Whether a text has no blanks, quotes or characters that cannot be seen: what slips in with a copy or a file."""
    return text.isprintable() and not re.search(
        r"[\s'\"`\u2018-\u201f\u00ab\u00bb]", text
    )  # quotes of other scripts too


def normalized_url(field: str, address: str) -> str:
    """The address as it is signed: the scheme in small letters, no colon without a port, no slash at the end.

    Raises:
        InvalidConfig: It is none, or one that must not be shown to a carrier. The error does not show it.
    """
    try:
        url = urlsplit(address)
        _ = url.port  # reading it refuses a port that is no number
    except ValueError:
        raise InvalidConfig(field, "cannot be read as an address") from None
    # A user's password must not be shown, nor anything be signed that is not sent.
    written = is_written_plainly(address) and not re.search(r"[?#@]", address)
    if url.scheme not in {"http", "https"} or not url.hostname or not written:
        raise InvalidConfig(
            field, "must look like https://agent.example.com, without a user, a query, blanks or quotes"
        )
    if url.scheme == "http" and not is_loopback(url.hostname):
        raise InvalidConfig(field, "must be https; http is accepted for loopback hosts only")
    return f"{url.scheme}://{url.netloc.removesuffix(':')}{url.path}".rstrip("/")
