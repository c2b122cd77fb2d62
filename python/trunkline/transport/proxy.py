"""HTTP proxies: which one leads to a host, and the tunnel through it (RFC 9110 section 9.3.6, `CONNECT`)."""

import os
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import anyio
import h11
from anyio.abc import ByteStream

from trunkline.errors import ConnectionLost, InvalidConfig
from trunkline.loopback import is_loopback
from trunkline.transport.tcp import CHUNK, STREAM_FAILED

ENVIRONMENT = "environment"
"""In place of a proxy's address: go by `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not."""

MAX_HEAD = 65_536


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy; `authorization` is the value of `Proxy-Authorization`, "" if it asks for none, and never shown."""

    host: str
    port: int
    secure: bool = False
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


def proxy_to(host: str, port: int, *, secure: bool, proxy: str | None) -> Proxy | None:
    """The proxy that leads to a host; None if there is none on the way.

    Args:
        host: Where to.
        port: Its port.
        secure: Whether TLS is spoken there, which is what the environment's variables go by.
        proxy: The proxy's address, `ENVIRONMENT`, or None.

    Raises:
        InvalidConfig: The address is not that of an HTTP proxy; it is not shown, as it may hold a password.
    """
    if proxy == ENVIRONMENT:
        proxy = None if _is_exempt(host, port) else _of_environment("HTTPS_PROXY" if secure else "HTTP_PROXY")
    return _parsed(proxy) if proxy else None


async def open_tunnel(stream: ByteStream, proxy: Proxy, host: str, port: int) -> None:
    """Have a proxy connect `stream` to a host; what is sent from then on goes there.

    Raises:
        ConnectionLost: The proxy refused, broke off, or does not speak HTTP.
    """
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [("Host", target)]
    if proxy.authorization:
        headers.append(("Proxy-Authorization", proxy.authorization))
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    request = http.send(h11.Request(method="CONNECT", target=target, headers=headers))
    try:
        await stream.send(request or b"")
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive(CHUNK))
            elif isinstance(event, h11.Response):
                break
    except h11.RemoteProtocolError as error:
        raise ConnectionLost(1006, f"the proxy {proxy} does not answer in HTTP") from error
    except (anyio.EndOfStream, *STREAM_FAILED) as error:
        raise ConnectionLost(1006, f"the proxy {proxy} broke off") from error
    if not 200 <= event.status_code < 300:
        raise ConnectionLost(1006, f"the proxy {proxy} refused to connect to {target}, HTTP status {event.status_code}")


def _of_environment(name: str) -> str | None:
    for variable in (name, "ALL_PROXY"):
        # In capitals only by its long name: CGI servers put a request's header `Proxy` into HTTP_PROXY.
        names = (variable.lower(),) if variable == "HTTP_PROXY" else (variable.lower(), variable)
        for each in names:
            if os.environ.get(each):
                return os.environ[each]
    return None


def _is_exempt(host: str, port: int) -> bool:
    """Whether the environment says to go there directly; this machine is never reached through a proxy."""
    host = host.lower().rstrip(".")
    if is_loopback(host):
        return True
    for entry in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(","):
        name, _, wanted_port = entry.strip().lower().partition(":")
        if wanted_port and wanted_port != str(port):
            continue
        name = name.lstrip("*").lstrip(".")
        if entry.strip() == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
    return False


def _parsed(address: str) -> Proxy:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.scheme not in {"http", "https"}:
        raise InvalidConfig("proxy", "must be an address of the form http://host:port or https://host:port")
    authorization = ""
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {b64encode(credentials.encode()).decode('ascii')}"
    secure = parts.scheme == "https"
    return Proxy(host, port or (443 if secure else 80), secure, authorization)
