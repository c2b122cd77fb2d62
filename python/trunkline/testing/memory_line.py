"""A telephone in memory: a `CallLine` for tests, with a caller at its other end who keeps an account of their own.

    line = MemoryLine(clock=clock)
    async with RealtimeBridge(config, line=line, clock=clock) as bridge:
        line.caller_says(TWILIO.silence(20))
        await line.wait_heard_ms(500)
        line.hang_up()

It plays what it is sent in real time, by the clock, and returns each mark when it is reached, as Twilio does.
"""

from collections import deque
from collections.abc import Callable

import anyio
import anyio.lowlevel

from trunkline.audio import TWILIO
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ConnectionLost, LocalProtocolError, TransportError
from trunkline.telephony.line import LineTraits
from trunkline.wire.telephony.events import (
    Cleared,
    DtmfReceived,
    MarkReceived,
    MediaReceived,
    StreamEvent,
    StreamStopped,
)


class MemoryLine:
    """One call's media, in memory.

    Args:
        traits: What the line can do; Twilio's format and frames of any length if None.
        clock: What it plays by.
        tells_cleared: `clear` is answered by one `Cleared` instead of the marks that were pending.
        keep_messages: Whether `messages` keeps what was sent; otherwise only the figures are kept.

    Attributes:
        messages: What was sent: `("media", payload)`, `("mark", name)`, `("clear",)`.
        sent_bytes: How much audio was sent.
        heard_when_cleared: What the caller had heard at each clear, in milliseconds.
        late_ms: How much too late a mark went back at worst, because the program was not run.
        closed: Whether `aclose` was called.
        blocked: While this is an event that is not set, what is sent waits for it.
    """

    def __init__(
        self,
        traits: LineTraits | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        tells_cleared: bool = False,
        keep_messages: bool = True,
    ) -> None:
        self.traits = traits or LineTraits(format=TWILIO)
        self.messages: list[tuple[object, ...]] = []
        self.sent_bytes = 0
        self.heard_when_cleared: list[float] = []
        self.late_ms = 0.0
        self.closed = False
        self.blocked: anyio.Event | None = None
        self._clock = clock
        self._tells_cleared = tells_cleared
        self._keep_messages = keep_messages
        self._bytes_per_ms = self.traits.format.bytes_per_ms
        self._events: deque[StreamEvent | Exception] = deque()
        self._marks: deque[tuple[float, str]] = deque()
        self._playing: deque[tuple[float, float]] = deque()
        """From when to when audio is played, as far as it is not over."""
        self._played_ms = 0.0
        self._ends = 0.0
        self._timestamp_ms = 0.0
        self._sequence = 0
        self._failure: TransportError | None = None
        self._news = anyio.Event()

    # ── what the caller does ─────────────────────────────────────────────────────────────────────────────────────────

    def caller_says(self, *frames: bytes, timestamp_ms: int | None = None) -> None:
        """Audio of the caller; its timestamps follow one another unless one is given."""
        for frame in frames:
            if timestamp_ms is not None:
                self._timestamp_ms = timestamp_ms
            self._sequence += 1
            self.feed(MediaReceived(frame, int(self._timestamp_ms), self._sequence))
            self._timestamp_ms += len(frame) / self._bytes_per_ms

    def press(self, digit: str) -> None:
        """The caller presses a key."""
        self.feed(DtmfReceived(digit))

    def hang_up(self) -> None:
        """The caller hangs up."""
        self.feed(StreamStopped())

    def lose(self, error: TransportError | None = None) -> None:
        """The line breaks: nothing more can be sent, and what was said before can still be received."""
        self._failure = error or ConnectionLost()
        self.feed(self._failure)

    def feed(self, event: StreamEvent | Exception) -> None:
        """Let any event come, or any failure to receive."""
        self._events.append(event)
        self._notify()

    # ── what the caller hears ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def sent_ms(self) -> float:
        """How much audio was sent."""
        return self.sent_bytes / self._bytes_per_ms

    @property
    def sent(self) -> bytes:
        """The audio that was sent, if messages are kept."""
        return b"".join(bytes(message[1]) for message in self.messages if message[0] == "media")  # type: ignore[call-overload]

    @property
    def heard_ms(self) -> float:
        """What the caller has heard by now, by this side's own account."""
        now = self._clock.now()
        while self._playing and self._playing[0][1] <= now:
            begins, ends = self._playing.popleft()
            self._played_ms += (ends - begins) * 1000
        return self._played_ms + sum(min(ends, now) - begins for begins, ends in self._playing if begins < now) * 1000

    async def wait_sent_ms(self, duration_ms: float) -> None:
        """Wait until so much has been sent in all."""
        await self._wait(lambda: self.sent_ms >= duration_ms)

    async def wait_heard_ms(self, duration_ms: float) -> None:
        """Wait until the caller has heard so much in all."""
        while (missing := duration_ms - self.heard_ms) > 0:
            with self._clock.move_on_after(missing / 1000):
                await self._news.wait()

    # ── the line ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> StreamEvent:
        """What the caller does, and each mark when playback has reached it.

        Raises:
            TransportError: The line was lost.
        """
        await anyio.lowlevel.checkpoint()
        while True:
            now = self._clock.now()
            if self._marks and self._marks[0][0] <= now:
                due, name = self._marks.popleft()
                self.late_ms = max(self.late_ms, (now - due) * 1000)
                return MarkReceived(name)
            if self._events:
                event = self._events.popleft()
                if isinstance(event, Exception):
                    raise event
                return event
            if self._marks:
                with self._clock.move_on_after(self._marks[0][0] - now):
                    await self._news.wait()
            else:
                await self._news.wait()

    async def send_media(self, payload: bytes) -> None:
        """Play this behind what is played already.

        Raises:
            LocalProtocolError: The payload holds no whole frames, on a line that asks for them.
            TransportError: The line was lost.
        """
        await self._check()
        frame = self.traits.format.frame_bytes(self.traits.frame_ms)
        if self.traits.whole_frames and len(payload) % frame:
            raise LocalProtocolError(f"{len(payload)} bytes are no whole frames of {frame}")
        self._note("media", payload)
        self.sent_bytes += len(payload)
        begins = max(self._ends, self._clock.now())
        self._ends = begins + len(payload) / self._bytes_per_ms / 1000
        self._playing.append((begins, self._ends))
        self._notify()

    async def send_mark(self, name: str) -> None:
        """Return this mark when what was sent before has been played.

        Raises:
            LocalProtocolError: The line has no marks.
            TransportError: The line was lost.
        """
        await self._check()
        if not self.traits.returns_marks:
            raise LocalProtocolError("this line returns no marks")
        self._note("mark", name)
        self._marks.append((max(self._ends, self._clock.now()), name))
        self._notify()

    async def clear(self) -> None:
        """Stop playing; what was sent and not played is not heard.

        Raises:
            LocalProtocolError: The line cannot do so.
            TransportError: The line was lost.
        """
        await self._check()
        if not self.traits.can_clear:
            raise LocalProtocolError("this line cannot clear")
        self._note("clear")
        now = self._clock.now()
        self._playing = deque((begins, min(ends, now)) for begins, ends in self._playing if begins < now)
        self._ends = now
        self.heard_when_cleared.append(self.heard_ms)
        if self._tells_cleared:
            self._marks.clear()
            self.feed(Cleared())
        self._marks = deque((min(due, now), name) for due, name in self._marks)
        self._notify()

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _check(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.blocked is not None:
            await self.blocked.wait()
        if self._failure is not None:
            raise self._failure

    def _note(self, *message: object) -> None:
        if self._keep_messages:
            self.messages.append(message)

    async def _wait(self, happened: Callable[[], bool]) -> None:
        while not happened():
            await self._news.wait()

    def _notify(self) -> None:
        self._news.set()
        self._news = anyio.Event()
