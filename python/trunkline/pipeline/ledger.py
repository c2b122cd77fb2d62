"""What the caller has heard: audio generated, sent, confirmed by marks and cleared, for every item of the provider.

Pure: time is an argument, in seconds. Positions are bytes on the line since the last clear, which begins a new generation; a mark carries
both in its name, so that one which returns after a clear is known to be stale.

The carrier plays what it is sent in real time and in order. Between marks the position is therefore the last one known plus the time since;
a mark that returns says where playback really is, and the estimate goes on from there.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cut:
    """An item that was stopped: how much of it the caller heard, of how much there was, in milliseconds, rounded down."""

    item_id: str
    heard_ms: int
    generated_ms: int


@dataclass(slots=True)
class _Segment:
    """Bytes of one item on the line, from `start` to `end`."""

    item_id: str
    start: int
    end: int


@dataclass(slots=True)
class _Item:
    generated: int = 0
    sent: int = 0
    finished: bool = False
    heard_when_cut: int | None = None


class PlayoutLedger:
    """The account of one call's outgoing audio.

    Args:
        bytes_per_ms: Bytes of one millisecond in the carrier's format.
        returns_marks: Whether the carrier confirms; if not, the clock alone counts.
        mark_grace: Seconds past the expected end after which a mark counts as lost.
    """

    def __init__(self, bytes_per_ms: int, *, returns_marks: bool, mark_grace: float = 1.0) -> None:
        self.generation = 0
        self._bytes_per_ms = bytes_per_ms
        self._returns_marks = returns_marks
        self._mark_grace = mark_grace
        self._items: dict[str, _Item] = {}
        self._unheard: dict[str, _Item] = {}
        self._segments: list[_Segment] = []
        self._sent = 0
        self._confirmed = 0
        self._anchor = 0
        self._anchored_at = 0.0

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────

    def generate(self, item_id: str, size: int) -> None:
        """The provider gave `size` bytes more of an item."""
        item = self._items.setdefault(item_id, _Item())
        item.generated += size
        self._unheard[item_id] = item

    def finish(self, item_id: str) -> None:
        """No more of this item will come."""
        if item_id in self._items:
            self._items[item_id].finished = True

    def send(self, item_id: str, size: int, now: float) -> None:
        """`size` bytes of an item, or of padding where the id is empty, go to the carrier."""
        if self._played(now) >= self._sent:
            self._anchor, self._anchored_at = self._sent, now
        if self._segments and self._segments[-1].item_id == item_id:
            self._segments[-1].end += size
        else:
            self._segments.append(_Segment(item_id, self._sent, self._sent + size))
        self._sent += size
        if item_id:
            self._items[item_id].sent += size

    def mark(self) -> str:
        """The name of a mark behind everything sent so far."""
        return f"{self.generation}:{self._sent}"

    def confirm(self, name: str, now: float) -> bool:
        """A mark returned; tells whether it was one of this generation that says something new."""
        generation, _, position = name.partition(":")
        if not position.isdecimal() or generation != str(self.generation):
            return False
        reached = int(position)
        if not self._confirmed < reached <= self._sent:
            return False
        self._confirmed = self._anchor = reached
        self._anchored_at = now
        return True

    def clear(self, now: float) -> list[Cut]:
        """Everything not heard yet is dropped, here and at the carrier; the items that this cut short, in order."""
        cuts = []
        for item_id, item in self._unheard.items():
            item.heard_when_cut = self._heard(item_id, now)
            cuts.append(Cut(item_id, self._ms(item.heard_when_cut), self._ms(item.generated)))
        self._unheard.clear()
        self._segments.clear()
        self.generation += 1
        self._sent = self._confirmed = self._anchor = 0
        self._anchored_at = now
        return cuts

    def settle(self, now: float) -> list[str]:
        """The items whose last byte has been heard since the last time this was asked, in order."""
        heard = []
        for item_id, item in list(self._unheard.items()):
            if not item.finished or item.sent < item.generated or not self._is_over(self._end(item_id), now):
                break
            heard.append(item_id)
            del self._unheard[item_id]
            item.heard_when_cut = item.generated
        if not self._unheard:
            self._segments.clear()
        return heard

    # ── what is known ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def speaking(self) -> bool:
        """Whether there is audio that the caller has not heard to its end."""
        return bool(self._unheard)

    def lead_ms(self, now: float) -> float:
        """How much of what was sent the carrier has not played yet."""
        return (self._sent - self._played(now)) / self._bytes_per_ms

    def heard_ms(self, item_id: str, now: float) -> int:
        """How much of an item the caller has heard, rounded down; 0 for an item that is not known."""
        item = self._items.get(item_id)
        if item is None:
            return 0
        return self._ms(self._heard(item_id, now) if item.heard_when_cut is None else item.heard_when_cut)

    def settles_at(self) -> float | None:
        """When `settle` will have something to tell even if no mark comes; None while the next item is not all sent."""
        for item_id, item in self._unheard.items():
            if item.finished and item.sent >= item.generated:
                return self._over_at(self._end(item_id))
            break
        return None

    def _played(self, now: float) -> int:
        elapsed = (
            now - self._anchored_at
        ) * 1000 * self._bytes_per_ms + 1e-6  # seconds as floats fall short of whole bytes
        return min(self._sent, self._anchor + int(elapsed))

    def _heard(self, item_id: str, now: float) -> int:
        played = self._played(now)
        return sum(min(played, s.end) - s.start for s in self._segments if s.item_id == item_id and s.start < played)

    def _end(self, item_id: str) -> int:
        return max((segment.end for segment in self._segments if segment.item_id == item_id), default=0)

    def _is_over(self, position: int, now: float) -> bool:
        return (self._returns_marks and self._confirmed >= position) or now >= self._over_at(position)

    def _over_at(self, position: int) -> float:
        grace = self._mark_grace if self._returns_marks else 0.0
        return self._anchored_at + (position - self._anchor) / self._bytes_per_ms / 1000 + grace

    def _ms(self, size: int) -> int:
        return size // self._bytes_per_ms
