"""What a jitter buffer should do, said as plainly as can be: places in a dictionary, every question answered by looking at all of them."""

import math
from dataclasses import dataclass, field


@dataclass
class Counts:
    pushed: int = 0
    popped: int = 0
    late: int = 0
    lost: int = 0
    duplicate: int = 0
    underruns: int = 0
    overruns: int = 0


@dataclass
class JitterModel:
    """Holds frames by their number without wraps, which is what its caller passes."""

    target_ms: int
    max_ms: int
    frame_ms: int = 20
    held: dict[int, bytes] = field(default_factory=dict)
    turn: int | None = None
    stage: str = "priming"
    waiting_since: float = math.nan
    depths: list[int] = field(default_factory=list)
    jitter: float = 0.0
    transit: float | None = None
    stray: int | None = None
    counts: Counts = field(default_factory=Counts)

    @property
    def depth(self) -> int:
        return 0 if not self.held or self.turn is None else max(self.held) + 1 - self.turn

    @property
    def target(self) -> float:
        return max(self.target_ms, min(self.max_ms / 2, self.frame_ms + 3 * self.jitter))

    def push(self, frame: bytes, number: int, now_ms: float) -> None:
        self.counts.pushed += 1
        if self.turn is not None and not -100 <= number - self.turn <= 3000:
            if number != self.stray:
                self.stray = number + 1
                self.counts.late += 1
                return
            self.counts.overruns += len(self.held)
            playing = self.stage != "priming"
            self.clear()
            self.stage = "refilling" if playing else "priming"
        if self.turn is None:
            self.turn = number
        self.stray = None
        transit = now_ms - number * self.frame_ms
        if self.transit is not None:
            self.jitter += (min(abs(transit - self.transit), self.max_ms) - self.jitter) / 16
        self.transit = transit
        self._keep(frame, number)
        if self.stage != "playing" and self.held and math.isnan(self.waiting_since):
            self.waiting_since = now_ms

    def _keep(self, frame: bytes, number: int) -> None:
        assert self.turn is not None
        most = self.max_ms // self.frame_ms
        if number < self.turn and (self.stage != "priming" or max(self.held) - number >= most):
            self.counts.late += 1
        elif number in self.held:
            self.counts.duplicate += 1
        else:
            self.turn = min(self.turn, number)
            while number - self.turn >= most:
                self._pass_over()
            self.held[number] = frame

    def pop(self, now_ms: float) -> str | bytes | None:
        """A frame, None, or what stands for concealment."""
        if self.stage == "playing" and not self.held:
            self.stage = "refilling"
            self.counts.underruns += 1
            return "concealed"
        if self.stage != "playing":
            waited = now_ms - self.waiting_since
            if not self.held or (waited < self.target and self.depth * self.frame_ms < self.target):
                return None if self.stage == "priming" else "concealed"
            while self.turn not in self.held:
                self._pass_over()
            self.stage, self.waiting_since, self.depths = "playing", math.nan, []
        else:
            self.depths.append(self.depth)
            if len(self.depths) == 25:
                if (min(self.depths) - 1) * self.frame_ms > self.target:
                    self._pass_over()
                self.depths = []
        assert self.turn is not None
        frame = self.held.pop(self.turn, None)
        self.turn += 1
        if frame is None:
            self.counts.lost += 1
            return "concealed"
        self.counts.popped += 1
        return frame

    def clear(self) -> int:
        dropped = len(self.held)
        self.held, self.turn, self.stage, self.waiting_since = {}, None, "priming", math.nan
        self.transit = self.stray = None
        return dropped

    def _pass_over(self) -> None:
        assert self.turn is not None
        if self.held.pop(self.turn, None) is None:
            self.counts.lost += 1
        else:
            self.counts.overruns += 1
        self.turn += 1
