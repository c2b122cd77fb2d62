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
    """The events of one call, in order; nothing is lost, whoever reads late or slowly.

    The log is the one queue of all consumers, so a slow one costs nothing. What happens with every frame is not logged but counted, and
    told in one event to those who asked for it.

    Args:
        clock: What the events are timed by.
        max_events: More than any honest call has; beyond, nothing is logged but the end, and what is not is counted in `dropped`.
    """

    def __init__(self, clock: Clock, *, max_events: int = 20_000) -> None:
        self._clock = clock
        self._began = clock.now()
        self._max_events = max_events
        self._events: list[Event] = []
        self._audio = {EventType.AUDIO_RECEIVED: _Tally(), EventType.AUDIO_SENT: _Tally()}
        self._audio_wanted = 0
        self._news = anyio.Event()
        self._over = False
        self.dropped = 0

    def emit(self, kind: EventType, error: Exception | None = None, /, **data: Any) -> None:
        """Append an event of now; after `session_ended` nothing more is taken."""
        if self._over:
            return
        if len(self._events) >= self._max_events and kind is not EventType.SESSION_ENDED:
            self.dropped += 1
            return
        self._events.append(self._event(kind, error, data))
        self._over = kind is EventType.SESSION_ENDED
        self._wake()

    def count_audio(self, kind: EventType, size: int) -> None:
        """So many bytes of audio passed."""
        tally = self._audio[kind]
        tally.messages += 1
        tally.size += size
        if self._audio_wanted:
            self._wake()

    async def read(self, *, audio: bool = False) -> AsyncIterator[Event]:
        """Every event from the first on, waiting for more, until `session_ended`; with `audio`, tallies of audio too."""
        position = 0
        seen = {kind: _Tally(tally.messages, tally.size) for kind, tally in self._audio.items()}
        self._audio_wanted += audio
        try:
            while True:
                if audio:
                    for kind, tally in self._audio.items():
                        before = seen[kind]
                        if tally.messages > before.messages:
                            news = {"bytes": tally.size - before.size, "messages": tally.messages - before.messages}
                            seen[kind] = _Tally(tally.messages, tally.size)
                            yield self._event(kind, None, news)
                while position < len(self._events):
                    yield self._events[position]
                    position += 1
                if self._over:
                    return
                await self._news.wait()
        finally:
            self._audio_wanted -= audio

    def _event(self, kind: EventType, error: Exception | None, data: Mapping[str, Any]) -> Event:
        offset_ms = round((self._clock.now() - self._began) * 1000)
        return Event(kind, self._clock.wall(), offset_ms, data, error)

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()


@dataclass(slots=True)
class _Tally:
    messages: int = 0
    size: int = 0
