"""A WebSocket (RFC 6455) over a byte stream, or on a line.

`WebSocketConnection` owns a byte stream, a lock for each direction and the protocol's state; it has no task of its own. Whoever holds it
calls `receive()` in a loop, because that is also what answers pings and notices the end, and runs `keep_alive()` beside it.

`move_to` gives the socket to a poller. Then nobody has to wait for it, and a sink can take what comes, fifty times a second, without a
switch of tasks (`attach`).
"""

from contextlib import suppress

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream

from trunkline._native._rust import WebSocketCodec
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError, TransportError
from trunkline.transport.line import MAX_UNSENT, Line
from trunkline.transport.poller import Poller
from trunkline.transport.tcp import CHUNK, STREAM_FAILED, TcpStream
from trunkline.transport.tls import TlsStream
from trunkline.transport.websocket.keep_alive import KeepAlive
from trunkline.transport.websocket.state import MessageSink, WebSocketState, shortened

IN_A_ROW = 50  # messages that came together and are received before other tasks have a turn
MAX_INBOX = 256  # messages that wait for `receive()` before a line is read no more
ROOM = MAX_UNSENT // 2  # bytes that may wait on a line before `send` waits too


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
        self._subprotocol = subprotocol
        self._send_timeout = send_timeout
        self._close_timeout = close_timeout
        self._clock = clock
        self._state = WebSocketState(codec)
        self._silence = KeepAlive(ping_interval, ping_timeout, clock)
        self._line: Line | None = None
        self._changed = anyio.Event()  # on a line: something came, was sent, or ended
        self._read_lock = anyio.Lock(fast_acquire=True)
        self._write_lock = anyio.Lock(fast_acquire=True)
        self._in_a_row = 0
        self._closed = anyio.Event()
        self._state.feed(received)

    @property
    def subprotocol(self) -> str | None:
        """What both sides agreed on, if anything."""
        return self._subprotocol

    @property
    def codec(self) -> WebSocketCodec:
        """Reads and writes the frames; a link reads through it."""
        return self._state.codec

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
            await self._wait_to_send()
        else:
            self._write_lock.acquire_nowait()  # half the price, as it does not look for a cancellation
        try:
            if self._line is not None and self._line.unsent > ROOM:
                await self._wait_for_room(self._line)
            if not self._state.is_open:
                raise self._state.ending()
            codec = self._state.codec
            await self._write(codec.text(message) if isinstance(message, str) else codec.binary(message))
        finally:
            self._write_lock.release()

    async def _wait_to_send(self) -> None:
        with self._clock.move_on_after(self._send_timeout) as deadline:
            await self._write_lock.acquire()
        if deadline.cancelled_caught:
            raise DeadlineExceeded("sending a message", self._send_timeout)

    async def _flush(self) -> None:
        """Send what waits: pongs, pings, close frames. The end of the stream is for the reader to find."""
        if not self._state.outbox or self._state.is_broken:
            return
        async with self._write_lock:
            with suppress(TransportError):
                await self._write(b"")

    async def _write(self, frame: bytes) -> None:
        """Write what waits and this frame; the caller holds the lock. Whatever interrupts it may have left half a frame behind."""
        if self._state.outbox:
            frame = self._state.take_outbox() + frame
        if not frame:
            return
        if self._line is not None:
            self._line.write(frame, is_bounded=False)
            if self._state.is_broken:
                raise self._state.ending()
            return
        try:
            await self._stream.send(frame)
        except STREAM_FAILED as error:
            self._state.is_broken = True
            raise self._state.ending("the other side is gone") from error
        except DeadlineExceeded:
            await self.abort("the other side does not read")
            raise
        except BaseException:
            await self.abort("a send was broken off half-way")
            raise

    async def abort(self, reason: str = "aborted") -> None:
        """Cut the connection without a close frame, as a failing network does; whoever receives gets `ConnectionLost(1006)`."""
        self._state.is_broken = True
        self._state.end = self._state.end or ConnectionLost(1006, reason)
        if self._line is not None:
            self._line.close()
            self._wake()
        await anyio.aclose_forcefully(self._stream)

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> str | bytes:
        """The next message; cancelling it loses nothing.

        Raises:
            ConnectionLost: The connection is over; code 1006 if no close frame came.
            MessageTooLarge: A message is above the limit; the other side is told 1009.
            RemoteProtocolError: The other side broke RFC 6455, or text is not UTF-8; it is told 1002 or 1007.
            LocalProtocolError: Another task is receiving.
        """
        state = self._state
        if not self._read_lock.locked():
            self._read_lock.acquire_nowait()
        elif state.is_closing:
            await self._read_lock.acquire()
        else:
            raise LocalProtocolError("another task is already receiving from this connection")
        try:
            while True:
                if state.outbox:
                    await self._flush()
                if state.inbox:
                    self._in_a_row += 1
                    if self._in_a_row >= IN_A_ROW:
                        self._in_a_row = 0
                        await anyio.lowlevel.checkpoint()
                    return self._next()
                if state.failure is not None:
                    failure, state.failure = state.failure, None
                    raise failure
                if state.end is not None:
                    raise state.ending()
                await self._read()
        finally:
            self._read_lock.release()

    def _next(self) -> str | bytes:
        if self._line is not None and len(self._state.inbox) == MAX_INBOX // 2:
            self.resume(self._state)
        return self._state.inbox.popleft()

    async def _read(self) -> None:
        """Read once and take what came; on a line, wait for news."""
        if self._line is not None:
            await self._changed.wait()
            return
        self._silence.listen()
        try:
            data = await self._receive_bytes()
        finally:
            if self._line is None:
                self._silence.leave()
        if self._line is not None:
            return  # moved meanwhile, and the line reads
        self._silence.heard()
        if data:
            self._state.feed(data)
        else:
            self._state.lose(None)

    async def _receive_bytes(self) -> bytes:
        try:
            return await self._stream.receive(CHUNK)
        except (anyio.EndOfStream, DeadlineExceeded, *STREAM_FAILED):
            return b""

    async def keep_alive(self) -> None:
        """Ask the other side whether it is there when it says nothing; ends with the connection. Run it in a task, once."""
        await self._silence.run(lambda: self._state.is_open, self._ping, lambda: self.abort("no answer to ping"))

    async def _ping(self) -> None:
        self._state.ping()
        await self._flush()

    # ── on a line ────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def line(self) -> Line | None:
        """What it was moved to. A sink may write whole frames to it, which go behind all that was sent before."""
        return self._line

    @property
    def can_move(self) -> bool:
        """Whether there is a socket below that a poller can serve."""
        below = self._stream.stream if isinstance(self._stream, TlsStream) else self._stream
        return isinstance(below, TcpStream)

    async def move_to(self, poller: Poller) -> Line:
        """Let a poller read and write from now on; all else stays as it is. Waits for a message that is being sent.

        Raises:
            ConnectionLost: The connection is over.
            DeadlineExceeded: The other side does not take what is being sent.
            LocalProtocolError: There is no socket below, the connection was moved before, or the poller does not run.
        """
        if not self.can_move or self._line is not None:
            raise LocalProtocolError("only a connection over a socket can be moved to a poller, and only once")
        await self._wait_to_send()
        try:
            if not self._state.is_open:
                raise self._state.ending()
            return self._move(poller)
        finally:
            self._write_lock.release()

    def _move(self, poller: Poller) -> Line:
        poller.check_running()
        above = self._stream if isinstance(self._stream, TlsStream) else None
        below = self._stream if above is None else above.stream
        assert isinstance(below, TcpStream)  # noqa: S101 - `can_move` has looked
        line = Line(
            below.detach(),
            poller,
            tls=None if above is None else above.codec,
            on_lost=self._lose,
            on_room=self._wake,
            send_timeout=self._send_timeout,
            clock=self._clock,
        )
        self._line = line
        self._silence.listen()
        line.attach(self._take)
        self._take(b"" if above is None else above.unread)
        return line

    def attach(self, sink: MessageSink) -> None:
        """Hand what has not been received, and all that comes from now on, to a sink, in order.

        What it leaves comes back from `receive()`, in order too. It reads through `codec`, and so takes over even in the middle of a
        message. Pings, the close frame and what breaks the protocol are handled here. What it raises loses the line, and comes back from
        `receive()`.

        Raises:
            LocalProtocolError: The connection was not moved to a poller, or has a sink.
        """
        if self._line is None or self._state.sink is not None:
            raise LocalProtocolError("a sink needs a connection that was moved to a poller and has no other sink")
        self._state.attach(sink)
        self.resume(self._state)

    def detach(self) -> None:
        """Receive by `receive()` again, from behind the last message that the sink took; any number of times."""
        self._state.sink = None

    def pause(self, why: object) -> None:
        """On a line: read nothing until all who paused have resumed; `why` tells them apart."""
        if self._line is not None:
            self._line.pause(why)
            self._silence.leave()

    def resume(self, why: object) -> None:
        """On a line: read on, if nobody else has paused."""
        if self._line is not None:
            self._line.resume(why)
            if not self._line.is_paused:
                self._silence.listen()

    def _take(self, data: bytes) -> None:
        """Take what the line has read."""
        state = self._state
        self._silence.heard()
        state.feed(data)
        if state.outbox and self._line is not None:
            self._line.write(state.take_outbox())
        if state.has_news:
            if len(state.inbox) >= MAX_INBOX and not state.is_closing:
                self.pause(state)
            self._wake()

    def _lose(self) -> None:
        assert self._line is not None  # noqa: S101 - it calls
        self._state.lose(self._line.error)
        self._wake()

    def _wake(self) -> None:
        """Let those who wait for the line look again."""
        self._changed.set()
        self._changed = anyio.Event()

    async def _wait_for_room(self, line: Line) -> None:
        with self._clock.move_on_after(self._send_timeout) as deadline:
            while line.unsent > ROOM and self._state.is_open:
                await self._changed.wait()
        if deadline.cancelled_caught:
            raise DeadlineExceeded("sending a message", self._send_timeout)

    # ── closing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, wait at most `close_timeout` seconds for the answer, and give the socket back.

        Safe from any task, any number of times, and under cancellation. A task that is in `receive()` gets `ConnectionLost`.

        Raises:
            LocalProtocolError: No close frame may carry this code.
        """
        if not (1000 <= code < 5000) or code in {1004, 1005, 1006, 1015}:
            raise LocalProtocolError(f"a close frame cannot carry the code {code}")
        state = self._state
        if state.is_closing:
            with self._clock.move_on_after(self._close_timeout):
                await self._closed.wait()
            return
        state.is_closing = True
        state.sink = None
        state.inbox.clear()
        try:
            with self._clock.move_on_after(self._close_timeout, shield=True):
                await self._shake_hands(code, reason)
        finally:
            state.end = state.end or ConnectionLost(1006, "the other side did not answer the close frame")
            if self._line is not None:
                self._line.close(b"" if state.close_sent else state.codec.close(code, shortened(reason)))
                self._wake()
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self._stream)
            self._closed.set()

    async def _shake_hands(self, code: int, reason: str) -> None:
        state = self._state
        try:
            async with self._write_lock:
                if state.end is None:
                    state.close(code, reason)
                await self._write(b"")
                if state.codec.has_ended and not state.codec.is_client and self._line is None:
                    await self._stream.send_eof()
        except (TransportError, NotImplementedError, *STREAM_FAILED):
            pass  # gone, or TLS, which cannot be half closed: what is left to read still tells how it ended
        if self._line is not None:
            self._line.resume_all()
            while not state.is_over or (self._line.unsent and not state.is_broken):
                await self._changed.wait()
            return
        async with self._read_lock:
            while not state.is_over:
                await self._read()
