"""A connected socket on a poller: bytes in by a callback, bytes out without waiting, TLS where wanted."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ConnectionLost, DeadlineExceeded
from trunkline.transport.poller import Poller
from trunkline.transport.timers import Timer
from trunkline.transport.tls import TlsCodec

READ = 32_768  # bytes a turn, so that one who sends much does not keep the others waiting
MAX_UNSENT = 262_144  # bytes, some 4 s of a provider's audio
MANY = 16  # timers; as soon as there are more, those that are over are taken out


def _ignore(_: bytes) -> None: ...


def _nothing() -> None: ...


class Line:
    """Reads and writes for whoever is attached to it, until it is lost or closed; you must close it.

    A line is lost when the other side ends or resets the connection, when it does not take what is written to it, and when a callback
    raises. It leaves the poller at once, nothing is called back any more, and `error` says why.

    Args:
        connected: The socket, which belongs to the line from now on.
        poller: Serves it.
        on_lost: Called once, when the line is lost.
        on_room: Called when some of what waited was sent.
        tls: The TLS that the connection speaks.
        max_unsent: Bytes that may wait for the network; a write that finds more of them loses the line.
        send_timeout: Seconds that the network may take none of what waits.
        clock: Where time comes from.
    """

    def __init__(
        self,
        connected: socket.socket,
        poller: Poller,
        *,
        on_lost: Callable[[], None] = _nothing,
        on_room: Callable[[], None] = _nothing,
        tls: TlsCodec | None = None,
        max_unsent: int = MAX_UNSENT,
        send_timeout: float = 10.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._poller = poller
        self._sink: Callable[[bytes], None] = _ignore
        self._on_lost = on_lost
        self._on_room = on_room
        self._tls = tls
        self._unsent = bytearray()
        self._max_unsent = self._limit = max_unsent
        self._send_timeout = send_timeout
        self._moved_at = 0.0  # when the network last took some of what waits
        self._watch: Timer | None = None
        self._clock = clock
        self._pauses: set[object] = set()
        self._timers: set[Timer] = set()
        self._many = MANY
        self.number = connected.fileno()
        self.wants_read = False
        self.wants_write = False
        self.is_lost = False
        self.error: Exception | None = None
        """Why the line was lost; None also where the other side just ended."""

    @property
    def unsent(self) -> int:
        """Bytes that wait for the network."""
        return len(self._unsent)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def attach(self, sink: Callable[[bytes], None]) -> None:
        """Give this sink all that comes from now on, instead of the one before; what it raises loses the line.

        Raises:
            LocalProtocolError: The poller does not run.
        """
        is_first, self._sink = self._sink is _ignore, sink
        if is_first and not self.is_lost:
            self.wants_read = not self._pauses
            self._poller.add(self)

    def pause(self, why: object) -> None:
        """Read nothing until everybody who paused has resumed; `why` tells them apart."""
        self._pauses.add(why)
        self._look()

    def resume(self, why: object) -> None:
        """Read on, if nobody else has paused."""
        self._pauses.discard(why)
        self._look()

    def resume_all(self) -> None:
        """Read on, whoever has paused: what is left to read is only how the connection ends."""
        self._pauses.clear()
        self._look()

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read."""
        return bool(self._pauses)

    def _look(self) -> None:
        wants_read = not (self._pauses or self.is_lost or self._sink is _ignore)
        if wants_read is not self.wants_read:
            self.wants_read = wants_read
            self._poller.update(self)

    def readable(self) -> None:
        """Read once; called by the poller."""
        try:
            data = self._socket.recv(READ)
        except (BlockingIOError, InterruptedError):
            return  # what was told of has gone
        except OSError as error:
            self._lose(_gone(error))
            return
        if not data:
            self._lose(None)
        elif self._tls is None:
            self._sink(data)
        else:
            self._open(self._tls, data)

    def _open(self, tls: TlsCodec, data: bytes) -> None:
        try:
            plain = tls.open(data)
        except ssl.SSLError as error:
            self._lose(_gone(error))
            return
        if told := tls.take():
            self._send(told)
        if plain:
            self._sink(plain)
        if tls.has_ended:
            self._lose(None)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, data: bytes, *, is_bounded: bool = True) -> None:
        """Send this, now or as soon as the network takes it. Never waits and never raises; what is written to a lost line goes nowhere.

        Args:
            data: Bytes, whole messages of the protocol above.
            is_bounded: Whether what waits counts against `max_unsent`; a writer who waits for `on_room` by himself may say no.
        """
        if self.is_lost:
            return
        if len(self._unsent) > self._limit:
            self._lose(ConnectionLost(1006, f"the other side does not read: {len(self._unsent)} bytes wait"))
            return
        if self._tls is not None:
            try:
                data = self._tls.seal(data)
            except ssl.SSLError as error:
                self._lose(_gone(error))
                return
        self._send(data)
        if not is_bounded and self._unsent:
            self._limit = self._max_unsent + len(self._unsent)

    def _send(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        sent = self._send_now(data)
        if sent < len(data) and not self.is_lost:
            self._unsent += memoryview(data)[sent:]
            self.wants_write = True
            self._poller.update(self)
            self._moved_at = self._clock.now()
            self._watch = self.at(self._moved_at + self._send_timeout, self._look_for_stall)

    def _send_now(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._lose(_gone(error))
            return 0

    def writable(self) -> None:
        """Send some of what waits; called by the poller."""
        sent = self._send_now(self._unsent)
        if not sent:
            return
        del self._unsent[:sent]
        self._moved_at = self._clock.now()
        if not self._unsent:
            self._limit = self._max_unsent
            if self._watch is not None:
                self._watch.cancel()
            self.wants_write = False
            self._poller.update(self)
        self._on_room()

    def _look_for_stall(self) -> None:
        by = self._moved_at + self._send_timeout
        if self._clock.now() >= by:
            self._lose(DeadlineExceeded("sending", self._send_timeout))
        else:
            self._watch = self.at(by, self._look_for_stall)

    # ── timers ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def at(self, moment: float, callback: Callable[[], None]) -> Timer:
        """Call back once the clock shows `moment`, unless the line is gone by then; what it raises loses the line."""
        timer = self._poller.at(moment, lambda: self._fire(callback))
        if self.is_lost:
            timer.cancel()
            return timer
        if len(self._timers) >= self._many:
            self._timers = {timer for timer in self._timers if timer.is_set}
            self._many = max(MANY, 2 * len(self._timers))
        self._timers.add(timer)
        return timer

    def _fire(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception as error:  # noqa: BLE001 - the barrier between one call and the others
            self.fail(error)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def fail(self, error: Exception) -> None:
        """Lose the line because of an error on this side; any number of times, of which the first counts."""
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self.is_lost:
            self.error = error
            self._leave()
            self._on_lost()

    def _leave(self) -> None:
        self.is_lost = True
        self.wants_read = self.wants_write = False
        self._poller.drop(self)
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def close(self, last_words: bytes = b"") -> None:
        """Give the socket back, at once and any number of times; `on_lost` is not called.

        Args:
            last_words: Sent before, if the network takes them without waiting and nothing else waits.
        """
        if self._socket.fileno() < 0:
            return
        if last_words and not self._unsent:
            with suppress(OSError, ssl.SSLError):
                self._socket.send(last_words if self._tls is None else self._tls.seal(last_words))
        self._leave()
        self._sink, self._on_lost, self._on_room = _ignore, _nothing, _nothing
        self._unsent.clear()
        self._socket.close()


def _gone(error: Exception) -> ConnectionLost:
    lost = ConnectionLost(1006, "the other side is gone")
    lost.__cause__ = error
    return lost
