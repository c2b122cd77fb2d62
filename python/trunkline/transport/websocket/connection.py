"""A WebSocket (RFC 6455) over a byte stream.

`WebSocketConnection` owns a byte stream, a lock for each direction and the codec; it has no task of its own. Whoever holds it calls
`receive()` in a loop, because that is also what answers pings and notices the end, and runs `keep_alive()` beside it.
"""

from collections import deque
from collections.abc import Iterable
from contextlib import suppress

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from trunkline._native._rust import Close, Failed, Ping, Pong, WebSocketCodec
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    MessageTooLarge,
    RemoteProtocolError,
    TransportError,
)
from trunkline.transport.tcp import CHUNK, STREAM_FAILED
from trunkline.transport.websocket.keep_alive import KeepAlive

IN_A_ROW = 50  # messages that came together and are received before other tasks have a turn
MAX_REASON = 123  # bytes of text that fit into a close frame, RFC 6455 section 5.5


class WebSocketConnection:
    """One end of an open WebSocket, client or server.

    You must call `aclose()`, which alone gives the socket back, and keep calling `receive()`, which answers pings. While `receive()` waits
    and `keep_alive()` runs, `ping_interval` seconds of silence send a ping and `ping_timeout` more of them end the connection.

    Args:
        stream: The byte stream, past the HTTP handshake; how long a send may take is its affair (`TcpStream`).
        codec: Reads and writes the frames, and limits the size of a message.
        received: Bytes that came right after the handshake.
        subprotocol: What both sides agreed on, if anything.
        ping_interval: Seconds of silence before a ping; None for no pings.
        ping_timeout: Seconds to wait for anything after a ping; None to wait for ever.
        send_timeout: Seconds that a message may wait for those before it.
        close_timeout: Seconds that `aclose()` waits for the other side.
        clock: Where time comes from.
    """

    def __init__(
        self,
        stream: ByteStream,
        codec: WebSocketCodec,
        *,
        received: bytes = b"",
        subprotocol: str | None = None,
        ping_interval: float | None = 20.0,
        ping_timeout: float | None = 20.0,
        send_timeout: float = 10.0,
        close_timeout: float = 2.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._stream = stream
        self._codec = codec
        self._subprotocol = subprotocol
        self._send_timeout = send_timeout
        self._close_timeout = close_timeout
        self._clock = clock
        self._silence = KeepAlive(ping_interval, ping_timeout, clock)
        self._read_lock = anyio.Lock(fast_acquire=True)
        self._write_lock = anyio.Lock(fast_acquire=True)
        self._inbox: deque[str | bytes] = deque()
        self._outbox = bytearray()
        self._in_a_row = 0
        self._broken = False
        self._at_eof = False
        self._close_sent = False
        self._close_received = False
        self._failure: MessageTooLarge | RemoteProtocolError | None = None
        self._end: ConnectionLost | None = None
        self._closing = False
        self._closed = anyio.Event()
        self._take(codec.feed(received))

    @property
    def subprotocol(self) -> str | None:
        """What both sides agreed on, if anything."""
        return self._subprotocol

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: str | bytes) -> None:
        """Send one message; safe from several tasks at once.

        It gives way to other tasks only where it has to wait. A send that is cancelled, or meets its deadline, while bytes are on their
        way breaks the connection: half a frame cannot be undone.

        Raises:
            ConnectionLost: The connection is over.
            DeadlineExceeded: The other side does not read.
            LocalProtocolError: The text has half a surrogate pair.
        """
        if self._write_lock.locked():
            with self._clock.move_on_after(self._send_timeout) as deadline:
                await self._write_lock.acquire()
            if deadline.cancelled_caught:
                raise DeadlineExceeded("sending a message", self._send_timeout)
        else:
            self._write_lock.acquire_nowait()  # half the price, as it does not look for a cancellation
        try:
            if self._closing or not self._is_open():
                raise self._ending()
            await self._write(self._codec.text(message) if isinstance(message, str) else self._codec.binary(message))
        finally:
            self._write_lock.release()

    def _is_open(self) -> bool:
        return self._end is None and not self._close_sent and not self._broken

    async def _flush(self) -> None:
        """Send what waits: pongs, pings, close frames. The end of the stream is for the reader to find."""
        if not self._outbox or self._broken:
            return
        async with self._write_lock:
            with suppress(TransportError):
                await self._write(b"")

    async def _write(self, frame: bytes) -> None:
        """Write what waits and this frame; the caller holds the lock. Whatever interrupts it may have left half a frame behind."""
        if self._outbox:
            frame = bytes(self._outbox) + frame
            self._outbox.clear()
        if not frame:
            return
        try:
            await self._stream.send(frame)
        except STREAM_FAILED as error:
            self._broken = True
            raise self._ending("the other side is gone") from error
        except DeadlineExceeded:
            await self.abort("the other side does not read")
            raise
        except BaseException:
            await self.abort("a send was broken off half-way")
            raise

    async def abort(self, reason: str = "aborted") -> None:
        """Cut the connection without a close frame, as a failing network does; whoever receives gets `ConnectionLost(1006)`."""
        self._broken = True
        self._end = self._end or ConnectionLost(1006, reason)
        await anyio.aclose_forcefully(self._stream)

    def _ending(self, otherwise: str = "the connection is closed") -> ConnectionLost:
        end = self._end or ConnectionLost(1006, otherwise)
        return ConnectionLost(end.code, end.reason)

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> str | bytes:
        """The next message; cancelling it loses nothing.

        Raises:
            ConnectionLost: The connection is over; code 1006 if no close frame came.
            MessageTooLarge: A message is above the limit; the other side is told 1009.
            RemoteProtocolError: The other side broke RFC 6455, or text is not UTF-8; it is told 1002 or 1007.
            LocalProtocolError: Another task is receiving.
        """
        if not self._read_lock.locked():
            self._read_lock.acquire_nowait()
        elif self._closing:
            await self._read_lock.acquire()
        else:
            raise LocalProtocolError("another task is already receiving from this connection")
        try:
            while True:
                if self._outbox:
                    await self._flush()
                if self._inbox:
                    self._in_a_row += 1
                    if self._in_a_row >= IN_A_ROW:
                        self._in_a_row = 0
                        await anyio.lowlevel.checkpoint()
                    return self._inbox.popleft()
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
                if self._end is not None:
                    raise self._ending()
                await self._read()
        finally:
            self._read_lock.release()

    async def _read(self) -> None:
        """Read once and take what came."""
        self._silence.listen()
        try:
            data = await self._receive_bytes()
        finally:
            self._silence.leave()
        self._silence.heard()
        if not data:
            self._at_eof = True
            self._end = self._end or ConnectionLost(1006, "the connection ended without a close frame")
        elif not self._codec.has_ended:
            self._take(self._codec.feed(data))

    async def _receive_bytes(self) -> bytes:
        try:
            return await self._stream.receive(CHUNK)
        except (anyio.EndOfStream, DeadlineExceeded, *STREAM_FAILED):
            return b""

    def _take(self, messages: Iterable[str | bytes | Ping | Pong | Close | Failed]) -> None:
        for message in messages:
            if isinstance(message, str | bytes):
                if not self._closing:
                    self._inbox.append(message)
            elif isinstance(message, Ping):
                if not self._close_sent:
                    self._outbox += self._codec.pong(message.payload)
            elif isinstance(message, Close):
                self._close_received = True
                self._answer(message.code, message.reason)
                self._end = self._end or ConnectionLost(message.code, message.reason)
            elif isinstance(message, Failed):
                self._answer(message.code, message.reason)
                if not self._closing:
                    self._failure = message.error
                    self._end = self._end or ConnectionLost(message.code, str(message.error))

    def _answer(self, code: int, reason: str) -> None:
        """Close, unless this side has closed before."""
        if not self._close_sent:
            self._close_sent = True
            self._outbox += self._codec.close(code, shortened(reason))

    async def keep_alive(self) -> None:
        """Ask the other side whether it is there when it says nothing; ends with the connection. Run it in a task, once."""
        await self._silence.run(
            lambda: self._is_open() and not self._closing, self._ping, lambda: self.abort("no answer to ping")
        )

    async def _ping(self) -> None:
        self._outbox += self._codec.ping()
        await self._flush()

    # ── closing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, wait at most `close_timeout` seconds for the answer, and give the socket back.

        Safe from any task, any number of times, and under cancellation. A task that is in `receive()` gets `ConnectionLost`.

        Raises:
            LocalProtocolError: No close frame may carry this code.
        """
        if not (1000 <= code < 5000) or code in {1004, 1005, 1006, 1015}:
            raise LocalProtocolError(f"a close frame cannot carry the code {code}")
        if self._closing:
            with self._clock.move_on_after(self._close_timeout):
                await self._closed.wait()
            return
        self._closing = True
        self._inbox.clear()
        try:
            with self._clock.move_on_after(self._close_timeout, shield=True):
                await self._shake_hands(code, reason)
        finally:
            self._end = self._end or ConnectionLost(1006, "the other side did not answer the close frame")
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self._stream)
            self._closed.set()

    async def _shake_hands(self, code: int, reason: str) -> None:
        try:
            async with self._write_lock:
                if self._end is None:
                    self._answer(code, reason)
                await self._write(b"")
                if self._codec.has_ended and not self._codec.is_client:
                    await self._stream.send_eof()
        except (TransportError, NotImplementedError, *STREAM_FAILED):
            pass  # gone, or TLS, which cannot be half closed: what is left to read still tells how it ended
        async with self._read_lock:
            while not (self._broken or self._close_received or self._at_eof):
                await self._read()


def shortened(reason: str) -> str:
    """As much of `reason` as fits into a close frame."""
    return reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")
