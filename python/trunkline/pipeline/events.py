"""What a call reports: one log, which any number of consumers read, each at its own pace."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import anyio

from trunkline.clock import Clock


class EventType(StrEnum):
    """The kinds of event, by the names of the gateway's documents, and `dtmf`."""

    SESSION_STARTED = "session_started"
    SESSION_ENDED = "session_ended"
    USER_SPEECH_START = "user_speech_start"
    USER_SPEECH_END = "user_speech_end"
    USER_TRANSCRIPT = "user_transcript"
    AGENT_THINKING = "agent_thinking"
    AGENT_SPEECH_START = "agent_speech_start"
    AGENT_SPEECH_END = "agent_speech_end"
    AGENT_TRANSCRIPT = "agent_transcript"
    TOOL_CALL = "tool_call"
    INTERRUPTION = "interruption"
    ERROR = "error"
    AUDIO_RECEIVED = "audio_received"
    AUDIO_SENT = "audio_sent"
    DTMF = "dtmf"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a call.

    Attributes:
        timestamp: The time of day, in UTC.
        offset_ms: Milliseconds since the call's media began.
        data: What the kind of event has to tell; the reference of the bridge lists the keys.
        error: For `error` events, what failed.
    """

    type: EventType
    timestamp: datetime
    offset_ms: int
    data: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None

    @property
    def text(self) -> str:
        """The words of a transcript event, "" for every other."""
        return str(self.data.get("text", ""))

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-able values; an error is told as text."""
        told: dict[str, Any] = {
            "type": str(self.type),
            "timestamp": self.timestamp.isoformat(),
            "offset_ms": self.offset_ms,
        }
        if self.data:
            told["data"] = dict(self.data)
        if self.error is not None:
            told["error"] = str(self.error)
        return told


class EventLog:
    """The events of one call, in order; nothing is lost, whoever reads late or slowly."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._events: list[Event] = []
        self._news = anyio.Event()
        self._over = False

    def emit(self, kind: EventType, error: Exception | None = None, /, **data: Any) -> None:
        """Append an event of now; after `session_ended` nothing more is taken."""
        if self._over:
            return
        offset_ms = round((self._clock.now() - self._began) * 1000)
        self._events.append(Event(kind, self._clock.wall(), offset_ms, data, error))
        self._over = kind is EventType.SESSION_ENDED
        self._news.set()
        self._news = anyio.Event()

    async def read(self) -> AsyncIterator[Event]:
        """Every event from the first on, waiting for more, until `session_ended` has been given."""
        position = 0
        while True:
            while position < len(self._events):
                yield self._events[position]
                position += 1
            if self._over:
                return
            await self._news.wait()
