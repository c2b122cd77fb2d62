"""A call's line whose media begins later, or moves from one socket to another, while the call goes on."""

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import anyio

from trunkline.clock import Clock
from trunkline.errors import LocalProtocolError, TransportError
from trunkline.telephony.line import CallLine, LineTraits
from trunkline.wire.telephony.events import MarkReceived, MediaReceived, StreamEvent, StreamStopped

REOPENED_WITHIN: Final = 10.0
"""Seconds in which a carrier that ended the stream for a command opens the next one, besides those that the command itself takes."""


class ContinuedLine:
    """A `CallLine` over one line after the other.

    While the phone of an outbound call rings there is none yet. And some carriers end the media stream to obey a command, then open
    another: after `interruption` the end of one line is not the end of this one. What is sent between two lines waits for the next, marks
    that the old one did not return come back as dropped, and the time of the caller's audio goes on.

    Args:
        traits: What its lines can do.
        clock: What waits are measured by.
        line: The first, which has given `StreamStarted`; None if it is still to come.
    """

    def __init__(self, traits: LineTraits, *, clock: Clock, line: CallLine | None = None) -> None:
        self.traits: Final = traits
        self._clock = clock
        self._line = line
        self._began = clock.now()
        self._offset_ms = 0
        self._marks: deque[str] = deque()
        self._dropped_marks: deque[str] = deque()
        self._wait_until = -1.0
        self._closed = False
        self._changed = anyio.Event()

    # ── whoever has the sockets ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def expects_line(self) -> bool:
        """Whether a line that comes now carries this one on."""
        return not self._closed and (self._line is None or self._clock.now() < self._wait_until)

    async def carry_on(self, line: CallLine) -> None:
        """Go on over this line, which has given `StreamStarted`; returns when it is of no use any more.

        Raises:
            LocalProtocolError: No line is expected.
        """
        if not self.expects_line:
            raise LocalProtocolError("the call has its line already")
        old, self._line = self._line, line
        self._wait_until = -1.0
        if old is None:
            self._began = self._clock.now()
        else:
            self._offset_ms = round((self._clock.now() - self._began) * 1000)
            self._dropped_marks.extend(self._marks)
            self._marks.clear()
        self._change()
        if old is not None:
            await old.aclose()
        while self._line is line and not self._closed:
            await self._changed.wait()

    @property
    def current(self) -> CallLine | None:
        """The line of this moment; None while there was none."""
        return self._line

    @property
    def has_begun(self) -> bool:
        """Whether there was a line."""
        return self._line is not None

    async def wait_line(self) -> None:
        """Wait until no line is expected: it has come, or does not come any more."""
        while self.expects_line:
            remaining = math.inf if self._line is None else self._wait_until - self._clock.now()
            with self._clock.move_on_after(remaining):
                await self._changed.wait()

    @contextmanager
    def interruption(self, seconds: float = 0.0) -> Iterator[None]:
        """Around a command that makes the carrier end the stream and, after so many seconds, open another.

        Where the block raises, nothing was obeyed, and the end of the stream is the end of this line again.
        """
        self._wait_until = self._clock.now() + seconds + REOPENED_WITHIN
        try:
            yield
        except BaseException:
            self._wait_until = -1.0
            self._change()
            raise

    # ── the bridge ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self) -> StreamEvent:
        """As `CallLine.receive`; between two lines it waits."""
        while True:
            if self._dropped_marks:
                return MarkReceived(self._dropped_marks.popleft())
            line = self._current()
            try:
                event = await line.receive()
            except TransportError:
                if not await self._has_next(line):
                    raise
                continue
            if type(event) is StreamStopped and await self._has_next(line):
                continue
            if type(event) is MarkReceived and event.name in self._marks:
                self._marks.remove(event.name)
            if self._offset_ms and type(event) is MediaReceived:
                return replace(event, timestamp_ms=event.timestamp_ms + self._offset_ms)
            return event

    async def send_media(self, payload: bytes) -> None:
        """As `CallLine.send_media`."""
        while True:
            line = self._current()
            try:
                return await line.send_media(payload)
            except TransportError:
                if not await self._has_next(line):
                    raise

    async def send_mark(self, name: str) -> None:
        """As `CallLine.send_mark`."""
        self._marks.append(name)  # before it is sent, since it may return before the send does
        while True:
            line = self._current()
            try:
                return await line.send_mark(name)
            except TransportError:
                if not await self._has_next(line):
                    raise

    async def clear(self) -> None:
        """As `CallLine.clear`; between two lines there is nothing to drop."""
        line = self._current()
        try:
            await line.clear()
        except TransportError:
            if not await self._has_next(line):
                raise

    async def aclose(self) -> None:
        """As `CallLine.aclose`."""
        self._closed = True
        self._change()
        if self._line is not None:
            await self._line.aclose()

    def _current(self) -> CallLine:
        if self._line is None:
            raise LocalProtocolError("the stream has not started")
        return self._line

    async def _has_next(self, line: CallLine) -> bool:
        """Whether another line follows this one, which has ended; waits for it where one is expected."""
        while self._line is line:
            remaining = self._wait_until - self._clock.now()
            if self._closed or remaining <= 0:
                return False
            with self._clock.move_on_after(remaining):
                await self._changed.wait()
        return not self._closed

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
