"""The only writer to the phone: whole carrier frames, a bounded lead, marks, and one place where an interruption empties it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from trunkline.audio import RingBuffer
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.pipeline.ledger import Cut, PlayoutLedger
from trunkline.telephony.port import CarrierPort


@dataclass(slots=True)
class _Queued:
    """How many bytes of an item stand next in the ring."""

    item_id: str
    size: int


class Playout:
    """Plays the agent's audio to the caller through a carrier's port.

    You must run `run()` in a task of its own; it sleeps until there is something to send. Audio goes out at once while the carrier holds
    less than half of the lead; after that several frames travel in one message, so that a speaking agent costs a few messages a second and
    a silent one none.

    Args:
        port: Where the frames go.
        clock: What the pace is measured by.
        on_started: Called with an item's id when its first frame is sent.
        on_heard: Called with an item's id when the caller has heard the last of it.
        lead_ms: How far to send ahead; the port's own limit if None.
        max_queued_ms: What is generated beyond this is dropped, and counted in `dropped_bytes`.
    """

    def __init__(
        self,
        port: CarrierPort,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_started: Callable[[str], None],
        on_heard: Callable[[str], None],
        lead_ms: int | None = None,
        max_queued_ms: int = 600_000,
    ) -> None:
        traits = port.traits
        self._port = port
        self._clock = clock
        self._on_started = on_started
        self._on_heard = on_heard
        self._lead_ms = traits.max_lead_ms if lead_ms is None else lead_ms
        self._bytes_per_ms = traits.format.frame_bytes(1)
        self._frame = traits.format.frame_bytes(traits.frame_ms)
        self._frame_of_silence = traits.format.silence(traits.frame_ms)
        self._ring = RingBuffer(capacity=max_queued_ms * self._bytes_per_ms)
        self._queued: deque[_Queued] = deque()
        self._started: set[str] = set()
        self._ended: set[str] = set()
        self._ledger = PlayoutLedger(self._bytes_per_ms, returns_marks=traits.returns_marks)
        self._wake = anyio.Event()
        self.sent_bytes = 0
        self.dropped_bytes = 0

    # ── the provider's side ──────────────────────────────────────────────────────────────────────────────────────────

    def write(self, item_id: str, audio: bytes) -> None:
        """Queue audio of an item, in the carrier's format and of any length; never waits."""
        taken = self._ring.write(audio)
        self.dropped_bytes += len(audio) - taken
        if not taken:
            return
        if self._queued and self._queued[-1].item_id == item_id:
            self._queued[-1].size += taken
        else:
            self._queued.append(_Queued(item_id, taken))
        self._ledger.generate(item_id, taken)
        self._wake.set()

    def finish(self, item_id: str) -> None:
        """No more audio of this item will come: its last, partial frame may go."""
        self._ended.add(item_id)
        self._ledger.finish(item_id)
        self._wake.set()

    async def interrupt(self) -> list[Cut]:
        """Stop speaking: drop what is queued, here and at the carrier. Tells which items were cut, and where.

        Raises:
            TransportError: The line is gone.
        """
        cuts = self._ledger.clear(self._clock.now())
        self._ring.clear()
        self._queued.clear()
        if self._port.traits.can_clear:
            await self._port.clear()
        return cuts

    # ── the carrier's side ───────────────────────────────────────────────────────────────────────────────────────────

    def mark_received(self, name: str) -> None:
        """The carrier returned a mark; late and stale ones are ignored."""
        if self._ledger.confirm(name, self._clock.now()):
            self._wake.set()

    @property
    def speaking(self) -> bool:
        """Whether there is audio that the caller has not heard to its end."""
        return self._ledger.speaking

    def heard_ms(self, item_id: str) -> int:
        """How much of an item the caller has heard by now, in milliseconds, rounded down."""
        return self._ledger.heard_ms(item_id, self._clock.now())

    # ── the task ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            TransportError: The line is gone.
        """
        while True:
            self._wake = anyio.Event()
            await self._fill()
            for item_id in self._ledger.settle(self._clock.now()):
                self._on_heard(item_id)
            moment = self._next_moment()
            if moment is None:
                await self._wake.wait()
            else:
                with self._clock.move_on_after(max(0.0, moment - self._clock.now())):
                    await self._wake.wait()

    async def _fill(self) -> None:
        now = self._clock.now()
        ahead = self._ledger.lead_ms(now)
        if ahead > self._lead_ms / 2:
            return
        room = int((self._lead_ms - ahead) * self._bytes_per_ms) // self._frame * self._frame
        payload = self._take(max(room, self._frame), now)
        if not payload:
            return
        self.sent_bytes += len(payload)
        mark = self._ledger.mark()
        await self._port.send_media(payload)
        if self._port.traits.returns_marks:
            await self._port.send_mark(mark)

    def _take(self, room: int, now: float) -> bytes:
        """Whole frames from the ring, at most `room` bytes; the partial one at the end of all that will come is filled up."""
        queued = len(self._ring)
        size = min(room, queued // self._frame * self._frame)
        padding = 0
        if (
            size == queued - queued % self._frame < room
            and queued % self._frame
            and self._queued[-1].item_id in self._ended
        ):
            padding = self._frame - queued % self._frame
            size = queued
        payload = self._ring.read(size) + self._frame_of_silence[:padding]
        while size:
            first = self._queued[0]
            part = min(first.size, size)
            first.size -= part
            size -= part
            self._ledger.send(first.item_id, part, now)
            if first.item_id not in self._started:
                self._started.add(first.item_id)
                self._on_started(first.item_id)
            if not first.size:
                self._queued.popleft()
        if padding:
            self._ledger.send("", padding, now)
        return payload

    def _next_moment(self) -> float | None:
        now = self._clock.now()
        if len(self._ring) >= self._frame or (self._queued and self._queued[-1].item_id in self._ended):
            return now + max(0.0, self._ledger.lead_ms(now) - self._lead_ms / 2) / 1000
        return self._ledger.settles_at()
