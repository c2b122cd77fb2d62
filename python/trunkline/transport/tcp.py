"""A TCP connection as a byte stream that gives way to other tasks only where it has to wait.

The streams of the event loop's own library give way with every send, which then waits for all the other calls that are ready, and need a
cancel scope for every deadline. Fifty frames a second each way of every call make that the dearest part of a gateway. Here a send that the
network takes at once costs one system call; the deadline is set up only when it does not.
"""

import errno
import math
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import zip_longest
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import DeadlineExceeded

CHUNK = 65_536
STREAM_FAILED = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError, ssl.SSLError)
"""What a byte stream raises when its connection is gone, whichever stream it is."""
HESITATION = 0.25  # seconds until the next address is tried as well
UNDER_WAY = {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EINPROGRESS)}


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
        with suppress(OSError):  # as some systems say of a connection that is gone already
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected
        self._is_sending = False
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
            anyio.BusyResourceError: Another task is sending.
            anyio.BrokenResourceError: The connection broke.
            anyio.ClosedResourceError: It was closed on this side.
        """
        self._check_open()
        if self._is_sending:
            raise anyio.BusyResourceError("sending to")
        sent = self._send_now(item)
        if sent == len(item):
            return
        self._is_sending = True
        try:
            with self._clock.move_on_after(math.inf if self._send_timeout is None else self._send_timeout) as deadline:
                await self._send_rest(memoryview(item)[sent:])
        finally:
            self._is_sending = False
        if deadline.cancelled_caught:
            raise DeadlineExceeded("sending", self._send_timeout or 0.0)

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

    def detach(self) -> socket.socket:
        """Hand the socket over, for good: a task that waits for this stream gets `anyio.ClosedResourceError`.

        Raises:
            anyio.ClosedResourceError: The stream was closed.
            anyio.BusyResourceError: A task is sending, and half of what it sends may be on its way.
        """
        self._check_open()
        if self._is_sending:
            raise anyio.BusyResourceError("sending to")
        anyio.notify_closing(self._socket)
        kind = self._socket.family, self._socket.type, self._socket.proto
        return socket.socket(*kind, fileno=self._socket.detach())

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The other side's address, host and port."""
        return {SocketAttribute.remote_address: lambda: self._socket.getpeername()[:2]}


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
            anyio.ClosedResourceError: The listener was closed.
        """
        while True:
            if self._socket.fileno() < 0:
                raise anyio.ClosedResourceError
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
    """Connect to whichever of the host's addresses answers first (RFC 8305): each next one is tried when the last failed or hesitates.

    Raises:
        OSError: The host cannot be found or reached; of several addresses, why the first one failed.
    """
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = _in_turns(list(dict.fromkeys((family, address) for family, _, _, _, address in found)))
    connected: list[socket.socket] = []
    errors: list[OSError] = []

    async def attempt(family: int, address: Any, over: anyio.Event) -> None:
        try:
            connected.append(await _connected(family, address))
            tasks.cancel_scope.cancel()
        except OSError as error:
            errors.append(error)
        finally:
            over.set()

    try:
        async with anyio.create_task_group() as tasks:
            for family, address in addresses:
                over = anyio.Event()
                tasks.start_soon(attempt, family, address, over)
                with anyio.move_on_after(HESITATION):
                    await over.wait()
        if not connected:
            raise errors[0] if errors else OSError(f"{host} has no address")
        return TcpStream(connected.pop(), send_timeout=send_timeout, clock=clock)
    finally:
        for late in connected:
            late.close()


def _in_turns(addresses: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """The addresses in their order, but so that families take turns."""
    first = [pair for pair in addresses if pair[0] == addresses[0][0]]
    others = [pair for pair in addresses if pair[0] != addresses[0][0]]
    return [pair for pairs in zip_longest(first, others) for pair in pairs if pair is not None]


async def _connected(family: int, address: Any) -> socket.socket:
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        status = connecting.connect_ex(address)
        if status in UNDER_WAY:
            await anyio.wait_writable(connecting)
            status = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            raise OSError(status, os.strerror(status))  # noqa: TRY301 - the socket is closed below
    except BaseException:
        connecting.close()
        raise
    return connecting


async def listen_tcp(
    host: str, port: int, *, send_timeout: float | None = None, clock: Clock = SYSTEM_CLOCK
) -> list[TcpListener]:
    """Listen at all addresses of a host, "" for all of this machine's, with one port for all of them.

    Raises:
        OSError: The host is not known, or the port is taken.
    """
    group = await anyio.create_tcp_listener(local_host=host or None, local_port=port)
    listeners: list[TcpListener] = []
    try:
        for made in group.listeners:
            # Another handle of the socket, so that the event loop's library can let go of it.
            raw = socket.dup(made.extra(SocketAttribute.raw_socket).fileno())  # noqa: S610 - not Django
            listeners.append(TcpListener(socket.socket(fileno=raw), send_timeout=send_timeout, clock=clock))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    finally:
        with anyio.CancelScope(shield=True):
            await group.aclose()
    return listeners
