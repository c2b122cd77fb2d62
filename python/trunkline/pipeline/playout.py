"""The only writer to the phone: whole carrier frames, a bounded lead, marks, and one place where an interruption empties it."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from trunkline.audio import RingBuffer
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.pipeline.ledger import Cut, PlayoutLedger
from trunkline.telephony.line import CallLine

_TINY_MS = 1e-6
"""What sums of floats may be off by: no clock tells a moment so little ahead from now, so it cannot be waited for."""


@dataclass(slots=True)
class _Queued:
    """How many bytes of an item stand next in the ring."""

    item_id: str
    size: int


class Playout:
    """Plays the agent's audio to the caller through a carrier's port.

    You must run `run()` in a task of its own; it sleeps until there is something to do. Audio goes out at once while the carrier holds less
    than half of the lead; after that several frames travel in one message, so that a speaking agent costs a few messages a second and a
    silent one none. After a stall of this program the lead is filled up again in one message.

    Args:
        port: Where the frames go.
        clock: What the pace is measured by.
        on_started: Called with an item's id when its first frame is sent.
        on_heard: Called with an item's id when the caller has heard the last of it.
        on_stop: Awaited when the caller has heard what `stop_after` named.
        on_mark: Called when the carrier confirms audio of this generation.
        on_sent: Called with the number of bytes of each message to the carrier.
        lead_ms: How far to send ahead; the port's own limit if None.
        max_queued_ms: What is generated beyond this is dropped, and counted in `dropped_bytes`.

    `sent_bytes` counts what went to the carrier, and `latest_ms` is how much too late the task woke up at worst: a stall of the program,
    which the caller does not hear as long as it is shorter than half of the lead.
    """

    def __init__(
        self,
        port: CallLine,
        *,
        clock: Clock = SYSTEM_CLOCK,
        on_started: Callable[[str], None],
        on_heard: Callable[[str], None],
        on_stop: Callable[[], Awaitable[None]] | None = None,
        on_mark: Callable[[], None] = lambda: None,
        on_sent: Callable[[int], None] = lambda _: None,
        lead_ms: int | None = None,
        max_queued_ms: int = 600_000,
    ) -> None:
        self._traits = traits = port.traits
        self._port = port
        self._clock = clock
        self._on_started = on_started
        self._on_heard = on_heard
        self._on_stop = on_stop
        self._on_mark = on_mark
        self._on_sent = on_sent
        self._lead_ms = traits.max_lead_ms if lead_ms is None else lead_ms
        self._bytes_per_ms = traits.format.frame_bytes(1)
        self._frame = traits.format.frame_bytes(traits.frame_ms)
        self._frame_of_silence = traits.format.silence(traits.frame_ms)
        self._ring = RingBuffer(capacity=max_queued_ms * self._bytes_per_ms)
        self._queued: deque[_Queued] = deque()
        self._sent_last = bytearray()
        self._held: list[tuple[str, bytes]] | None = None
        self._held_cuts: list[Cut] = []
        self._started: set[str] = set()
        self._ended: set[str] = set()
        self._stop_after: tuple[str, int] | None = None
        self._ledger = PlayoutLedger(self._bytes_per_ms, returns_marks=traits.returns_marks)
        self._wake = anyio.Event()
        self.sent_bytes = 0
        self.dropped_bytes = 0
        self.latest_ms = 0

    # ── the provider's side ──────────────────────────────────────────────────────────────────────────────────────────

    def write(self, item_id: str, audio: bytes) -> None:
        """Queue audio of an item, in the carrier's format and of any length; never waits."""
        if self._held is not None:
            self._held.append((item_id, audio))
            return
        taken = self._queue(item_id, audio)
        if taken:
            self._ledger.generate(item_id, taken)
            self._wake.set()

    def finish(self, item_id: str) -> None:
        """No more audio of this item will come: its last, partial frame may go."""
        self._ended.add(item_id)
        self._ledger.finish(item_id)
        self._wake.set()

    # ── interruptions ────────────────────────────────────────────────────────────────────────────────────────────────

    async def interrupt(self) -> list[Cut]:
        """Stop speaking: drop what is queued, here and at the carrier. Tells which items were cut, and where.

        Raises:
            TransportError: The line is gone.
        """
        if self._held is not None:  # it has been silent since `pause`
            cuts, self._held, self._held_cuts = self._held_cuts, None, []
            return cuts
        cuts = self._ledger.clear(self._clock.now())
        self._forget()
        if self._traits.can_clear:
            await self._port.clear()
        return cuts

    async def pause(self) -> None:
        """Fall silent, but keep what the caller has not heard: `resume` goes on with it, `interrupt` drops it."""
        if self._held is not None:
            return
        now = self._clock.now()
        unheard = self._ledger.unheard(now)
        tail = bytes(self._sent_last[len(self._sent_last) - sum(size for _, size in unheard) :])
        held: list[tuple[str, bytes]] = []
        for item_id, size in unheard:
            held.append((item_id, tail[:size]))
            tail = tail[size:]
        held.extend((queued.item_id, self._ring.read(queued.size)) for queued in self._queued)
        self._held = [(item_id, audio) for item_id, audio in held if item_id]
        self._held_cuts = self._ledger.clear(now)
        self._forget()
        if self._traits.can_clear:
            await self._port.clear()

    def resume(self) -> None:
        """Go on where `pause` fell silent."""
        held, self._held = self._held, None
        if held is None:
            return
        for cut in self._held_cuts:
            self._ledger.reopen(cut.item_id)
        known = {cut.item_id: self._ledger.remaining(cut.item_id) for cut in self._held_cuts}
        self._held_cuts = []
        for item_id, audio in held:
            taken = self._queue(item_id, audio)
            again = min(taken, known.get(item_id, 0))
            known[item_id] = known.get(item_id, 0) - again
            self._ledger.generate(item_id, taken - again)
        self._wake.set()

    def stop_after(self, item_id: str, duration_ms: int) -> None:
        """Await `on_stop` once the caller has heard so much of an item."""
        self._stop_after = (item_id, duration_ms)
        self._wake.set()

    # ── the carrier's side ───────────────────────────────────────────────────────────────────────────────────────────

    def mark_received(self, name: str) -> None:
        """The carrier returned a mark; late and stale ones are ignored."""
        if self._ledger.confirm(name, self._clock.now()):
            self._on_mark()
            self._wake.set()

    @property
    def speaking(self) -> bool:
        """Whether there is audio that the caller has not heard to its end."""
        return self._ledger.speaking or self._held is not None

    @property
    def heard_out(self) -> bool:
        """Whether the caller has heard all there is, by the clock, and no item waits for more."""
        return self._held is None and self._ledger.heard_out(self._clock.now())

    @property
    def current_item(self) -> str:
        """The item that is being heard, "" if there is none."""
        return self._ledger.current

    def heard_ms(self, item_id: str) -> int:
        """How much of an item the caller has heard by now, in milliseconds, rounded down."""
        return self._ledger.heard_ms(item_id, self._clock.now())

    # ── the task ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            TransportError: The line is gone.
        """
        if self._traits.returns_marks:  # nothing is queued, so this one tells how long marks travel
            await self._port.send_mark(self._ledger.mark(self._clock.now()))
        while True:
            self._wake = anyio.Event()
            await self._fill()
            now = self._clock.now()
            for item_id in self._ledger.settle(now):
                self._on_heard(item_id)
            stop_at = self._stop_moment(now)
            if stop_at is not None and stop_at <= now and self._on_stop is not None:
                self._stop_after = None
                await self._on_stop()
                continue
            moments = [moment for moment in (self._next_moment(now), stop_at) if moment is not None]
            if not moments:
                await self._wake.wait()
                continue
            with self._clock.move_on_after(max(0.0, min(moments) - now)) as wait:
                await self._wake.wait()
            if wait.cancelled_caught:
                self.latest_ms = max(self.latest_ms, round((self._clock.now() - min(moments)) * 1000))

    async def _fill(self) -> None:
        now = self._clock.now()
        ahead = self._ledger.lead_ms(now)
        if ahead > self._lead_ms / 2 + _TINY_MS:
            return
        room = int((self._lead_ms - ahead) * self._bytes_per_ms) // self._frame * self._frame
        payload = self._take(max(room, self._frame), now)
        if not payload:
            return
        self.sent_bytes += len(payload)
        self._on_sent(len(payload))
        mark = self._ledger.mark(now)
        await self._port.send_media(payload)
        if self._traits.returns_marks:
            await self._port.send_mark(mark)

    def _take(self, room: int, now: float) -> bytes:
        """Whole frames from the ring, at most `room` bytes; the partial one at the end of all that will come is filled up."""
        queued = len(self._ring)
        size = min(room, queued // self._frame * self._frame)
        rest = queued % self._frame
        padding = 0
        if rest and size + rest == queued and size < room and self._queued[-1].item_id in self._ended:
            size, padding = queued, self._frame - rest
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
        self._sent_last += payload
        del self._sent_last[: -2 * self._lead_ms * self._bytes_per_ms - self._frame]
        return payload

    def _queue(self, item_id: str, audio: bytes) -> int:
        taken = self._ring.write(audio)
        self.dropped_bytes += len(audio) - taken
        if taken and self._queued and self._queued[-1].item_id == item_id:
            self._queued[-1].size += taken
        elif taken:
            self._queued.append(_Queued(item_id, taken))
        return taken

    def _forget(self) -> None:
        self._ring.clear()
        self._queued.clear()
        self._sent_last.clear()
        self._stop_after = None

    def _stop_moment(self, now: float) -> float | None:
        if self._stop_after is None:
            return None
        item_id, duration_ms = self._stop_after
        if self._ledger.heard_ms(item_id, now) >= duration_ms:
            return now
        return self._ledger.reaches(item_id, duration_ms)

    def _next_moment(self, now: float) -> float | None:
        if len(self._ring) >= self._frame or (self._queued and self._queued[-1].item_id in self._ended):
            return now + max(0.0, self._ledger.lead_ms(now) - self._lead_ms / 2) / 1000
        return self._ledger.settles_at()
