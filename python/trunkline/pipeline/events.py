"""What a call reports: one log, which any number of consumers read, each at its own pace."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import anyio

from trunkline.clock import Clock
from trunkline.errors import ProviderError

AUDIO_EVERY = 0.1
"""Seconds between two events of audio at least, unless another event comes between."""


class EventType(StrEnum):
    """The kinds of event, by the names of the gateway's documents, and what a telephone line adds to them."""

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
    CALL_STATE = "call_state"
    ANSWERING_MACHINE = "answering_machine"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a call.

    Attributes:
        timestamp: The time of day, in UTC.
        data: What the kind of event has to tell; the reference of the bridge lists the keys.
        error: For `error` events, what failed.
        offset_ms: Milliseconds since the call's media began.
    """

    type: EventType
    timestamp: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None
    offset_ms: int = field(default=0, kw_only=True)

    @property
    def text(self) -> str:
        """The words of a transcript event, "" for every other."""
        return str(self.data.get("text", ""))

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-able values; of an error its `code`, which may be None, its `message` and the name of its `class`."""
        values: dict[str, Any] = {
            "type": str(self.type),
            "timestamp": self.timestamp.isoformat(),
            "offset_ms": self.offset_ms,
        }
        if self.data:
            values["data"] = dict(self.data)
        if self.error is not None:
            provider = self.error if isinstance(self.error, ProviderError) else None
            values["error"] = {
                "code": provider.code if provider else None,
                "message": provider.message if provider else str(self.error),
                "class": type(self.error).__name__,
            }
        return values


@dataclass(slots=True)
class AudioCount:
    """How much audio passed, in one direction."""

    messages: int = 0
    size: int = 0


class EventLog:
    """The events of one call, in order: one list, and each consumer a position in it, so that a slow one costs the others nothing.

    Only pieces of transcripts ever go: once the whole words of an item have come its pieces are taken out, and of those whose whole words
    never come no more are kept than `max_pieces`. Audio is not logged but counted, and told in one event to those who asked for it.

    Args:
        clock: What the events are timed by.
        max_pieces: How many pieces of transcripts are kept; further ones are dropped, and counted in `dropped`.

    Attributes:
        received: The caller's audio so far; whoever adds to it calls `audio_passed` while `audio_wanted`.
        sent: The agent's audio so far, likewise.
        errors: How many `error` events there were.
    """

    def __init__(self, clock: Clock, *, max_pieces: int = 10_000) -> None:
        self._clock = clock
        self._began = clock.now()
        self._max_pieces = max_pieces
        self._events: list[Event | None] = []
        self._pieces: dict[str, list[int]] = {}
        self._piece_count = 0
        self._news = anyio.Event()
        self._over = False
        self._audio_told_at = -AUDIO_EVERY
        self.received = AudioCount()
        self.sent = AudioCount()
        self.audio_wanted = 0
        self.dropped = 0
        self.errors = 0

    def emit(self, kind: EventType, error: Exception | None = None, /, **data: Any) -> None:
        """Append an event of now; after `session_ended` nothing more is taken."""
        if self._over:
            return
        if "is_final" in data and not self._take_words(data["item_id"], is_final=data["is_final"]):
            self.dropped += 1
            return
        self._events.append(self._event(kind, error, data))
        self._over = kind is EventType.SESSION_ENDED
        self._wake()

    def report(self, error: Exception) -> None:
        """Something failed."""
        self.errors += 1
        self.emit(EventType.ERROR, error)

    async def read(self, *, audio: bool = False) -> AsyncIterator[Event]:
        """Every event from the first on, waiting for more, until `session_ended`; with `audio`, counts of audio too."""
        position = 0
        counts = ((EventType.AUDIO_RECEIVED, self.received), (EventType.AUDIO_SENT, self.sent))
        seen = [AudioCount(count.messages, count.size) for _, count in counts]
        self.audio_wanted += audio
        try:
            while True:
                for (kind, count), before in zip(counts, seen, strict=True):
                    if audio and count.messages > before.messages:
                        news = {"bytes": count.size - before.size, "messages": count.messages - before.messages}
                        before.messages, before.size = count.messages, count.size
                        yield self._event(kind, None, news)
                while position < len(self._events):
                    event = self._events[position]
                    position += 1
                    if event is not None:
                        yield event
                if self._over:
                    return
                await self._news.wait()
        finally:
            self.audio_wanted -= audio

    def audio_passed(self) -> None:
        """Let the readers look at the counts of audio, if they have not done so for a moment."""
        now = self._clock.now()
        if now - self._audio_told_at >= AUDIO_EVERY:
            self._audio_told_at = now
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    def _take_words(self, item_id: str, *, is_final: bool) -> bool:
        """Make room for words of an item: the whole of them takes the place of its pieces. False if a piece must be dropped."""
        if is_final:
            pieces = self._pieces.pop(item_id, ())
            self._piece_count -= len(pieces)
            for position in pieces:
                self._events[position] = None
        elif self._piece_count >= self._max_pieces:
            return False
        else:
            self._pieces.setdefault(item_id, []).append(len(self._events))
            self._piece_count += 1
        return True

    def _event(self, kind: EventType, error: Exception | None, data: Mapping[str, Any]) -> Event:
        offset_ms = round((self._clock.now() - self._began) * 1000)
        return Event(kind, self._clock.wall(), data, error, offset_ms=offset_ms)
