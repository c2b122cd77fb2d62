"""The only writer to the phone: a bounded lead, marks, and one place where an interruption empties the line."""

from collections import deque
from typing import Protocol

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.pipeline.ledger import Cut, PlayoutLedger
from trunkline.telephony.line import LineTraits

_TINY_MS = 1e-6
"""What sums of floats may be off by: no clock tells a moment so little ahead from now, so it cannot be waited for."""

MOST_QUEUED_MS = 600_000
"""What is generated beyond this is dropped: ten minutes."""


class OutgoingMedia(Protocol):
    """The outgoing half of a `CallLine`; what the methods do and raise stands there."""

    @property
    def traits(self) -> LineTraits:
        """What the line can do."""
        ...

    async def send_media(self, payload: bytes) -> None:
        """Queue audio at the carrier."""
        ...

    async def send_mark(self, name: str) -> None:
        """Ask for a mark behind it."""
        ...

    async def clear(self) -> None:
        """Drop what is queued."""
        ...


class PlayoutListener(Protocol):
    """Who is told what becomes of the audio; plain methods that return at once."""

    def agent_started(self, item_id: str) -> None:
        """The first frame of an item was sent."""

    def agent_heard(self, item_id: str) -> None:
        """The caller has heard the last of an item."""

    def stop_reached(self) -> None:
        """The caller has heard what `stop_after` named."""

    def mark_returned(self) -> None:
        """The carrier confirmed audio."""

    def audio_sent(self, payload: bytes, begins: float) -> None:
        """A message of audio goes to the carrier; the caller hears it from `begins` on."""

    def audio_cut(self, size: int) -> None:
        """The last `size` bytes that went to the carrier will not be heard."""


class Playout:
    """Plays the agent's audio to the caller.

    You must run `run()` in a task of its own; it alone writes to the line, and sleeps until there is something to do. Everything else
    returns at once. Audio goes out at once while the carrier holds less than half of the lead; after that several frames travel in one
    message, so that a speaking agent costs a few messages a second and a silent one none. After a stall of this program the lead is filled
    up again in one message.

    Args:
        line: Where the audio goes.
        listener: Who is told.
        clock: What the pace is measured by.
        lead_ms: How far to send ahead; the line's own limit if None.
        max_queued_ms: What is generated beyond this is dropped, and counted in `dropped_bytes`.

    Attributes:
        sent_bytes: What went to the carrier.
        latest_ms: How much too late the task woke up at worst: a stall of the program.
    """

    def __init__(
        self,
        line: OutgoingMedia,
        listener: PlayoutListener,
        *,
        clock: Clock = SYSTEM_CLOCK,
        lead_ms: int | None = None,
        max_queued_ms: int = MOST_QUEUED_MS,
    ) -> None:
        self._traits = traits = line.traits
        self._line = line
        self._listener = listener
        self._clock = clock
        self._lead_ms = traits.max_lead_ms if lead_ms is None else lead_ms
        self._bytes_per_ms = traits.format.bytes_per_ms
        self._sample = traits.format.sample_bytes
        self._frame = traits.format.frame_bytes(traits.frame_ms) if traits.whole_frames else self._sample
        self._silence = traits.format.silence(traits.frame_ms)
        self._most_queued = int(max_queued_ms * self._bytes_per_ms)
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queued = 0
        self._sent: deque[bytes] = deque()
        """What went to the carrier last, for `pause`."""
        self._sent_size = 0
        self._most_sent = int(2 * self._lead_ms * self._bytes_per_ms) + self._frame
        self._paused = False
        self._paused_cuts: list[Cut] = []
        self._started: set[str] = set()
        self._ended: set[str] = set()
        self._stop_after: tuple[str, int] | None = None
        self._ledger = PlayoutLedger(self._bytes_per_ms, returns_marks=traits.returns_marks, sample_bytes=self._sample)
        self._clear_due = False
        self._wake = anyio.Event()
        self.sent_bytes = 0
        self.dropped_bytes = 0
        self.latest_ms = 0

    # ── the provider's side ──────────────────────────────────────────────────────────────────────────────────────────

    def write(self, item_id: str, audio: bytes) -> None:
        """Queue audio of an item, in the carrier's format and of any length."""
        room = max(0, self._most_queued - self._queued)
        if len(audio) > room:
            self.dropped_bytes += len(audio) - room
            audio = audio[:room]
        if audio:
            self._queue.append((item_id, audio))
            self._queued += len(audio)
            self._ledger.generate(item_id, len(audio))
            self._wake.set()

    def finish(self, item_id: str) -> None:
        """No more audio of this item will come: its last, partial frame may go."""
        self._ended.add(item_id)
        self._ledger.finish(item_id)
        self._wake.set()

    # ── interruptions ────────────────────────────────────────────────────────────────────────────────────────────────

    def interrupt(self) -> list[Cut]:
        """Stop speaking: drop what is queued here and, before anything else is sent, at the carrier.

        Returns which items were cut, and where. A line that cannot clear plays what it was sent to its end; that counts as heard.
        """
        cuts, self._paused_cuts = {cut.item_id: cut for cut in self._paused_cuts}, []
        dropped = self._ledger.drop_unsent() if self._paused else self._drop()
        cuts.update((cut.item_id, cut) for cut in dropped)
        self._paused = False
        self._stop_after = None
        self._queue.clear()
        self._queued = 0
        return list(cuts.values())

    def pause(self) -> None:
        """Fall silent, but keep what the caller has not heard: `resume` goes on with it, `interrupt` drops it."""
        if self._paused:
            return
        self._paused = True
        if not self._traits.can_clear:
            return
        unheard = self._ledger.unheard(self._clock.now())
        tail = b"".join(self._sent)
        tail = tail[len(tail) - sum(size for _, size in unheard) :]
        again: list[tuple[str, bytes]] = []
        for item_id, size in unheard:
            if item_id:  # and no padding
                again.append((item_id, tail[:size]))
            tail = tail[size:]
        self._paused_cuts = self._drop()
        self._queue.extendleft(reversed(again))
        self._queued += sum(len(audio) for _, audio in again)

    def resume(self) -> None:
        """Go on where `pause` fell silent."""
        if not self._paused:
            return
        self._paused = False
        cuts, self._paused_cuts = self._paused_cuts, []
        self._ledger.reopen(*(cut.item_id for cut in cuts))
        self._wake.set()

    def stop_after(self, item_id: str, duration_ms: int) -> None:
        """Tell the listener once the caller has heard so much of an item."""
        self._stop_after = (item_id, duration_ms)
        self._wake.set()

    # ── the carrier's side ───────────────────────────────────────────────────────────────────────────────────────────

    def mark_received(self, name: str) -> None:
        """The carrier returned a mark; late and stale ones are ignored."""
        if self._ledger.confirm(name, self._clock.now()):
            self._listener.mark_returned()
            self._wake.set()

    def cleared(self) -> None:
        """The carrier dropped what it held, and returns none of the marks that were pending."""
        self._ledger.cleared(self._clock.now())

    @property
    def speaking(self) -> bool:
        """Whether there is audio that the caller has not heard to its end."""
        return self._ledger.speaking or bool(self._paused_cuts)

    @property
    def heard_out(self) -> bool:
        """Whether the caller has heard all there is, by the clock, and no item waits for more."""
        return not self._paused and self._ledger.heard_out(self._clock.now())

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
            await self._line.send_mark(self._ledger.mark(self._clock.now()))
        while True:
            self._wake = anyio.Event()
            if self._clear_due:
                self._clear_due = False
                await self._line.clear()
            else:
                await self._fill()
            if self._clear_due:
                continue
            now = self._clock.now()
            for item_id in self._ledger.settle(now):
                self._listener.agent_heard(item_id)
            stop_at = self._stop_moment(now)
            if stop_at is not None and stop_at <= now:
                self._stop_after = None
                self._listener.stop_reached()
                continue
            await self._rest(now, stop_at)

    async def _rest(self, now: float, stop_at: float | None) -> None:
        """Wait for news, or for the next moment at which something is to be done."""
        moments = [moment for moment in (self._next_moment(now), stop_at) if moment is not None]
        if not moments:
            await self._wake.wait()
            return
        moment = min(moments)
        with self._clock.move_on_after(max(0.0, moment - now)) as wait:
            await self._wake.wait()
        if wait.cancelled_caught:
            self.latest_ms = max(self.latest_ms, round((self._clock.now() - moment) * 1000))

    async def _fill(self) -> None:
        now = self._clock.now()
        ahead = self._ledger.lead_ms(now)
        if self._paused or ahead > self._lead_ms / 2 + _TINY_MS:
            return
        room = int((self._lead_ms - ahead) * self._bytes_per_ms) // self._frame * self._frame
        begins = self._ledger.begins_at(now)
        payload = self._take(max(room, self._frame), now)
        if not payload:
            return
        self.sent_bytes += len(payload)
        self._listener.audio_sent(payload, begins)
        mark = self._ledger.mark(now) if self._traits.returns_marks else ""
        await self._line.send_media(payload)
        if mark:
            await self._line.send_mark(mark)

    def _take(self, room: int, now: float) -> bytes:
        """At most `room` bytes from the queue, in whole frames; the partial one at the end of all that will come is filled up."""
        size = min(room, self._queued // self._frame * self._frame)
        rest = self._queued % self._frame
        padding = 0
        if rest and size + rest == self._queued and size < room and self._queue[-1][0] in self._ended:
            size, padding = self._queued, self._frame - rest
        self._queued -= size
        pieces: list[bytes] = []
        while size:
            item_id, audio = self._queue.popleft()
            if len(audio) > size:
                self._queue.appendleft((item_id, memoryview(audio)[size:]))  # type: ignore[arg-type] # only joined again
                audio = audio[:size]
            pieces.append(audio)
            size -= len(audio)
            self._ledger.send(item_id, len(audio), now)
            if item_id not in self._started:
                self._started.add(item_id)
                self._listener.agent_started(item_id)
        if padding:
            pieces.append(self._silence[:padding])
            self._ledger.send("", padding, now)
        payload = b"".join(pieces)
        self._sent.append(payload)
        self._sent_size += len(payload)
        while self._sent_size - len(self._sent[0]) >= self._most_sent:
            self._sent_size -= len(self._sent.popleft())
        return payload

    def _drop(self) -> list[Cut]:
        """Let the carrier forget what was not heard, or what was not sent where it cannot; tells which items that cut."""
        self._stop_after = None
        if not self._traits.can_clear:
            return self._ledger.drop_unsent()
        self._clear_due = True
        self._wake.set()
        self._sent.clear()
        self._sent_size = 0
        now = self._clock.now()
        if size := sum(size for _, size in self._ledger.unheard(now)):
            self._listener.audio_cut(size)
        return self._ledger.clear(now)

    def _stop_moment(self, now: float) -> float | None:
        if self._stop_after is None:
            return None
        item_id, duration_ms = self._stop_after
        if self._ledger.heard_ms(item_id, now) >= duration_ms:
            return now
        return self._ledger.reaches(item_id, duration_ms)

    def _next_moment(self, now: float) -> float | None:
        ready = self._queued >= self._frame or (self._queue and self._queue[-1][0] in self._ended)
        if ready and not self._paused:
            return now + max(0.0, self._ledger.lead_ms(now) - self._lead_ms / 2) / 1000
        return self._ledger.settles_at()
