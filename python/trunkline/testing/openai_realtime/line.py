"""The line to one client: JSON events over a WebSocket, in the order they were put, and the faults that befall them."""

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

import anyio

from trunkline.errors import ConnectionLost
from trunkline.testing.openai_realtime.faults import Close, Drop, ErrorEvent, Fault, FaultScript
from trunkline.testing.openai_realtime.ids import new_id
from trunkline.testing.openai_realtime.refusal import Refusal
from trunkline.transport.connection import WebSocketConnection


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

    def __init__(self, socket: WebSocketConnection, journal: Journal, script: FaultScript) -> None:
        self._socket = socket
        self._journal = journal
        self._script = script
        self._queue: deque[dict[str, Any] | _HangUp] = deque()
        self._filled = anyio.Event()

    def put(self, event: dict[str, Any]) -> None:
        """Send an event after all that were put before."""
        self._queue.append(event)
        self._filled.set()

    def hang_up(self, code: int, reason: str) -> None:
        """Close the connection after all that was put before."""
        self._queue.append(_HangUp(code, reason))
        self._filled.set()

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
                await self._socket.aclose(entry.code, entry.reason)
                return
            fault = self._script.due(entry["type"])
            await self._send(entry)
            await self._suffer(fault)

    async def receive(self) -> dict[str, Any]:
        """The next event of the client's.

        Raises:
            Refusal: It is no JSON object in a text frame.
            TransportError: The client is gone.
        """
        message = await self._socket.receive()
        try:
            event = json.loads(message) if isinstance(message, str) else None
        except ValueError:
            raise Refusal("invalid_json", "We could not parse the JSON body of your event.") from None
        if not isinstance(event, dict):
            raise Refusal("invalid_json", "An event has to be a JSON object in a text message.")
        self._journal.received.append(event)
        await self._suffer(self._script.due(str(event.get("type"))))
        return event

    async def _send(self, event: dict[str, Any]) -> None:
        self._journal.sent.append(event)
        await self._socket.send(json.dumps(event))

    async def _suffer(self, fault: Fault | None) -> None:
        match fault:
            case Drop():
                # A connection has no public way to break like this, and only a simulator wants one.
                await self._socket.abort("dropped by the script")
                raise ConnectionLost(1006, "dropped by the script")
            case Close(code=code, reason=reason):
                await self._socket.aclose(code, reason)
                raise ConnectionLost(code, reason)
            case ErrorEvent():
                error = {
                    "type": fault.type,
                    "code": fault.code,
                    "message": fault.message,
                    "param": None,
                    "event_id": None,
                }
                await self._send({"type": "error", "event_id": new_id("event"), "error": error})
            case _:
                pass
