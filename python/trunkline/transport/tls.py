"""TLS: whom to trust, and a stream that speaks it.

`TlsCodec` does no I/O, so that a stream can begin a connection and a line go on with it.
"""

import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Self

import anyio
from anyio.abc import ByteStream

from trunkline.transport.tcp import CHUNK

RECORD = 16_384  # bytes of plain text in a record at most; a larger buffer would be made and cleared for each


@cache
def system_trust() -> ssl.SSLContext:
    """The system's certificates, read once: reading them takes some 30 ms."""
    return ssl.create_default_context()


class TlsCodec:
    """One end of a TLS connection, without I/O.

    Args:
        context: Certificates and versions.
        hostname: What the client calls the server, None on the server's side.
        server_side: Whether this end is the server.
    """

    def __init__(self, context: ssl.SSLContext, *, hostname: str | None = None, server_side: bool = False) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=hostname
        )
        self.has_ended = False  # the other side has said that nothing more comes

    def shake_hands(self, data: bytes = b"") -> bool:
        """Go on with the handshake; whether it is done. `take` has what is to be sent in any case.

        Raises:
            ssl.SSLError: There will be no connection.
        """
        self._incoming.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def open(self, data: bytes) -> bytes:
        """The plain text of what came, as far as it is complete. `take` may have an answer of TLS itself.

        Raises:
            ssl.SSLError: It is not what the other side wrote.
        """
        self._incoming.write(data)
        plain = b""
        try:
            while piece := self._object.read(RECORD):
                plain += piece
                if not (self._incoming.pending or self._object.pending()):
                    return plain  # cheaper than the exception that says so
        except ssl.SSLWantReadError:
            return plain
        self.has_ended = True
        return plain

    def seal(self, data: bytes) -> bytes:
        """What to send for this plain text.

        Raises:
            ssl.SSLError: The connection cannot be used any more.
        """
        sealed = self._object.write(data)
        while sealed < len(data):
            sealed += self._object.write(memoryview(data)[sealed:])
        return self._outgoing.read()

    def take(self) -> bytes:
        """What TLS itself has to say: handshakes, alerts, new keys."""
        return self._outgoing.read() if self._outgoing.pending else b""


class TlsStream(ByteStream):
    """TLS over a byte stream; made by `wrap`.

    An end without TLS's own goodbye is an end like any other: the protocols above tell by themselves whether they are complete.
    """

    def __init__(self, stream: ByteStream, codec: TlsCodec) -> None:
        self.stream = stream
        self.codec = codec
        self.unread = codec.open(
            b""
        )  # plain text that has not been received yet: some may have come with the handshake

    @classmethod
    async def wrap(
        cls, stream: ByteStream, context: ssl.SSLContext, *, hostname: str | None = None, server_side: bool = False
    ) -> Self:
        """Shake hands over `stream`, which belongs to the new stream if that succeeds.

        Raises:
            ssl.SSLError: The other side is not trusted, or does not trust this one, or does not speak TLS.
            anyio.EndOfStream: The other side hung up.
            anyio.BrokenResourceError: The connection broke.
        """
        codec = TlsCodec(context, hostname=hostname, server_side=server_side)
        data = b""
        while True:
            try:
                is_done = codec.shake_hands(data)
            finally:
                if told := codec.take():
                    await stream.send(told)
            if is_done:
                return cls(stream, codec)
            data = await stream.receive(CHUNK)

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        """What has come, at most so many bytes; raises what the stream below raises.

        Raises:
            anyio.EndOfStream: The other side has sent all it will.
            anyio.BrokenResourceError: The connection broke, or what came is not what the other side wrote.
        """
        while not self.unread:
            if self.codec.has_ended:
                raise anyio.EndOfStream
            data = await self.stream.receive(CHUNK)
            try:
                self.unread = self.codec.open(data)
            except ssl.SSLError as error:
                raise anyio.BrokenResourceError from error
        data, self.unread = self.unread[:max_bytes], self.unread[max_bytes:]
        return data

    async def send(self, item: bytes) -> None:
        """Hand all of it to the network; one task at a time. What TLS itself has to say goes with it.

        Raises what the stream below raises.
        """
        try:
            sealed = self.codec.seal(item)
        except ssl.SSLError as error:
            raise anyio.BrokenResourceError from error
        await self.stream.send(sealed)

    async def send_eof(self) -> None:
        """TLS has no half close that all sides understand.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("TLS cannot be closed in one direction")

    async def aclose(self) -> None:
        """Give the socket back at once."""
        await self.stream.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """Those of the stream below."""
        return self.stream.extra_attributes
