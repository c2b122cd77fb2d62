"""What became of a call's tools, in numbers."""

from dataclasses import dataclass
from typing import Literal

Fate = Literal["succeeded", "failed", "timed_out", "cancelled", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCounters:
    """A snapshot; a tool call counts in `calls` from its beginning, and in one of the next five once its tool has ended.

    Attributes:
        calls: Calls begun.
        successes: The tool returned.
        failures: It raised, was not found, was called with wrong arguments or returned what is not JSON.
        timeouts: It took too long.
        cancelled: It was stopped, because the caller interrupted, the model took the call back, or the telephone call ended.
        refused: It was not run, because the model called tools in a circle.
        detached: Calls answered before their tool ended; these end in one of the five as well.
        rounds: Rounds of calls since the user last spoke.
        mean_ms: Mean time of the tools that ended, refused ones apart, in milliseconds.
        max_ms: The longest of them.
    """

    calls: int = 0
    successes: int = 0
    failures: int = 0
    timeouts: int = 0
    cancelled: int = 0
    refused: int = 0
    detached: int = 0
    rounds: int = 0
    mean_ms: float = 0.0
    max_ms: int = 0


class ToolTally:
    """Keeps the counters."""

    def __init__(self) -> None:
        self.begun = 0
        self.detached = 0
        self._fates: dict[Fate, int] = {}
        self._total_ms = 0
        self._max_ms = 0

    def end(self, fate: Fate, duration_ms: int) -> None:
        """A tool ended, or was refused."""
        self._fates[fate] = self._fates.get(fate, 0) + 1
        if fate != "refused":
            self._total_ms += duration_ms
            self._max_ms = max(self._max_ms, duration_ms)

    def snapshot(self, rounds: int) -> ToolCounters:
        """The numbers so far."""
        ran = sum(count for fate, count in self._fates.items() if fate != "refused")
        return ToolCounters(
            calls=self.begun,
            successes=self._fates.get("succeeded", 0),
            failures=self._fates.get("failed", 0),
            timeouts=self._fates.get("timed_out", 0),
            cancelled=self._fates.get("cancelled", 0),
            refused=self._fates.get("refused", 0),
            detached=self.detached,
            rounds=rounds,
            mean_ms=self._total_ms / ran if ran else 0.0,
            max_ms=self._max_ms,
        )
