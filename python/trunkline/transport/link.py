"""The fast path of a call's audio: from one line to the other, with nothing of a frame seen by Python.

`Uplink` and `Downlink` turn bytes into bytes, and know neither sockets nor timers. `UplinkSink` and `DownlinkSink` give them both: attached
to a connection, they write what the links make to the other line, and give all other messages to a function, in the order of the wire.
"""

from collections.abc import Callable
from dataclasses import dataclass

from trunkline._native._rust import (
    AudioQueued,
    AudioSent,
    Downlink,
    DownlinkStats,
    MarkSent,
    Uplink,
    UplinkStats,
)
from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import LocalProtocolError
from trunkline.transport.line import MAX_UNSENT, Line
from trunkline.transport.timers import Timer
from trunkline.transport.websocket.connection import WebSocketConnection
from trunkline.transport.websocket.state import Message
from trunkline.wire.media import MarkTemplate, MediaShape, MediaTemplate

__all__ = [
    "AudioQueued",
    "AudioSent",
    "Downlink",
    "DownlinkSink",
    "DownlinkStats",
    "MarkSent",
    "MediaLink",
    "Uplink",
    "UplinkSink",
    "UplinkStats",
]

REPLAY_EVERY = 0.01  # seconds between two seconds of audio that a new provider still has to hear: others have their turns meanwhile
OTHERS_PER_SECOND = 100  # messages without audio: twice as many as a carrier sends frames
OTHERS_AT_ONCE = 1000  # ten seconds of them, which may come together after a stall

Handle = Callable[[str | bytes], bool]
"""Handles a message that is not wanted audio, without waiting; False leaves it to `WebSocketConnection.receive()`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLink:
    """One side of a call that can go the fast path.

    Args:
        connection: Its WebSocket, over a socket that a poller can serve.
        shape: How messages with audio look that come from there.
        incoming: The format of their audio.
        template: How messages with audio are written that go there.
        outgoing: The format of their audio.
        mark: How marks are written, where there are any.
    """

    connection: WebSocketConnection
    shape: MediaShape
    incoming: AudioFormat
    template: MediaTemplate
    outgoing: AudioFormat
    mark: MarkTemplate | None = None


class UplinkSink:
    """From the caller to whichever provider is connected.

    A carrier that floods is read no faster than a few times real time.

    Args:
        uplink: Made for the carrier's codec.
        carrier: The carrier's connection, on a line.
        handle: Handles messages without audio.
        clock: Where time comes from.
    """

    def __init__(
        self, uplink: Uplink, carrier: WebSocketConnection, handle: Handle, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._uplink = uplink
        self._carrier = carrier
        self._line = _line(carrier)
        self.handle = handle
        """Handles messages without audio; called by the connection."""
        self._now = clock.now
        self._provider: Line | None = None
        self._replay_timer: Timer | None = None
        self._others = 0.0  # messages without audio, less those that there was time for
        self._counted_at = clock.now()

    def connect(self, link: MediaLink, *, position: int | None = None) -> None:
        """Send to this provider from now on, whose connection is on a line.

        Args:
            link: The provider's side.
            position: What it is to hear first, see `Uplink.connect`; sent a second of audio at a time.

        Raises:
            LocalProtocolError: Its connection is not on a line.
        """
        provider = _line(link.connection)
        self._uplink.connect(link.template, link.outgoing, position=position)
        self._provider = provider
        self._catch_up()

    def disconnect(self) -> None:
        """Send nothing any more, and only remember."""
        self._uplink.disconnect()
        self._provider = None

    def feed(self, data: bytes) -> Message | None:
        """Take what the carrier sent, up to the first message without audio; called by the connection."""
        return self._went(*self._uplink.feed(data, self._now()))

    def resume(self) -> Message | None:
        """Go on behind that message; called by the connection."""
        self._others += 1
        return self._went(*self._uplink.resume(self._now()))

    def _went(self, out: bytes | None, message: Message | None) -> Message | None:
        if out is not None and self._provider is not None:
            self._provider.write(out)
        if message is None:
            now = self._now()
            if pause := max(self._uplink.pause(now), self._pause_for_others(now)):
                self._carrier.pause(self)
                self._line.at(now + pause, self._go_on)
            if self._uplink.behind:
                self._catch_up()
        return message

    def _pause_for_others(self, now: float) -> float:
        """Seconds until as many messages without audio as came have their time."""
        if not self._others:
            return 0.0
        self._others = max(0.0, self._others - (now - self._counted_at) * OTHERS_PER_SECOND)
        self._counted_at = now
        return max(0.0, self._others - OTHERS_AT_ONCE) / OTHERS_PER_SECOND

    def _go_on(self) -> None:
        self._carrier.resume(self)

    def _catch_up(self) -> None:
        """Send the next second of what the provider has still to hear, and look again soon."""
        if self._provider is None or (self._replay_timer is not None and self._replay_timer.is_set):
            return
        if self._provider.unsent <= MAX_UNSENT // 2 and (out := self._uplink.replay()) is not None:
            self._provider.write(out)
        if self._uplink.behind and not self._provider.is_lost:
            self._replay_timer = self._line.at(self._now() + REPLAY_EVERY, self._catch_up)


class DownlinkSink:
    """From whichever provider is connected to the caller.

    After every call of a method of the downlink that is not made here (`write`, `finish`, `clear`, `release`), call `look()`.

    Args:
        downlink: Made for the carrier's messages.
        carrier: The carrier's connection, on a line.
        handle: Handles messages that are not wanted audio.
        max_queued: Bytes in the carrier's format that may wait in the downlink before the provider is read no more.
        clock: Where time comes from.
    """

    def __init__(
        self,
        downlink: Downlink,
        carrier: WebSocketConnection,
        handle: Handle,
        *,
        max_queued: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._downlink = downlink
        self._line = _line(carrier)
        self.handle = handle
        """Handles messages that are not wanted audio; called by the connection."""
        self._max_queued = max_queued
        self._now = clock.now
        self._provider: WebSocketConnection | None = None
        self._timer: Timer | None = None
        self._is_full = False  # so that the provider is not read

    def connect(self, link: MediaLink) -> None:
        """Read this provider from now on, whose connection is on a line, instead of the one before.

        Raises:
            LocalProtocolError: Its connection is not on a line, or has a sink.
        """
        _line(link.connection)
        self.disconnect()
        self._downlink.connect(link.connection.codec, link.shape, link.incoming)
        self._provider = link.connection
        link.connection.attach(self)
        self.look()

    def disconnect(self) -> None:
        """Read no provider; what is queued is played. The connection is left with what it has not been asked for."""
        provider, self._provider = self._provider, None
        if provider is not None:
            self._downlink.disconnect()
            provider.detach()
            provider.resume(self)
            self._is_full = False

    def feed(self, data: bytes) -> Message | None:
        """Take what the provider sent, up to the first message that is not wanted audio; called by the connection."""
        return self._went(*self._downlink.feed(data, self._now()))

    def resume(self) -> Message | None:
        """Go on behind that message; called by the connection."""
        return self._went(*self._downlink.resume(self._now()))

    def _went(self, out: bytes | None, message: Message | None) -> Message | None:
        if out is not None:
            self._line.write(out)
        if message is None:
            self.look()
        return message

    def look(self) -> None:
        """See to it that what is queued is sent when it is due, and that no more than `max_queued` is."""
        due, timer = self._downlink.due, self._timer
        if due is not None and (timer is None or not timer.is_set or due < timer.moment):
            if timer is not None:
                timer.cancel()
            self._timer = self._line.at(due, self._fill)
        if self._provider is None:
            return
        queued = self._downlink.queued
        if queued > self._max_queued:
            self._is_full = True
            self._provider.pause(self)
        elif self._is_full and queued <= self._max_queued // 2:
            self._is_full = False
            self._provider.resume(self)

    def _fill(self) -> None:
        if (out := self._downlink.fill(self._now())) is not None:
            self._line.write(out)
        self.look()


def _line(connection: WebSocketConnection) -> Line:
    line = connection.line
    if line is None:
        raise LocalProtocolError("the connection must be moved to a poller first")
    return line
