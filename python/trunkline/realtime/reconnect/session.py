"""One conversation over as many of the vendor's sessions as it takes."""

import math
from collections import deque
from dataclasses import replace

import anyio
import anyio.abc

from trunkline.audio import AudioFormat
from trunkline.clock import Clock
from trunkline.errors import ProviderError, SessionClosed
from trunkline.realtime import events
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeProvider
from trunkline.realtime.reconnect.leg import Leg
from trunkline.realtime.reconnect.policy import Endurance
from trunkline.realtime.reconnect.supervisor import Succession
from trunkline.realtime.reconnect.turn_state import Wish

UNREAD = 256
"""Events that may wait to be read before the vendor is read no further."""

CLOSE_TIMEOUT = 10.0
"""Seconds that closing may take."""


def without_limit(capabilities: Capabilities) -> Capabilities:
    """What a session that lasts can do, as against the vendor's."""
    return replace(capabilities, resume=True, session_limit=None)


class LastingSession:
    """One conversation; made by `LastingProvider.connect`.

    As with every session you must iterate over it, and may call the other methods from any task. They do not fail because a vendor's
    session is being replaced: what they do is kept for the next one. `SessionEnded.reason` is "closed" (by this side) or "failed".

    `SessionRotated.reason` is "limit" (replaced in time), "reconnect" (it broke) or "frozen" (it said nothing where it had to). The
    last two come after an `ErrorReported` that is not fatal, and after a `ResponseFinished` with status "failed" if an answer was cut.
    Ids of items, responses and calls are the vendor's; the audio times of speech count from the beginning of the conversation.
    """

    def __init__(
        self,
        provider: RealtimeProvider,
        config: ProcessConfig,
        endurance: Endurance,
        *,
        tasks: anyio.abc.TaskGroup,
        clock: Clock,
    ) -> None:
        self._vendor = provider.name
        self._clock = clock
        self._replay_seconds = endurance.replay_seconds
        self._succession = Succession(
            provider, config, endurance, tasks=tasks, clock=clock, take=self._take, emit=self._emit, fail=self._fail
        )
        self._events: deque[events.SessionEvent] = deque()
        self._news = anyio.Event()
        self._room = anyio.Event()
        self._over = False

    async def open(self) -> None:
        """Connect for the first time; you must call it before anything else, once.

        Raises:
            ProviderError: The vendor refused or could not be reached.
        """
        ready = await self._succession.begin()
        self._capabilities = without_limit(self._succession.capabilities)
        self._input_format = ready.input_format
        self._output_format = ready.output_format
        self._books = self._succession.books
        self._piece = max(1, self._input_format.frame_bytes(1000 * self._replay_seconds / 4))
        self._emit(ready)

    @property
    def capabilities(self) -> Capabilities:
        """What this session can do."""
        return self._capabilities

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes, the same for the whole conversation."""
        return self._input_format

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`, the same for the whole conversation."""
        return self._output_format

    @property
    def dropped_bytes(self) -> int:
        """The caller's audio that no session was given, as replacing one took longer than there is room for."""
        return self._books.input.dropped_bytes

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> "LastingSession":
        return self

    async def __anext__(self) -> events.SessionEvent:
        while not self._events:
            if self._over:
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        self._room.set()
        return self._events.popleft()

    async def _take(self, leg: Leg, event: events.SessionEvent) -> None:
        """Something came from a vendor's session; only the present one's is passed on."""
        if leg is not self._succession.leg or self._over:
            return
        self._books.follow(event, self._clock.now(), position=leg.position)
        if not isinstance(event, events.AudioReceived | events.AgentTranscript):
            self._succession.wake()  # those two change nothing that is waited for
        self._emit(event)
        if len(self._events) >= UNREAD:
            await self._wait_for_room(leg)

    async def _wait_for_room(self, leg: Leg) -> None:
        """Read the vendor no further until its events are read; so long it is not the vendor who is silent."""
        self._succession.is_held_up = True
        try:
            while len(self._events) >= UNREAD and leg is self._succession.leg and not self._over:
                self._room = anyio.Event()
                await self._room.wait()
        finally:
            self._succession.is_held_up = False
            self._books.floor.last_event = self._clock.now()
            self._succession.wake()

    def _emit(self, event: events.SessionEvent) -> None:
        self._events.append(event)
        self._news.set()

    # ── the user's audio ─────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, any number of bytes of `input_format`; it counts as sent even if the caller is cancelled.

        Raises:
            SessionClosed: The session is over; so for all methods.
        """
        self._check_open()
        for start in range(0, len(audio), self._piece):
            self._books.hear(audio[start : start + self._piece])
            if self._books.silence.ms and math.isfinite(self._succession.frozen_from()):
                self._succession.wake()
            await self._catch_up()

    async def commit_audio(self) -> None:
        """End the user's turn by hand; only with the vendor's voice activity detection off. It asks for no answer."""
        self._check_open()
        self._books.input.commit()
        await self._catch_up()

    async def clear_audio(self) -> None:
        """Forget the user's audio that was not committed."""
        async with self._succession.telling, self._succession.order:
            self._check_open()
            self._books.input.clear()
            await self._succession.tell(lambda session: session.clear_audio())

    async def _catch_up(self) -> None:
        if self._succession.leg is None:
            return
        order = self._succession.order
        if order.locked():
            await order.acquire()
        else:
            order.acquire_nowait()  # half the price, fifty times a second
        try:
            await self._succession.catch_up()
        finally:
            order.release()

    # ── the conversation ─────────────────────────────────────────────────────────────────────────────────────────────

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer."""
        async with self._succession.telling, self._succession.order:
            self._check_open()
            self._books.say(text, self._clock.now())
            await self._succession.tell(lambda session: session.send_text(text))

    async def create_response(self, instructions: str | None = None, *, during_tools: bool = False) -> None:
        """Ask for an answer, as soon as none is running; `instructions` hold for this answer alone.

        With `during_tools` it does not wait until the tool calls of the last answer have been answered; if they are by the time there is
        a session again, it is not wanted any more.
        """
        async with self._succession.telling, self._succession.order:
            self._check_open()
            self._books.floor.wish(Wish(instructions, during_tools), self._clock.now())
            await self._succession.tell(
                lambda session: session.create_response(instructions, during_tools=during_tools)
            )

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none."""
        async with self._succession.telling, self._succession.order:
            self._check_open()
            self._books.floor.cancel()
            await self._succession.tell(lambda session: session.cancel_response())

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of its item to the first `heard_ms` milliseconds.

        An item of a session that was replaced is cut in what the sessions to come are told; the present one has been told all of it.
        """
        async with self._succession.telling, self._succession.order:
            self._check_open()
            if self._books.history.truncate(item_id, heard_ms):
                await self._succession.tell(lambda session: session.truncate(item_id, heard_ms=heard_ms))

    async def send_tool_result(self, call_id: str, result: str) -> None:
        """Answer a tool call, once; the model goes on when all calls of its response are answered.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
        """
        async with self._succession.telling, self._succession.order:
            self._check_open()
            if self._books.answer_call(call_id, result, self._clock.now()):
                await self._succession.tell(lambda session: session.send_tool_result(call_id, result))

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on."""
        async with self._succession.telling, self._succession.order:
            self._check_open()
            self._succession.instruct(instructions)
            await self._succession.tell(lambda session: session.update_instructions(instructions))

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """End the session; any number of times, from any task. Iterating then gives `SessionEnded`."""
        self._finish("closed")
        with self._clock.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._succession.wait_ended()

    def _fail(self, error: ProviderError) -> None:
        self._emit(events.ErrorReported(error, fatal=True))
        self._finish("failed", error)

    def _finish(self, reason: str, error: ProviderError | None = None) -> None:
        if not self._over:
            self._over = True
            self._emit(events.SessionEnded(reason, error))
        self._succession.end()
        self._room.set()

    def _check_open(self) -> None:
        if self._over:
            raise SessionClosed(vendor=self._vendor)
