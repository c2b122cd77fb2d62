"""What the caller has heard: audio generated, sent, confirmed by marks and cleared, for every item of the provider.

Pure: time is an argument, in seconds. Positions are bytes on the line since the last clear, which begins a new generation; a mark carries
both in its name, so that one which returns after a clear is known to be stale. A line that cannot clear has one generation alone: what was
sent will be heard, and only what was not is dropped.

A carrier plays what it is sent in real time and in order. What reaches it while it is still playing follows without a gap; what reaches it
when it has run dry begins after a lag, since it may buffer some before it begins. A returned mark tells that lag, if it is known how long
marks take to come back, and that is measured by a mark sent while nothing is queued, which returns at once, and by those that a clear sets
free. Between marks the clock tells how far playback has come; it has always come as far as a mark confirmed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

MOST_PENDING = 256
"""Marks that are waited for: some minutes' worth, on a carrier that returns none although it should."""
_TINY_MS = 1e-6
"""What the division of a whole number of milliseconds may be off by."""


@dataclass(frozen=True, slots=True)
class Cut:
    """An item that was stopped: how much of it the caller heard, of how much there was, in milliseconds, rounded down.

    `complete` tells that the caller had heard all of it, and there was no more to come.
    """

    item_id: str
    heard_ms: int
    generated_ms: int
    complete: bool = False


@dataclass(slots=True)
class _Stretch:
    """Bytes of one item, or padding, from `start` to `end`, sent at a moment and while what was sent before was being played."""

    item_id: str
    start: int
    end: int
    sent_at: float


@dataclass(slots=True)
class _Item:
    generated: int = 0
    sent: int = 0
    finished: bool = False
    heard_before: int = 0
    """In generations before this one, of an item that was taken up again."""
    heard_for_good: int | None = None


class PlayoutLedger:
    """The account of one call's outgoing audio.

    Args:
        bytes_per_ms: Bytes of one millisecond in the carrier's format; no whole number where the rate is a fraction of 44.1 kHz.
        returns_marks: Whether the carrier confirms; if not, the schedule alone counts.
        mark_grace: Seconds past the expected end after which a mark counts as lost.
        sample_bytes: Bytes of one sample, which is heard whole or not at all.
    """

    def __init__(
        self, bytes_per_ms: float, *, returns_marks: bool, mark_grace: float = 1.0, sample_bytes: int = 1
    ) -> None:
        self.generation = 0
        self.return_delay = 0.0
        self._measured = False
        self._bytes_per_ms = bytes_per_ms
        self._returns_marks = returns_marks
        self._mark_grace = mark_grace
        self._sample_bytes = sample_bytes
        self._items: dict[str, _Item] = {}
        self._unheard: dict[str, _Item] = {}
        self._stretches: list[_Stretch] = []
        self._sent = 0
        self._ends = 0.0
        self._confirmed = 0
        self._lag = 0.0
        self._cleared_at = 0.0
        self._free_at_clear: set[str] = set()
        self._clear_unanswered = False
        self._pending: dict[str, tuple[int, float]] = {}

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
        last = self._stretches[-1] if self._stretches and now <= self._ends else None
        if last is not None and last.item_id == item_id:
            last.end += size
        else:
            self._stretches.append(_Stretch(item_id, self._sent, self._sent + size, now))
        self._sent += size
        self._ends = max(self._ends, now) + self._seconds(size)
        if item_id:
            self._items[item_id].sent += size

    def mark(self, now: float) -> str:
        """The name of a mark behind everything sent so far, which is being sent now."""
        name = f"{self.generation}:{self._sent}"
        self._pending[name] = (self._sent, now)
        if len(self._pending) > MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        return name

    def confirm(self, name: str, now: float) -> bool:
        """A mark returned; tells whether it said something about this generation."""
        if name in self._free_at_clear:
            self._free_at_clear.discard(name)
            self._clear_unanswered = False
            self._measure(now - self._cleared_at)
            return False
        if name not in self._pending:
            return False
        position, sent_at = self._pending.pop(name)
        for earlier in [other for other, (before, _) in self._pending.items() if before < position]:
            del self._pending[earlier]  # lost, or overtaken
        if position == 0:
            self._measure(now - sent_at)
            return False
        self._confirmed = max(self._confirmed, position)
        for stretch, _, dry_since in self._played():
            if stretch.start < position <= stretch.end:
                expected = dry_since.sent_at + self._seconds(position - dry_since.start)
                late = now - expected
                self._lag = late if late < 0 else max(0.0, late - self.return_delay)
        return True

    def cleared(self, now: float) -> None:
        """The carrier confirms a clear, and will return none of the marks that it set free."""
        if self._clear_unanswered:
            self._clear_unanswered = False
            self._free_at_clear.clear()
            self._measure(now - self._cleared_at)

    def drop_unsent(self) -> list[Cut]:
        """What was not sent is dropped, and what was will be heard; the items that this cut short, in order."""
        cuts = []
        for item_id, item in list(self._unheard.items()):
            if item.finished and item.sent >= item.generated:
                continue  # it was sent to its end
            del self._unheard[item_id]
            if item.heard_for_good is None:
                item.heard_for_good = item.sent
            cuts.append(Cut(item_id, self._ms(item.heard_for_good), self._ms(item.generated)))
        return cuts

    def clear(self, now: float) -> list[Cut]:
        """Everything not heard yet is dropped, here and at the carrier; the items that this cut short, in order."""
        cuts = []
        for item_id, item in self._unheard.items():
            item.heard_for_good = heard = self._heard_of(item_id, now)
            complete = item.finished and heard >= item.generated
            cuts.append(Cut(item_id, self._ms(heard), self._ms(item.generated), complete))
        played = self._position(now)
        self._free_at_clear = {name for name, (position, _) in self._pending.items() if position > played}
        self._unheard.clear()
        self._stretches.clear()
        self._pending.clear()
        self.generation += 1
        self._sent = self._confirmed = 0
        self._ends = self._cleared_at = now
        self._clear_unanswered = True
        return cuts

    def reopen(self, *item_ids: str) -> None:
        """Items that were cut are taken up again where they were cut: what follows is generated already, and sent once more."""
        again = {item_id: self._items[item_id] for item_id in item_ids}
        for item in again.values():
            item.heard_before = item.sent = item.heard_for_good or 0
            item.heard_for_good = None
        self._unheard = again | {item_id: item for item_id, item in self._unheard.items() if item_id not in again}

    def settle(self, now: float) -> list[str]:
        """The items whose last byte has been heard since the last time this was asked, in order."""
        heard = []
        for item_id, item in list(self._unheard.items()):
            end = self._end_of(item_id)
            if not item.finished or item.sent < item.generated:
                break
            if not (self._returns_marks and self._confirmed >= end) and now < self._over_at(end):
                break
            heard.append(item_id)
            del self._unheard[item_id]
            item.heard_for_good = item.generated
        self._forget_heard(now)
        return heard

    # ── what is known ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def speaking(self) -> bool:
        """Whether there is audio that the caller has not heard to its end."""
        return bool(self._unheard)

    def heard_out(self, now: float) -> bool:
        """Whether every item is complete and has been heard to its end by the clock, although marks may be still on their way."""
        return all(
            item.finished and self._heard_of(item_id, now) >= item.generated for item_id, item in self._unheard.items()
        )

    def lead_ms(self, now: float) -> float:
        """How much of what was sent has not been played yet, if the carrier plays without a lag."""
        return max(0.0, self._ends - now) * 1000

    def begins_at(self, now: float) -> float:
        """When the caller begins to hear what is sent now."""
        return max(self._ends, now) + self._lag

    def heard_ms(self, item_id: str, now: float) -> int:
        """How much of an item the caller has heard, rounded down; 0 for an item that is not known."""
        item = self._items.get(item_id)
        if item is None:
            return 0
        return self._ms(self._heard_of(item_id, now) if item.heard_for_good is None else item.heard_for_good)

    def generated_ms(self, item_id: str) -> int:
        """How much of an item there is, rounded down."""
        item = self._items.get(item_id)
        return self._ms(item.generated) if item else 0

    @property
    def current(self) -> str:
        """The first item that the caller has not heard to its end, "" if there is none."""
        return next(iter(self._unheard), "")

    def unheard(self, now: float) -> list[tuple[str, int]]:
        """What was sent and not heard yet, in order: item, or "" for padding, and bytes."""
        position = self._position(now)
        return [
            (stretch.item_id, stretch.end - max(position, stretch.start))
            for stretch in self._stretches
            if stretch.end > position
        ]

    def reaches(self, item_id: str, duration_ms: int) -> float | None:
        """When the caller will have heard so much of an item, by what is known now; None while that much was not sent."""
        item = self._items.get(item_id)
        wanted = ceil(duration_ms * self._bytes_per_ms) - (item.heard_before if item else 0)
        for stretch, begins, _ in self._played():
            if stretch.item_id == item_id:
                size = stretch.end - stretch.start
                if wanted <= size:
                    return begins + self._seconds(max(0, wanted))
                wanted -= size
        return None

    def settles_at(self) -> float | None:
        """When `settle` will have something to tell even if no mark comes; None while the next item is not all sent."""
        for item_id, item in self._unheard.items():
            if item.finished and item.sent >= item.generated:
                return self._over_at(self._end_of(item_id))
            break
        return None

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _played(self) -> Iterator[tuple[_Stretch, float, _Stretch]]:
        """Each stretch, when it begins to be played, and the one that the carrier began with after it had run dry."""
        dry_since = None
        ends = 0.0
        for stretch in self._stretches:
            if dry_since is None or stretch.sent_at > ends:
                dry_since = stretch
                ends = stretch.sent_at + self._lag
            begins = ends
            ends += self._seconds(stretch.end - stretch.start)
            yield stretch, begins, dry_since

    def _position(self, now: float) -> int:
        """How much of the line has been heard by now."""
        position = self._confirmed
        for stretch, begins, _ in self._played():
            if begins > now:
                break
            played = int((now - begins + 1e-9) * 1000 * self._bytes_per_ms)  # floats fall short of whole bytes
            played -= played % self._sample_bytes
            position = max(position, min(stretch.end, stretch.start + played))
        return position

    def _heard_of(self, item_id: str, now: float) -> int:
        position = self._position(now)
        return self._items[item_id].heard_before + sum(
            min(position, stretch.end) - stretch.start
            for stretch in self._stretches
            if stretch.item_id == item_id and stretch.start < position
        )

    def _end_of(self, item_id: str) -> int:
        return max((stretch.end for stretch in self._stretches if stretch.item_id == item_id), default=0)

    def _over_at(self, position: int) -> float:
        grace = self._mark_grace if self._returns_marks else 0.0
        over = 0.0
        for stretch, begins, _ in self._played():
            if stretch.start < position:
                over = begins + self._seconds(min(position, stretch.end) - stretch.start) + grace
        return over

    def _measure(self, delay: float) -> None:
        self.return_delay = min(self.return_delay, delay) if self._measured else delay
        self._measured = True

    def _seconds(self, size: int) -> float:
        return size / self._bytes_per_ms / 1000

    def _ms(self, size: int) -> int:
        return int(size / self._bytes_per_ms + _TINY_MS)

    def _forget_heard(self, now: float) -> None:
        """What nobody asks for any more goes, so that a long call stays as small as a short one."""
        if not self._unheard and (self._confirmed >= self._sent or now >= self._ends + max(0.0, self._lag)):
            self._stretches.clear()
        if len(self._stretches) < 2:
            return
        heard = self._confirmed if self._returns_marks else self._position(now)
        starts = [n for n, (stretch, _, dry) in enumerate(self._played()) if stretch is dry and stretch.start <= heard]
        for stretch in self._stretches[
            : starts[-1]
        ]:  # the next one began when the carrier had run dry, and needs none of these
            if stretch.item_id:
                self._items[stretch.item_id].heard_before += stretch.end - stretch.start
        del self._stretches[: starts[-1]]
