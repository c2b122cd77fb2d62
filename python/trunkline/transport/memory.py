"""Two message streams joined in memory: what one sends, the other receives. A WebSocket without a network, for tests and for embedding."""

from collections import deque

import anyio
import anyio.lowlevel

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError


def memory_pair(
    *, max_buffered: int = 64, send_timeout: float = 10.0, clock: Clock = SYSTEM_CLOCK
) -> tuple["MemoryStream", "MemoryStream"]:
    """Two ends of one stream.

    Args:
        max_buffered: Messages that may wait each way; more make `send` wait.
        send_timeout: Seconds that `send` waits for the other side, as on a WebSocket.
        clock: Where time comes from.
    """
    there, back = _Lane(max_buffered), _Lane(max_buffered)
    return (
        MemoryStream(there, back, send_timeout=send_timeout, clock=clock),
        MemoryStream(back, there, send_timeout=send_timeout, clock=clock),
    )


class _Lane:
    """Messages on their way in one direction, and how it ended."""

    def __init__(self, room: int) -> None:
        self.messages: deque[str | bytes] = deque()
        self.room = room
        self.end: tuple[int, str] | None = None
        self._changed = anyio.Event()

    def tell(self) -> None:
        """Wake whoever waits for this lane."""
        self._changed.set()
        self._changed = anyio.Event()

    async def change(self) -> None:
        """Wait for a message to come or go, or for the end."""
        await self._changed.wait()


class MemoryStream:
    """One end; made by `memory_pair`."""

    def __init__(self, outgoing: _Lane, incoming: _Lane, *, send_timeout: float, clock: Clock) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._send_timeout = send_timeout
        self._clock = clock
        self._receiving = False
        self._closed = False

    async def send(self, message: str | bytes) -> None:
        """Hand one message over; waits while `max_buffered` of them are unread.

        Raises:
            ConnectionLost: Either side closed.
            DeadlineExceeded: The other side did not make room in time; the stream is over.
        """
        lane = self._outgoing
        await anyio.lowlevel.checkpoint()
        with self._clock.move_on_after(self._send_timeout) as deadline:
            while lane.end is None and len(lane.messages) >= lane.room:
                await lane.change()
            if lane.end is not None:
                raise ConnectionLost(*lane.end)
            lane.messages.append(message)
            lane.tell()
        if deadline.cancelled_caught:
            self._finish(1006, "the other side does not read")
            raise DeadlineExceeded("sending a message", self._send_timeout)

    async def receive(self) -> str | bytes:
        """The next message; what was sent before the other side closed still arrives.

        Raises:
            ConnectionLost: Either side closed; with its code and reason.
            LocalProtocolError: Another task is receiving.
        """
        if self._receiving:
            raise LocalProtocolError("another task is already receiving from this stream")
        lane = self._incoming
        self._receiving = True
        try:
            await anyio.lowlevel.checkpoint()
            while not lane.messages or self._closed:
                if lane.end is not None:
                    raise ConnectionLost(*lane.end)
                await lane.change()
            message = lane.messages.popleft()
            lane.tell()
            return message
        finally:
            self._receiving = False

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """End both directions; the other side reads what was sent, then this code and reason."""
        self._closed = True
        self._finish(code, reason)
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()

    def _finish(self, code: int, reason: str) -> None:
        for lane in (self._outgoing, self._incoming):
            lane.end = lane.end or (code, reason)
            lane.tell()
