"""The WebSocket client: dial, shake hands (RFC 6455 section 4.1), hand over an open connection."""

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, cast

import anyio
import h11
from anyio.abc import ByteStream
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidURI
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from trunkline._native._rust import WebSocketCodec
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ConnectionLost, DeadlineExceeded, HandshakeRejected, InvalidConfig, RemoteProtocolError
from trunkline.transport.null_logger import SILENT
from trunkline.transport.proxy import Proxy, open_tunnel, proxy_to
from trunkline.transport.tcp import CHUNK, STREAM_FAILED, TcpStream, connect_tcp
from trunkline.transport.tls import TlsStream, system_trust
from trunkline.transport.websocket.connection import WebSocketConnection
from trunkline.transport.websocket.keep_alive import check_pings

MAX_HEAD = 65_536
MAX_REFUSAL = 4096
Connect = Callable[[str, int], Awaitable[TcpStream]]
SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@asynccontextmanager
async def connect_websocket(
    url: str,
    *,
    headers: Iterable[tuple[str, str]] = (),
    subprotocols: Sequence[str] = (),
    tls: ssl.SSLContext | None = None,
    proxy: str | None = None,
    connect_timeout: float = 10.0,
    max_size: int = 16 * 2**20,
    ping_interval: float | None = 20.0,
    ping_timeout: float | None = 20.0,
    send_timeout: float = 10.0,
    close_timeout: float = 2.0,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[WebSocketConnection]:
    """Connect, and close when the block ends.

    A task that watches the connection belongs to the block, so leave it in the task and the cancel scope in which you entered it: a
    deadline goes around all of the block or inside it.

    Args:
        url: `ws`, `wss`, or `http` and `https` as their synonyms. Only scheme, host and port of it appear in errors.
        headers: Sent with the handshake; one that is named like a standard one (`Host`, `User-Agent`) replaces it.
        subprotocols: What to offer, most wanted first.
        tls: What to trust; the system's certificates if None.
        proxy: The address of an HTTP proxy to go through, with user and password if it needs them; "environment" goes by the usual
            variables (`transport.proxy`).
        connect_timeout: Seconds for name, connection, proxy, TLS and handshake together.
        max_size: Bytes that a received message may have.
        ping_interval: See `WebSocketConnection`, as for the other times.
        ping_timeout: See there.
        send_timeout: Seconds that a message may take to be handed to the network.
        close_timeout: See `WebSocketConnection`.
        clock: Where time comes from.

    Raises:
        InvalidConfig: The URL, the proxy's address, a header, a ping's time or `max_size` cannot be used.
        ConnectionLost: The host or the proxy cannot be found or reached, or the proxy refused (1006), or TLS failed (1015).
        HandshakeRejected: The server answered with another status than 101.
        RemoteProtocolError: What answered is not a WebSocket server.
        DeadlineExceeded: All that took longer than `connect_timeout`.
    """
    check_pings(ping_interval, ping_timeout)
    uri = _parsed(url)
    through = proxy_to(uri.host, uri.port, secure=uri.secure, proxy=proxy)
    protocol = ClientProtocol(
        uri,
        subprotocols=[cast("Subprotocol", name) for name in subprotocols] or None,
        logger=SILENT,
    )
    codec = WebSocketCodec(is_client=True, max_size=max_size)
    connect = partial(connect_tcp, send_timeout=send_timeout, clock=clock)
    handshake = _Handshake(protocol, headers, clock)
    stream = await _opened(handshake, _dial(uri, tls, through, connect), _address(uri), connect_timeout, clock)
    connection = WebSocketConnection(
        stream,
        codec,
        received=handshake.trailing_data,
        subprotocol=protocol.subprotocol,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        send_timeout=send_timeout,
        close_timeout=close_timeout,
        clock=clock,
    )
    async with _watched(connection):
        yield connection


@asynccontextmanager
async def _watched(connection: WebSocketConnection) -> AsyncIterator[None]:
    """Keep a connection alive, and close it at the end."""
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    try:
        tasks.start_soon(connection.keep_alive)
        yield
    finally:
        try:
            await connection.aclose()
        finally:
            tasks.cancel_scope.cancel()
            # It is not told of an error of the block, which would come back wrapped.
            await tasks.__aexit__(None, None, None)


async def _opened(
    handshake: "_Handshake", dialling: Coroutine[Any, Any, ByteStream], address: str, timeout: float, clock: Clock
) -> ByteStream:
    """A stream past the handshake, all of it in so many seconds."""
    stream: ByteStream | None = None
    try:
        with clock.move_on_after(timeout) as deadline:
            stream = await dialling
            await handshake.run(stream)
        if deadline.cancelled_caught:
            raise handshake.late(f"connecting to {address}", timeout)  # noqa: TRY301 - the stream is closed below
    except BaseException:
        if stream is not None:
            await anyio.aclose_forcefully(stream)
        raise
    assert stream is not None  # noqa: S101 - the deadline did not pass
    return stream


def _parsed(url: str) -> WebSocketURI:
    scheme, colon, rest = url.partition(":")
    try:
        return parse_uri(SCHEMES.get(scheme.lower(), scheme) + colon + rest)
    except (InvalidURI, ValueError):
        # Neither shown nor chained: keys travel in addresses.
        raise InvalidConfig("url", "not an address of the form ws://host/path or wss://host/path") from None


def _address(uri: WebSocketURI) -> str:
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    return f"{'wss' if uri.secure else 'ws'}://{host}:{uri.port}"


async def _dial(uri: WebSocketURI, tls: ssl.SSLContext | None, proxy: Proxy | None, connect: Connect) -> ByteStream:
    trust = tls or system_trust() if uri.secure else None
    if proxy is None:
        stream: ByteStream = await _connect(connect, uri.host, uri.port, _address(uri))
    else:
        stream = await _connect(connect, proxy.host, proxy.port, f"the proxy {proxy}")
        try:
            if proxy.secure:
                stream = await _secured(stream, proxy.host, system_trust(), f"the proxy {proxy}")
            await open_tunnel(stream, proxy, uri.host, uri.port)
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
    return stream if trust is None else await _secured(stream, uri.host, trust, _address(uri))


async def _connect(connect: Connect, host: str, port: int, told: str) -> ByteStream:
    try:
        return await connect(host, port)
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(1006, f"{told} cannot be reached: {_cause(error)}") from error


async def _secured(stream: ByteStream, host: str, trust: ssl.SSLContext, told: str) -> ByteStream:
    try:
        return await TlsStream.wrap(stream, trust, hostname=host)
    except (anyio.EndOfStream, *STREAM_FAILED) as error:
        await anyio.aclose_forcefully(stream)
        raise ConnectionLost(1015, f"no TLS with {told}: {_cause(error)}") from error
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise


def _cause(error: BaseException) -> str:
    """The system's own words, from inside whatever wraps them."""
    while isinstance(error.__cause__, OSError):
        error = error.__cause__
    if isinstance(error.__cause__, ExceptionGroup):
        return _cause(error.__cause__.exceptions[0])
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verification failed, {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


class _Handshake:
    """The HTTP part: h11 reads the answer, whatever it is; the state machine of the handshake is shown only a 101.

    `trailing_data` is what came behind the answer.
    """

    def __init__(self, protocol: ClientProtocol, headers: Iterable[tuple[str, str]], clock: Clock) -> None:
        self._protocol = protocol
        self._clock = clock
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self.trailing_data = b""
        self._refusal: h11.Response | None = None
        self._body = bytearray()
        wanted = list(headers)
        replaced = {name.lower() for name, _ in wanted}
        request = protocol.connect()
        standard = [*request.headers.raw_items(), ("User-Agent", "trunkline")]
        try:
            self._request = h11.Request(
                method="GET",
                target=request.path,
                headers=[(name, value) for name, value in standard if name.lower() not in replaced] + wanted,
            )
            self._head = self._http.send(self._request)
        except (h11.LocalProtocolError, UnicodeError):
            raise InvalidConfig("headers", "a name or value cannot be sent over HTTP") from None

    async def run(self, stream: ByteStream) -> None:
        """Return once the protocol is open."""
        received = bytearray()
        try:
            await stream.send(self._head or b"")
            while True:
                try:
                    event = self._http.next_event()
                except h11.RemoteProtocolError as error:
                    raise self._unreadable(error) from error
                if event is h11.NEED_DATA:
                    data = await stream.receive(CHUNK)
                    received += data
                    self._http.receive_data(data)
                elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                    self.trailing_data = self._http.trailing_data[0]
                    self._open(bytes(received[: len(received) - len(self.trailing_data)]))
                    return
                elif isinstance(event, h11.InformationalResponse):
                    received = bytearray(self._http.trailing_data[0])
                elif isinstance(event, h11.Response):
                    self._refusal = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                if isinstance(event, h11.EndOfMessage) or len(self._body) >= MAX_REFUSAL:
                    raise self._rejected()
        except (anyio.EndOfStream, *STREAM_FAILED) as error:
            if self._refusal is not None:
                raise self._rejected() from error
            raise ConnectionLost(1006, "the connection ended during the handshake") from error

    def late(self, operation: str, seconds: float) -> Exception:
        """What to raise when time is up: a status that did come is worth more than the deadline."""
        return DeadlineExceeded(operation, seconds) if self._refusal is None else self._rejected()

    def _open(self, received: bytes) -> None:
        self._protocol.receive_data(received)
        error = self._protocol.handshake_exc
        if error is not None:
            raise RemoteProtocolError("websocket", f"the handshake is wrong, {error}") from error

    def _unreadable(self, error: Exception) -> Exception:
        if self._refusal is not None:
            return self._rejected()
        return RemoteProtocolError("websocket", f"the answer to the handshake is not HTTP, {error}")

    def _rejected(self) -> HandshakeRejected:
        assert self._refusal is not None  # noqa: S101 - only called once a status is known
        headers = dict(self._refusal.headers)
        return HandshakeRejected(
            self._refusal.status_code,
            body=self._body[:MAX_REFUSAL].decode(errors="replace"),
            retry_after=retry_after(headers.get(b"retry-after", b"").decode("latin-1"), clock=self._clock),
            request_id=headers.get(b"x-request-id", b"").decode("latin-1") or None,
        )


def retry_after(value: str, *, clock: Clock = SYSTEM_CLOCK) -> float | None:
    """Seconds to wait, from a `Retry-After` header (RFC 9110 section 10.2.3): a number or a date."""
    try:
        if value.strip().isdecimal():
            return float(value)
        return max(0.0, (parsedate_to_datetime(value) - clock.wall()).total_seconds())
    except (ValueError, TypeError):
        return None
