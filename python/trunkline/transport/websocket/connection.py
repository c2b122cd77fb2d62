"""A stream of messages, and the WebSocket (RFC 6455) that carries it over a byte stream.

`WebSocketConnection` owns a byte stream, a lock for each direction and the protocol's state machine; it has no task of its own. Whoever
holds it calls `receive()` in a loop, because that is also what answers pings and notices the end, and runs `keep_alive()` beside it.
"""

import math
from collections import deque
from contextlib import suppress
from typing import Protocol

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream
from websockets.exceptions import PayloadTooBig
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import OPEN
from websockets.protocol import Protocol as WebSocketProtocol

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidConfig,
    LocalProtocolError,
    MessageTooLarge,
    RemoteProtocolError,
    TransportError,
)
from trunkline.transport.tcp import CHUNK, STREAM_FAILED

IN_A_ROW = 50  # messages that came together and are received before other tasks have a turn
LOOK_AGAIN = 0.001  # seconds, so that rounding does not make `keep_alive` turn on the spot
TURNS = 5
MAX_REASON = 123  # bytes of text that fit into a close frame, RFC 6455 section 5.5


class MessageStream(Protocol):
    """Whole messages, each way, until one side closes."""

    async def send(self, message: str | bytes) -> None:
        """Send one message: text as `str`, binary as `bytes`.

        Raises:
            ConnectionLost: The stream is over.
            DeadlineExceeded: The other side did not take the message in time; the stream is over.
        """
        ...

    async def receive(self) -> str | bytes:
        """The next message; one task at a time.

        Raises:
            ConnectionLost: The stream is over; with the close code and reason.
            MessageTooLarge: A message is above the limit; the stream is over.
            RemoteProtocolError: The other side broke the protocol; the stream is over.
        """
        ...

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """End the stream; from any task, any number of times, in bounded time."""
        ...


class WebSocketConnection:
    """One end of an open WebSocket, client or server.

    You must call `aclose()`, which alone gives the socket back, and keep calling `receive()`, which answers pings. While `receive()` waits
    and `keep_alive()` runs, `ping_interval` seconds of silence send a ping and `ping_timeout` more of them end the connection.

    Args:
        stream: The byte stream, past the HTTP handshake; how long a send may take is its affair (`TcpStream`).
        protocol: The state machine, open; it may hold bytes that came right after the handshake.
        max_size: Bytes that the state machine lets a message have; told in `MessageTooLarge`.
        ping_interval: Seconds of silence before a ping; None for no pings.
        ping_timeout: Seconds to wait for anything after a ping; None to wait for ever.
        send_timeout: Seconds that a message may wait for those before it.
        close_timeout: Seconds that `aclose()` waits for the other side.
        clock: Where time comes from.
    """

    def __init__(
        self,
        stream: ByteStream,
        protocol: WebSocketProtocol,
        *,
        max_size: int,
        ping_interval: float | None = 20.0,
        ping_timeout: float | None = 20.0,
        send_timeout: float = 10.0,
        close_timeout: float = 2.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._stream = stream
        self._protocol = protocol
        self._max_size = max_size
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._send_timeout = send_timeout
        self._close_timeout = close_timeout
        self._clock = clock
        self._read_lock = anyio.Lock(fast_acquire=True)
        self._write_lock = anyio.Lock(fast_acquire=True)
        self._inbox: deque[str | bytes] = deque()
        self._fragments = bytearray()
        self._is_text = False
        self._outbox = bytearray()
        self._half_close = False
        self._heard_at = self._left_at = clock.now()
        self._reading = False
        self._answer_by: float | None = None
        self._in_a_row = 0
        self._broken = False
        self._failure: MessageTooLarge | RemoteProtocolError | None = None
        self._end: ConnectionLost | None = None
        self._closing = False
        self._closed = anyio.Event()
        self._digest()

    @property
    def subprotocol(self) -> str | None:
        """What both sides agreed on, if anything."""
        return self._protocol.subprotocol

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(self, message: str | bytes) -> None:
        """Send one message; safe from several tasks at once.

        It gives way to other tasks only where it has to wait. A send that is cancelled, or meets its deadline, while bytes are on their
        way breaks the connection: half a frame cannot be undone.

        Raises:
            ConnectionLost: The connection is over.
            DeadlineExceeded: The other side does not read.
        """
        if self._write_lock.locked():
            with self._clock.move_on_after(self._send_timeout) as deadline:
                await self._write_lock.acquire()
            if deadline.cancelled_caught:
                raise DeadlineExceeded("sending a message", self._send_timeout)
        else:
            self._write_lock.acquire_nowait()  # half the price, as it does not look for a cancellation
        try:
            if self._closing or self._broken or self._protocol.state is not OPEN:
                raise self._ending()
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
            await self._write()
        finally:
            self._write_lock.release()

    async def _flush(self) -> None:
        """Send what the state machine wants said: pongs, pings, close frames. The end of the stream is for the reader to find."""
        self._collect()
        if not self._outbox or self._broken:
            return
        async with self._write_lock:
            with suppress(TransportError):
                await self._write()

    def _collect(self) -> None:
        for data in self._protocol.data_to_send():
            self._outbox += data
            self._half_close = self._half_close or not data

    async def _write(self) -> None:
        """Write all that is waiting; the caller holds the lock. Whatever interrupts it may have left half a frame behind."""
        self._collect()
        data = bytes(self._outbox)
        self._outbox.clear()
        if not data:
            return
        try:
            await self._stream.send(data)
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
                self._collect()
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
        """Read once and let the state machine digest it."""
        self._heard_at += self._clock.now() - self._left_at  # nobody listened, so that was no silence
        self._reading = True
        try:
            data = await self._receive_bytes()
        finally:
            self._reading = False
            self._left_at = self._clock.now()
        self._heard_at = self._left_at
        self._answer_by = None
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        self._digest()

    async def _receive_bytes(self) -> bytes:
        try:
            return await self._stream.receive(CHUNK)
        except (anyio.EndOfStream, DeadlineExceeded, *STREAM_FAILED):
            return b""

    async def keep_alive(self) -> None:
        """Ask the other side whether it is there when it says nothing; ends with the connection. Run it in a task, once.

        It stands beside `receive()` because a deadline for every read, fifty times a second, costs more than reading.
        """
        interval = self._ping_interval
        if interval is None:
            return
        timeout = math.inf if self._ping_timeout is None else self._ping_timeout
        while self._end is None and not self._closing and self._protocol.state is OPEN:
            left = (interval if self._answer_by is None else self._answer_by) - self._silence()
            if left > 0:
                wait = max(LOOK_AGAIN, left if self._reading else min(interval, timeout))
                await self._clock.sleep_until(self._clock.now() + min(wait, interval))
            elif self._answer_by is None:
                self._protocol.send_ping(b"")
                await self._flush()
                self._answer_by = self._silence() + timeout
            else:
                for _ in range(TURNS):  # after a stall of the program the answer may be there unread
                    await anyio.lowlevel.checkpoint()
                if self._answer_by is not None:
                    await self.abort("no answer to ping")

    def _silence(self) -> float:
        """Seconds since anything came, leaving out those in which nobody listened."""
        return (self._clock.now() if self._reading else self._left_at) - self._heard_at

    def _digest(self) -> None:
        """Take over what the state machine made of the bytes: messages, a failure, the end."""
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and self._failure is None and not self._closing:
                self._take(event)
        error = self._protocol.parser_exc
        close = self._protocol.close_rcvd
        if self._end is not None:
            return
        if isinstance(error, PayloadTooBig):
            self._fail(MessageTooLarge(self._max_size))
        elif error is not None and not isinstance(error, EOFError):
            self._fail(RemoteProtocolError("websocket", str(error)))
        elif close is not None:
            self._end = ConnectionLost(close.code, close.reason)
        elif error is not None or self._protocol.reader.eof:
            self._end = ConnectionLost(1006, "the connection ended without a close frame")

    def _take(self, frame: Frame) -> None:
        """Join fragments; the state machine has checked their order and size."""
        if frame.opcode is Opcode.CONT:
            self._fragments += frame.data
        elif frame.opcode is Opcode.TEXT or frame.opcode is Opcode.BINARY:
            self._is_text = frame.opcode is Opcode.TEXT
            if not frame.fin:
                self._fragments = bytearray(frame.data)
        else:
            return
        if not frame.fin:
            return
        whole: bytes | bytearray | memoryview = frame.data
        if frame.opcode is Opcode.CONT:
            whole, self._fragments = self._fragments, bytearray()
        if not self._is_text:
            self._inbox.append(bytes(whole))
            return
        try:
            self._inbox.append(str(whole, "utf-8"))
        except UnicodeDecodeError as error:
            self._fail(
                RemoteProtocolError("websocket", f"text that is not UTF-8: {error.reason} at byte {error.start}")
            )
            self._protocol.fail(1007, "text that is not UTF-8")

    def _fail(self, failure: MessageTooLarge | RemoteProtocolError) -> None:
        """Let the receiver raise `failure` once, and everybody after it the code that the other side was told."""
        if self._closing or self._failure is not None:
            return
        self._failure = failure
        sent = self._protocol.close_sent
        self._end = ConnectionLost(sent.code if sent else 1007, str(failure))

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
                await self._shake_hands(Close(code, shortened(reason)))
        finally:
            self._end = self._end or ConnectionLost(1006, "the other side did not answer the close frame")
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self._stream)
            self._closed.set()

    async def _shake_hands(self, close: Close) -> None:
        try:
            async with self._write_lock:
                if self._protocol.state is OPEN:
                    self._protocol.send_close(close.code, close.reason)
                await self._write()
                if self._half_close:
                    await self._stream.send_eof()
        except (TransportError, NotImplementedError, *STREAM_FAILED):
            pass  # gone, or TLS, which cannot be half closed: what is left to read still tells how it ended
        async with self._read_lock:
            while not self._broken and self._protocol.close_rcvd is None and not self._protocol.reader.eof:
                await self._read()


def shortened(reason: str) -> str:
    """As much of `reason` as fits into a close frame."""
    return reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")


def check_pings(interval: float | None, timeout: float | None) -> None:
    """Refuse times between pings that are none.

    Raises:
        InvalidConfig: One of them is not above 0.
    """
    for name, seconds in (("ping_interval", interval), ("ping_timeout", timeout)):
        if seconds is not None and not seconds > 0:
            raise InvalidConfig(name, "must be above 0, or None")
