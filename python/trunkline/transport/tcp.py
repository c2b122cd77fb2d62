"""A TCP connection as a byte stream that gives way to other tasks only where it has to wait.

The streams of the event loop's own library give way with every send, which then waits for all the other calls that are ready, and need a
cancel scope for every deadline. Fifty frames a second each way of every call make that the dearest part of a gateway. Here a send that the
network takes at once costs one system call; the deadline is set up only when it does not.
"""

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import DeadlineExceeded

CHUNK = 65_536


class TcpStream(ByteStream):
    """One connection; made by `connect_tcp` and `TcpListener.accept`.

    `receive` always waits until there is something, so that a peer that never stops does not keep other tasks from running.

    Args:
        connected: The socket, which belongs to the stream from now on.
        send_timeout: Seconds that the network may take to accept what is sent; None for as long as it likes.
        clock: Where time comes from.
    """

    def __init__(
        self, connected: socket.socket, *, send_timeout: float | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        connected.setblocking(False)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._send_timeout = send_timeout
        self._clock = clock

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        """What has come, at most so many bytes.

        Raises:
            anyio.EndOfStream: The other side has sent all it will.
            anyio.BrokenResourceError: The connection broke.
            anyio.ClosedResourceError: It was closed on this side.
        """
        while True:
            self._check_open()
            await anyio.wait_readable(self._socket)
            try:
                data = self._socket.recv(max_bytes)
            except (BlockingIOError, InterruptedError):
                continue  # what was told of has gone, as with a checksum that did not fit
            except OSError as error:
                self._check_open()
                raise anyio.BrokenResourceError from error
            if not data:
                raise anyio.EndOfStream
            return data

    async def send(self, item: bytes) -> None:
        """Hand all of it to the network; one task at a time.

        Raises:
            DeadlineExceeded: The network did not take all of it in time; some of it may be on its way.
            anyio.BrokenResourceError: The connection broke.
            anyio.ClosedResourceError: It was closed on this side.
        """
        self._check_open()
        sent = self._send_now(item)
        if sent == len(item):
            return
        rest = memoryview(item)[sent:]
        if self._send_timeout is None:
            await self._send_rest(rest)
            return
        with self._clock.move_on_after(self._send_timeout) as deadline:
            await self._send_rest(rest)
        if deadline.cancelled_caught:
            raise DeadlineExceeded("sending", self._send_timeout)

    async def _send_rest(self, rest: memoryview) -> None:
        while rest:
            await anyio.wait_writable(self._socket)
            rest = rest[self._send_now(rest) :]

    def _send_now(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._check_open()
            raise anyio.BrokenResourceError from error

    def _check_open(self) -> None:
        if self._socket.fileno() < 0:
            raise anyio.ClosedResourceError

    async def send_eof(self) -> None:
        """Send no more; what the other side says still comes.

        Raises:
            anyio.ClosedResourceError: The stream was closed on this side.
        """
        self._check_open()
        with suppress(OSError):  # the connection is gone, as receiving will tell
            self._socket.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Give the socket back, at once; a task that waits for it gets `anyio.ClosedResourceError`."""
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            self._socket.close()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The other side's address."""
        return {SocketAttribute.remote_address: self._socket.getpeername}


class TcpListener:
    """Accepts connections at one address; you must close it.

    Args:
        listening: The socket, which belongs to the listener from now on.
        send_timeout: For the streams.
        clock: For the streams.
    """

    def __init__(
        self, listening: socket.socket, *, send_timeout: float | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        listening.setblocking(False)
        self._socket = listening
        self._send_timeout = send_timeout
        self._clock = clock

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._socket.getsockname()[1]
        return port

    async def accept(self) -> TcpStream:
        """The next connection.

        Raises:
            OSError: None can be accepted now, for instance for want of file descriptors.
        """
        while True:
            await anyio.wait_readable(self._socket)
            try:
                connected, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue  # somebody else took it, or it has gone
            return TcpStream(connected, send_timeout=self._send_timeout, clock=self._clock)

    def close(self) -> None:
        """Stop listening; any number of times."""
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
            self._socket.close()


async def connect_tcp(
    host: str, port: int, *, send_timeout: float | None = None, clock: Clock = SYSTEM_CLOCK
) -> TcpStream:
    """Connect, to whichever of the host's addresses answers first (RFC 8305).

    Raises:
        OSError: The host cannot be found or reached.
    """
    stream = await anyio.connect_tcp(host, port)
    try:
        return TcpStream(_same_socket(stream), send_timeout=send_timeout, clock=clock)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)


async def listen_tcp(
    host: str, port: int, *, send_timeout: float | None = None, clock: Clock = SYSTEM_CLOCK
) -> list[TcpListener]:
    """Listen at all addresses of a host, "" for all of this machine's, with one port for all of them.

    Raises:
        OSError: The host is not known, or the port is taken.
    """
    group = await anyio.create_tcp_listener(local_host=host or None, local_port=port)
    try:
        return [
            TcpListener(_same_socket(listener), send_timeout=send_timeout, clock=clock) for listener in group.listeners
        ]
    finally:
        with anyio.CancelScope(shield=True):
            await group.aclose()


def _same_socket(owner: anyio.TypedAttributeProvider) -> socket.socket:
    """Another handle of the socket that the event loop's library has connected, so that the library can let go of it."""
    return socket.socket(fileno=socket.dup(owner.extra(SocketAttribute.raw_socket).fileno()))  # noqa: S610 - not Django
