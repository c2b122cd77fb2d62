"""Whatever happens on the line, the ledger knows what the caller heard.

A simulated carrier plays what it gets, with a buffer of its own, some way between it and us, and marks that travel back, late or never. The
account is compared with what was really played.
"""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.pipeline.ledger import Cut, PlayoutLedger

FRAME_MS = 20


@dataclass
class Carrier:
    """Plays 8 bytes a millisecond. All times are in milliseconds of the simulation."""

    way_there: int
    way_back: int
    start_up: int
    line: list[tuple[str, int, int]] = field(default_factory=list)
    """Item, and from when to when it is played."""
    marks: list[tuple[int, int, str]] = field(default_factory=list)
    """When a mark is reached, when we get to know, and its name."""
    heard_before: dict[str, int] = field(default_factory=dict)

    def media(self, item: str, duration: int, now: int) -> None:
        arrives = now + self.way_there
        free = self.line[-1][2] if self.line else -1
        begins = free if free > arrives else arrives + self.start_up
        self.line.append((item, begins, begins + duration))

    def mark(self, name: str, now: int, *, lost: bool) -> None:
        reached = max(now + self.way_there, self.line[-1][2] if self.line else -1)
        if not lost:
            self.marks.append((reached, reached + self.way_back, name))

    def clear(self, now: int) -> None:
        when = now + self.way_there
        for item, begins, ends in self.line:
            self.heard_before[item] = self.heard_before.get(item, 0) + max(0, min(when, ends) - begins)
        self.line.clear()
        self.marks = [
            (min(reached, when), min(known, when + self.way_back), name) for reached, known, name in self.marks
        ]

    def heard(self, item: str, now: int) -> int:
        playing = sum(max(0, min(now, ends) - begins) for name, begins, ends in self.line if name == item)
        return self.heard_before.get(item, 0) + playing


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("speak"), st.integers(1, 40), st.booleans()),
        st.tuples(st.just("wait"), st.integers(1, 900), st.just(False)),
        st.tuples(st.just("interrupt"), st.just(0), st.just(False)),
        st.tuples(st.just("ask"), st.just(0), st.just(False)),
        st.tuples(st.just("next item"), st.just(0), st.just(False)),
    ),
    max_size=40,
)


class Simulation:
    """Drives ledger and carrier side by side; one frame of 20 ms is 160 bytes."""

    def __init__(self, carrier: Carrier, *, returns_marks: bool) -> None:
        self.carrier = carrier
        self.ledger = PlayoutLedger(8, returns_marks=returns_marks)
        self.returns_marks = returns_marks
        self.now = 0
        self.items = 1
        self.informed = not carrier.start_up
        self.guessed: set[str] = set()
        """Items that were cut before the first mark told how late the carrier begins."""
        if returns_marks:
            carrier.mark(self.ledger.mark(0.0), 0, lost=False)
            self.wait(carrier.way_there + carrier.way_back + 1)

    @property
    def seconds(self) -> float:
        return self.now / 1000

    @property
    def item(self) -> str:
        return f"item {self.items}"

    def speak(self, frames: int, *, lost: bool) -> None:
        if self.carrier.line and self.carrier.line[-1][2] == self.now + self.carrier.way_there:
            self.wait(1)  # whether what arrives at the very end of the audio comes too late is nobody's to say
        size = frames * FRAME_MS * 8
        self.ledger.generate(self.item, size)
        self.ledger.send(self.item, size, self.seconds)
        self.carrier.media(self.item, frames * FRAME_MS, self.now)
        if self.returns_marks:
            # Where the carrier begins late and the mark that tells so is lost, nobody can know.
            self.carrier.mark(self.ledger.mark(self.seconds), self.now, lost=lost and not self.carrier.start_up)

    def wait(self, duration: int) -> None:
        end = self.now + duration
        for _, known, name in sorted(self.carrier.marks, key=lambda mark: mark[1]):
            if known <= end:
                self.now = max(self.now, known)
                self.informed = self.ledger.confirm(name, self.seconds) or self.informed
        self.carrier.marks = [mark for mark in self.carrier.marks if mark[1] > end]
        self.now = end

    def interrupt(self) -> list[Cut]:
        cuts = self.ledger.clear(self.seconds)
        self.carrier.clear(self.now)
        if not self.informed:
            self.guessed.update(cut.item_id for cut in cuts)
        self.items += 1
        return cuts

    def check(self, item: str, told: int) -> None:
        heard = self.carrier.heard(item, self.now)
        known = self.informed and item not in self.guessed
        tolerated = FRAME_MS if known else FRAME_MS + self.carrier.start_up
        assert abs(told - heard) <= tolerated, f"{item}: told {told} ms, heard {heard} ms"


@settings(max_examples=600, deadline=None)
@given(
    actions=ACTIONS,
    way_there=st.integers(0, 15),
    way_back=st.integers(0, 400),
    start_up=st.sampled_from([0, 0, 60, 150]),
    returns_marks=st.booleans(),
)
def test_the_account_is_within_a_frame_of_what_was_heard(
    actions: list[tuple[str, int, bool]], way_there: int, way_back: int, start_up: int, *, returns_marks: bool
) -> None:
    carrier = Carrier(way_there, way_back, start_up if returns_marks else 0)
    on = Simulation(carrier, returns_marks=returns_marks)
    for action, amount, lost in actions:
        if action == "speak":
            on.speak(amount, lost=lost)
        elif action == "wait":
            on.wait(amount)
        elif action == "next item":
            on.ledger.finish(on.item)
            on.items += 1
        elif action == "interrupt":
            generation = on.ledger.generation
            for cut in on.interrupt():
                assert 0 <= cut.heard_ms <= cut.generated_ms
                on.check(cut.item_id, cut.heard_ms)
            assert on.ledger.generation == generation + 1
            assert not on.ledger.speaking
            assert on.ledger.lead_ms(on.seconds) == 0
        for number in range(1, on.items + 1):
            item = f"item {number}"
            on.check(item, on.ledger.heard_ms(item, on.seconds))
        on.ledger.settle(on.seconds)


@settings(max_examples=300, deadline=None)
@given(
    durations=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    way_back=st.integers(0, 300),
    losses=st.lists(st.booleans(), min_size=8, max_size=8),
    returns_marks=st.booleans(),
)
def test_every_item_is_over_once_and_in_order_and_never_early(
    durations: list[int], way_back: int, losses: list[bool], *, returns_marks: bool
) -> None:
    carrier = Carrier(0, way_back, 0)
    on = Simulation(carrier, returns_marks=returns_marks)
    for frames, lost in zip(durations, losses, strict=False):
        on.speak(frames, lost=lost)
        on.ledger.finish(on.item)
        on.items += 1
    over: list[str] = []
    for _ in range(2000):
        for item in on.ledger.settle(on.seconds):
            assert carrier.heard(item, on.now) >= on.ledger.generated_ms(item) - FRAME_MS
            over.append(item)
        on.wait(10)
        if not on.ledger.speaking:
            break
    assert over == [f"item {number}" for number in range(1, len(durations) + 1)]


@settings(max_examples=200, deadline=None)
@given(stall=st.integers(0, 500), way_back=st.integers(0, 300), before=st.integers(1, 20))
def test_a_stall_of_the_carrier_is_known_with_the_next_mark(stall: int, way_back: int, before: int) -> None:
    carrier = Carrier(0, way_back, 0)
    on = Simulation(carrier, returns_marks=True)
    for _ in range(10):
        on.speak(10, lost=False)
    on.wait(before * 10)
    carrier.line = [
        (item, begins + stall if begins > on.now else begins, ends + stall) for item, begins, ends in carrier.line
    ]
    carrier.marks = [(reached + stall, known + stall, name) for reached, known, name in carrier.marks]
    on.wait(200 + stall + way_back)
    told = on.ledger.heard_ms(on.item, on.seconds)
    assert abs(told - (on.now - way_back - 1 - stall)) <= FRAME_MS or told == 2000
