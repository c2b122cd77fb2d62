"""Where the milliseconds of a reply went: one receipt for each answer that the caller hears."""

from dataclasses import asdict, dataclass, replace
from typing import Literal

from trunkline.clock import Clock

Trigger = Literal["speech", "text", "greeting", "tool", "agent"]
"""What an answer answers: the caller's speech, a text, the start of the call, the results of tools alone, or nothing of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLatency:
    """Milliseconds from the trigger of an answer to each station on its way.

    Speech counts from the moment that the vendor reported its end; where the vendor reports none, from that end as it was noticed here. A
    text, the greeting and a tool call count from when they were passed on, an answer to none of these from its beginning.

    Attributes:
        item_id: The answer.
        trigger: What it answers.
        provider_ms: To the first audio from the provider.
        playout_ms: To the first frame sent to the carrier: what the caller waited, but for the line.
        mark_ms: To the first mark that the carrier returned for it; None if none came.
        tool_ms: How long tools ran meanwhile, part of `provider_ms`.
        endpointing_ms: How long before the trigger the speech had really ended, as far as the vendor tells: what the caller waited, on
            top of the rest, until the end of their turn was noticed. None if nobody knows.
        uplink_ms: How long the caller's last audio had waited here before it was sent to the provider.
        converter_ms: The group delay of the converters, both ways together; part of the above.
    """

    item_id: str
    trigger: Trigger = "speech"
    provider_ms: int
    playout_ms: int
    mark_ms: int | None = None
    tool_ms: int = 0
    endpointing_ms: int | None = None
    uplink_ms: int = 0
    converter_ms: float = 0.0

    def to_json(self) -> dict[str, object]:
        """The receipt by name."""
        return asdict(self)


@dataclass(slots=True)
class _Waiting:
    """An answer that is wanted, or on its way to the carrier."""

    trigger: Trigger
    since: float
    endpointing_ms: int | None = None
    uplink_ms: int = 0
    tool_seconds: float = 0.0
    answered_at: float = 0.0


class LatencyTracker:
    """Writes the receipts of one call."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wanted: _Waiting | None = None
        self._begun_at = clock.now()
        self._coming: dict[str, _Waiting] = {}
        self._tools: set[str] = set()
        self._tools_since = 0.0
        self._unmarked: tuple[int, float] | None = None
        self._receipts: list[TurnLatency] = []
        self.converter_ms = 0.0

    @property
    def receipts(self) -> tuple[TurnLatency, ...]:
        """All receipts so far, in order."""
        return tuple(self._receipts)

    def asked(
        self, trigger: Trigger, *, ago_ms: int = 0, endpointing_ms: int | None = None, uplink_ms: float = 0.0
    ) -> None:
        """Something wants an answer since now, or since a moment ago."""
        now = self._clock.now()
        self._tools_since = now
        self._wanted = _Waiting(trigger, now - ago_ms / 1000, endpointing_ms, round(uplink_ms))

    def response_started(self) -> None:
        """The model begins an answer."""
        self._begun_at = self._clock.now()

    def tool_started(self, call_id: str) -> None:
        """The model waits for a tool."""
        if self._wanted is None:
            self.asked("tool")
        if not self._tools:
            self._tools_since = self._clock.now()
        self._tools.add(call_id)

    def tool_ended(self, call_id: str) -> None:
        """The tool was answered, or is not wanted any more."""
        if call_id in self._tools:
            self._tools.discard(call_id)
            if self._wanted is not None and not self._tools:
                self._wanted.tool_seconds += self._clock.now() - self._tools_since

    def first_audio(self, item_id: str) -> None:
        """The first audio of an answer came from the provider."""
        now = self._clock.now()
        waiting = self._wanted or _Waiting("agent", min(self._begun_at, now))
        if self._tools and self._wanted is not None:
            waiting.tool_seconds += now - self._tools_since
        waiting.answered_at = now
        self._wanted = None
        self._coming[item_id] = waiting

    def first_sent(self, item_id: str) -> int | None:
        """The first frame of an item went to the carrier; how long its answer took, in milliseconds, None for an answer's later items."""
        waiting = self._coming.pop(item_id, None)
        if waiting is None:
            return None
        playout_ms = round((self._clock.now() - waiting.since) * 1000)
        self._unmarked = (len(self._receipts), waiting.since)
        self._receipts.append(
            TurnLatency(
                item_id=item_id,
                trigger=waiting.trigger,
                provider_ms=round((waiting.answered_at - waiting.since) * 1000),
                playout_ms=playout_ms,
                tool_ms=round(waiting.tool_seconds * 1000),
                endpointing_ms=waiting.endpointing_ms,
                uplink_ms=waiting.uplink_ms,
                converter_ms=self.converter_ms,
            )
        )
        return playout_ms

    def interrupted(self) -> None:
        """What is on its way will not be sent."""
        self._coming.clear()

    def mark_returned(self) -> None:
        """The carrier confirmed audio."""
        if self._unmarked is not None:
            position, since = self._unmarked
            mark_ms = round((self._clock.now() - since) * 1000)
            self._receipts[position] = replace(self._receipts[position], mark_ms=mark_ms)
            self._unmarked = None
