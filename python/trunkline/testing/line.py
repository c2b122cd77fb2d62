"""The line to one client of a simulated vendor: JSON events over a WebSocket, in the order they were put, and the faults that befall them.

Which vendor it is, the line learns from a `Codec`: how events are named, written and read.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import anyio

from trunkline.clock import Clock
from trunkline.errors import ConnectionLost
from trunkline.testing.faults import (
    Close,
    Drop,
    Duplicate,
    Fault,
    FaultScript,
    HalfOpen,
    MalformedJson,
    OversizedMessage,
    Reorder,
    Slow,
    Stall,
)
from trunkline.transport.websocket.connection import WebSocketConnection


class Codec(Protocol):
    """What events look like on the wire; one for each session."""

    def kind(self, event: Mapping[str, Any]) -> str:
        """What a fault's `on` calls this event, of either side."""
        ...

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the client is sent in place of this event of the session's; nothing, one event, or two."""
        ...

    def encode(self, event: Mapping[str, Any]) -> str | bytes:
        """The message that is sent."""
        ...

    def decode(self, message: str | bytes) -> dict[str, Any]:
        """The client's event as it was written.

        Raises:
            Exception: The vendor's own, which `Line.receive` raises.
        """
        ...

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The client's event as the session understands it; raises likewise."""
        ...

    def fault_events(self, fault: Fault) -> list[dict[str, Any]]:
        """What the client is sent when a fault happens that this vendor alone knows."""
        ...


@dataclass(slots=True)
class Journal:
    """Every event of a simulator, over all its sessions."""

    received: list[dict[str, Any]]
    sent: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _HangUp:
    code: int
    reason: str


class Line:
    """`put` and `hang_up` never wait; you must run `write()` in a task, which sends what was put."""

    def __init__(
        self, socket: WebSocketConnection, journal: Journal, script: FaultScript, clock: Clock, codec: Codec
    ) -> None:
        self._socket = socket
        self._journal = journal
        self._script = script
        self._clock = clock
        self._codec = codec
        self._queue: deque[dict[str, Any] | _HangUp] = deque()
        self._filled = anyio.Event()
        self._silent_until = -math.inf
        self._slow: Slow | None = None
        self._half_open = False
        self._reading: anyio.CancelScope | None = None
        self._at_the_next: deque[Reorder | Duplicate] = deque()
        self._held: dict[str, Any] | None = None

    def put(self, event: Mapping[str, Any]) -> None:
        """Send an event after all that were put before."""
        self._queue.extend(self._codec.outgoing(event))
        self._filled.set()

    def hang_up(self, code: int, reason: str) -> None:
        """Close the connection after all that was put before."""
        self._queue.append(_HangUp(code, reason))
        self._filled.set()

    async def cut(self, why: str) -> NoReturn:
        """Break the connection without a close frame.

        Raises:
            ConnectionLost: Always, so that the session ends.
        """
        await self._socket.abort(why)
        raise ConnectionLost(1006, why)

    async def write(self) -> None:
        """Send what is put, until the line is hung up.

        Raises:
            TransportError: The client is gone, or does not read.
        """
        while True:
            while not self._queue:
                self._filled = anyio.Event()
                await self._filled.wait()
            entry = self._queue.popleft()
            if isinstance(entry, _HangUp):
                await self._wait_for_its_time(0)
                await self._socket.aclose(entry.code, entry.reason)
                return
            fault = self._script.due(self._codec.kind(entry))
            if fault is None and self._at_the_next:
                fault = self._at_the_next.popleft()
            for event in self._shuffled(entry, fault):
                await self._send(event)
            await self._suffer(fault)

    async def receive(self) -> dict[str, Any]:
        """The next event of the client's.

        Raises:
            TransportError: The client is gone.
            Exception: What the codec raises of an event that cannot be read.
        """
        event = self._codec.decode(await self._heard())
        self._journal.received.append(event)
        fault = self._script.due(self._codec.kind(event))
        if isinstance(fault, Reorder | Duplicate):
            self._at_the_next.append(fault)
        await self._suffer(fault)
        return self._codec.incoming(event)

    async def _heard(self) -> str | bytes:
        with anyio.CancelScope() as self._reading:
            if not self._half_open:
                return await self._socket.receive()
        return await _for_ever()

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _shuffled(self, event: dict[str, Any], fault: Fault | None) -> list[dict[str, Any]]:
        """What is sent in place of this event: it, twice it, nothing yet, or it with the one that was held before it."""
        if isinstance(fault, Reorder) and self._held is None:
            self._held = event
            return []
        events = [event, event] if isinstance(fault, Duplicate) else [event]
        if self._held is not None:
            events.append(self._held)
            self._held = None
        return events

    async def _send(self, event: dict[str, Any]) -> None:
        message = self._codec.encode(event)
        await self._wait_for_its_time(len(message))
        self._journal.sent.append(event)
        await self._socket.send(message)

    async def _wait_for_its_time(self, size: int) -> None:
        if self._half_open:
            await _for_ever()
        if self._slow is not None:
            rate = self._slow.bytes_per_second
            await self._clock.sleep_until(self._clock.now() + self._slow.delay + (size / rate if rate else 0))
        while self._clock.now() < self._silent_until:
            await self._clock.sleep_until(self._silent_until)

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _suffer(self, fault: Fault | None) -> None:
        match fault:
            case Drop():
                await self.cut("dropped by the script")
            case Close(code=code, reason=reason):
                await self._socket.aclose(code, reason)
                raise ConnectionLost(code, reason)
            case HalfOpen():
                self._half_open = True
                if self._reading is not None:
                    self._reading.cancel()
                await _for_ever()
            case Stall(seconds=seconds):
                self._silent_until = self._clock.now() + seconds
            case Slow():
                self._slow = fault
            case MalformedJson(text=text):
                await self._socket.send(text)
            case OversizedMessage(size=size):
                frame = '{"type": "", "padding": ""}'
                await self._socket.send(f'{frame[:-2]}{"x" * (size - len(frame))}"}}')
            case Fault():
                for event in self._codec.fault_events(fault):
                    await self._send(event)
            case _:
                pass


async def _for_ever() -> NoReturn:
    await anyio.sleep_forever()
    raise AssertionError("nothing ends this sleep but cancellation")
