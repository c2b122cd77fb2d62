"""A call in progress: what the application holds, and the loop that reads its carrier."""

import logging
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Protocol

import anyio

from trunkline.clock import Clock
from trunkline.conversation import Turn
from trunkline.errors import ConnectionLost, RemoteProtocolError, SessionClosed, TransportError
from trunkline.gateway.config import CallInfo
from trunkline.pipeline import Event, Metrics, RealtimeBridge
from trunkline.transport import MessageStream
from trunkline.wire.telephony.events import (
    DtmfReceived,
    MarkReceived,
    MediaReceived,
    StreamEvent,
    StreamStopped,
)

logger = logging.getLogger("trunkline.gateway")

TOLERATED_ERRORS = 50
"""How many messages that cannot be read a call survives."""


class StreamCodec(Protocol):
    """A carrier's media stream, from its messages to events."""

    def receive(self, message: str | bytes) -> StreamEvent:
        """Read one message; raises `RemoteProtocolError` if it cannot be read."""
        ...


class CallSession:
    """One call, from the first to the last moment of its media.

    Args:
        info: Who calls whom.
        bridge: What answers.
        clock: What the duration is measured by.
    """

    def __init__(self, info: CallInfo, bridge: RealtimeBridge, *, clock: Clock) -> None:
        self.info = info
        self._bridge = bridge
        self._clock = clock
        self._began = clock.now()

    # ── the application ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def id(self) -> str:
        """The carrier's id of the call."""
        return self.info.call_id

    @property
    def from_(self) -> str:
        """The caller's number."""
        return self.info.from_

    @property
    def to(self) -> str:
        """The number that was called."""
        return self.info.to

    @property
    def direction(self) -> str:
        """`inbound` or `outbound`."""
        return self.info.direction

    @property
    def start_time(self) -> datetime:
        """When the call was accepted, in UTC."""
        return self.info.start_time

    @property
    def duration(self) -> timedelta:
        """How long the call's media has been running, or ran."""
        return self.metrics().duration

    @property
    def is_active(self) -> bool:
        """Whether the call is in progress."""
        return not self._bridge.is_over

    def events(self) -> AsyncIterator[Event]:
        """All events from the beginning of the call; ends after `session_ended`. Any number of consumers may read."""
        return self._bridge.events()

    def transcript(self) -> tuple[Turn, ...]:
        """The turns so far, as they were heard."""
        return self._bridge.transcript()

    def metrics(self) -> Metrics:
        """The figures so far."""
        return self._bridge.metrics()

    async def send_text(self, text: str) -> None:
        """Say something to the agent in the caller's name, in text."""
        await self._bridge.send_text(text)

    async def interrupt(self) -> None:
        """Stop the agent's answer."""
        await self._bridge.interrupt()

    async def close(self, reason: str = "closed") -> None:
        """Hang up; any number of times, from any task."""
        await self._bridge.close(reason)

    async def wait_closed(self) -> None:
        """Wait until the call is over."""
        await self._bridge.wait_closed()

    # ── the carrier ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def serve(self, line: MessageStream, codec: StreamCodec, *, max_duration: float) -> None:
        """Carry the call until one side ends it; the line is still open when the agent's side did."""
        try:
            async with self._bridge, anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, tasks.cancel_scope)
                with self._clock.move_on_after(max_duration) as limit:
                    await self._bridge.close(await self._listen(line, codec))
                if limit.cancelled_caught:
                    await self._bridge.close("max_duration")
                tasks.cancel_scope.cancel()
        finally:
            metrics = self._bridge.metrics()
            logger.info(
                "call %s is over after %d ms: %d user turns, %d agent turns, %d interruptions, %d errors",
                self.id,
                metrics.session_duration_ms,
                metrics.user_turn_count,
                metrics.agent_turn_count,
                metrics.interruption_count,
                metrics.error_count,
            )

    async def _watch(self, scope: anyio.CancelScope) -> None:
        await self._bridge.wait_closed()
        scope.cancel()

    async def _listen(self, line: MessageStream, codec: StreamCodec) -> str:
        """Pass on what the carrier says until it is over; returns why."""
        tolerated = TOLERATED_ERRORS
        try:
            while tolerated:
                message = await line.receive()
                try:
                    event = codec.receive(message)
                except RemoteProtocolError as error:
                    tolerated -= 1
                    self._bridge.carrier_error(error)
                    continue
                match event:
                    case MediaReceived():
                        await self._bridge.send_audio(event.payload)
                    case MarkReceived():
                        self._bridge.mark_received(event.name)
                    case DtmfReceived():
                        self._bridge.key_pressed(event.digit)
                    case StreamStopped():
                        return "caller_hung_up"
                    case _:
                        logger.debug("call %s: %s", self.id, event)
        except SessionClosed:
            return "closed"
        except ConnectionLost as error:
            return "caller_hung_up" if error.clean else "line_lost"
        except TransportError as error:
            self._bridge.carrier_error(error)
            return "line_lost"
        return "protocol_errors"
