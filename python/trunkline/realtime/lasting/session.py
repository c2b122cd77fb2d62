"""One conversation over as many of the vendor's sessions as it takes."""

import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

import anyio
import anyio.abc

from trunkline.audio import AudioFormat
from trunkline.clock import Clock
from trunkline.conversation import pending_calls
from trunkline.errors import (
    ConnectionFailed,
    LocalProtocolError,
    ProviderError,
    RequestRejected,
    SessionClosed,
    TrunklineError,
)
from trunkline.realtime import events
from trunkline.realtime.lasting.floor import Floor
from trunkline.realtime.lasting.history import History
from trunkline.realtime.lasting.input_log import InputLog
from trunkline.realtime.lasting.leg import Leg
from trunkline.realtime.lasting.policy import Endurance
from trunkline.realtime.lasting.silence import Silence
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeProvider, RealtimeSession

log = logging.getLogger(__name__)

UNREAD = 256
"""Events that may wait to be read before the vendor is read no further."""

CLOSE_TIMEOUT = 10.0
"""Seconds that closing may take."""

_FROZEN = "the vendor says nothing although something is due"
_REFORMED = "the vendor's new session uses other audio formats"

Reason = Literal["limit", "reconnect", "frozen"]


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
        self._provider = provider
        self._config = config
        self._endurance = endurance
        self._tasks = tasks
        self._clock = clock
        self._legs: list[Leg] = []
        self._leg: Leg | None = None
        self._history = History(config.history)
        self._floor = Floor(clock.now())
        self._calls = dict.fromkeys(pending_calls(config.history), False)
        self._revision = 0
        self._leg_formats: tuple[AudioFormat, AudioFormat] | None = None
        self._books = anyio.Lock()
        """Held by what changes the history, and while a new session is told of it with none to serve meanwhile."""
        self._order = anyio.Lock()
        """Held by who sends to the present session; taken after the other."""
        self._events: deque[events.SessionEvent] = deque()
        self._news = anyio.Event()
        self._room = anyio.Event()
        self._is_held_up = False
        self._wake = anyio.Event()
        self._delays = endurance.reconnect.delays()
        self._rotate_again = 0.0
        self._over = False

    async def open(self) -> None:
        """Connect for the first time; you must call it before anything else, once.

        Raises:
            ProviderError: The vendor refused or could not be reached.
        """
        leg = await self._connect()
        assert leg.ready is not None  # noqa: S101 - else connecting had failed
        self._capabilities = without_limit(leg.session.capabilities)
        self._limit = leg.session.capabilities.session_limit
        self._input_format = leg.session.input_format
        self._output_format = leg.session.output_format
        self._config = replace(self._config, input_format=self._input_format, output_format=self._output_format)
        self._input = InputLog(self._input_format, seconds=self._endurance.replay_seconds)
        self._piece = max(1, self._input_format.frame_bytes(1000 * self._endurance.replay_seconds / 4))
        self._silence = Silence(self._input_format)
        self._events.append(leg.ready)
        self._adopt(leg)
        self._tasks.start_soon(self._keep, name="trunkline lasting session")

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
        return self._input.dropped_bytes

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
        if leg is not self._leg or self._over:
            return
        self._follow(leg, event)
        self._emit(event)
        while len(self._events) >= UNREAD and leg is self._leg and not self._over:
            self._is_held_up = True
            self._room = anyio.Event()
            await self._room.wait()
        if self._is_held_up:
            self._is_held_up = False
            self._floor.last_event = self._clock.now()

    def _follow(self, leg: Leg, event: events.SessionEvent) -> None:
        """Keep the books."""
        asked = bool(self._floor.wishes)
        self._floor.take(event, self._clock.now(), self._output_format)
        self._history.take(event)
        self._revision += 1
        match event:
            case events.AudioReceived() | events.AgentTranscript():
                return  # these change nothing that the keeper could be waiting for
            case events.SpeechStarted():
                self._silence.reset()
            case events.SpeechStopped(item_id, audio_end_ms):
                end = self._input_format.frame_bytes(audio_end_ms) if audio_end_ms else leg.position
                self._input.turn_ended(item_id, end)
            case events.UserTranscript(is_final=True, item_id=item_id):
                self._input.understood(item_id)
            case events.ResponseStarted(response_id):
                if not self._input.answer_began(response_id) and not asked:
                    self._input.turn_ended("", leg.position)  # a vendor that does not tell of turns, only answers them
                    self._input.answer_began(response_id)
            case events.ResponseFinished(response_id, "completed"):
                self._input.answer_completed(response_id)
            case events.ToolCallRequested(call_id):
                self._calls[call_id] = False
            case _:
                pass
        self._wake.set()

    def _emit(self, event: events.SessionEvent) -> None:
        self._events.append(event)
        self._news.set()

    # ── the user's audio ─────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, any number of bytes of `input_format`; it is accepted although the caller may be cancelled then.

        Raises:
            SessionClosed: The session is over; so for all methods.
        """
        for start in range(0, len(audio), self._piece):
            self._check_open()
            piece = audio[start : start + self._piece]
            self._input.add(piece)
            if self._floor.user_speaks:
                self._silence.hear(piece)
                self._wake.set()
            if self._leg is not None:
                async with self._order:
                    await self._catch_up()
        self._check_open()

    async def commit_audio(self) -> None:
        """End the user's turn by hand; only with the vendor's voice activity detection off. It asks for no answer."""
        self._check_open()
        self._input.commit()
        if self._leg is not None:
            async with self._order:
                await self._catch_up()

    async def clear_audio(self) -> None:
        """Forget the user's audio that was not committed."""
        async with self._books, self._order:
            self._check_open()
            self._input.clear()
            await self._tell(lambda session: session.clear_audio())

    async def _catch_up(self) -> None:
        """Give the present session what it was not given yet, in order; you must hold the lock."""
        while (leg := self._leg) is not None and leg.next_entry < self._input.last:
            leg.next_entry = max(leg.next_entry, self._input.first)
            entry = self._input.entry(leg.next_entry)
            assert entry is not None  # noqa: S101 - it is within the bounds
            leg.next_entry += 1
            if entry.audio is None:
                with leg.sending():
                    await leg.session.commit_audio()
            elif entry.audio:
                leg.skipped = entry.position - leg.sent_bytes
                leg.sent_bytes += len(entry.audio)
                self._input.sent = max(self._input.sent, entry.position + len(entry.audio))
                with leg.sending():
                    await leg.session.send_audio(entry.audio)

    # ── the conversation ─────────────────────────────────────────────────────────────────────────────────────────────

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer."""
        async with self._books, self._order:
            self._check_open()
            self._history.say(text)
            self._floor.wish(None, self._clock.now())
            await self._tell(lambda session: session.send_text(text))

    async def create_response(self, instructions: str | None = None) -> None:
        """Ask for an answer, as soon as none is running; `instructions` hold for this answer alone."""
        async with self._books, self._order:
            self._check_open()
            self._floor.wish(instructions, self._clock.now())
            await self._tell(lambda session: session.create_response(instructions))

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none."""
        async with self._books, self._order:
            self._check_open()
            self._floor.cancel()
            await self._tell(lambda session: session.cancel_response())

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of its item to the first `heard_ms` milliseconds.

        An item of a session that was replaced is cut in what the sessions to come are told; the present one has been told all of it.
        """
        async with self._books, self._order:
            self._check_open()
            if self._history.truncate(item_id, heard_ms):
                await self._tell(lambda session: session.truncate(item_id, heard_ms=heard_ms))

    async def send_tool_result(self, call_id: str, result: str) -> None:
        """Answer a tool call, once; the model goes on when all calls of its response are answered.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
        """
        async with self._books, self._order:
            self._check_open()
            if self._calls.get(call_id, True):
                why = "was answered before" if call_id in self._calls else "was not requested in this session"
                raise LocalProtocolError(f"tool call {call_id!r} {why}")
            self._calls[call_id] = True
            self._history.answer_call(call_id, result)
            self._floor.answer_call(call_id, self._clock.now())
            await self._tell(lambda session: session.send_tool_result(call_id, result))

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on."""
        async with self._books, self._order:
            self._check_open()
            self._config = replace(self._config, instructions=instructions)
            await self._tell(lambda session: session.update_instructions(instructions))

    async def _tell(self, command: Callable[[RealtimeSession], Awaitable[None]]) -> None:
        """Give a command to the present session, if there is one; what it means for the next is in the books already."""
        self._revision += 1
        self._wake.set()
        if (leg := self._leg) is not None:
            with leg.sending():
                await command(leg.session)

    # ── one session after the other ──────────────────────────────────────────────────────────────────────────────────

    async def _keep(self) -> None:
        """See to it that there is a session."""
        while not self._over and (leg := self._leg) is not None:
            self._wake = anyio.Event()
            now = self._clock.now()
            rotate_from, rotate_by = (leg.began + seconds for seconds in self._endurance.rotate_between(self._limit))
            quiet_from = self._floor.quiet_from()
            rotate_at = math.inf if quiet_from is None else max(rotate_from, quiet_from, self._rotate_again)
            frozen_at = self._frozen_from()
            if leg.over.is_set():
                await self._recover(leg, "reconnect", leg.ending())
            elif now >= frozen_at:
                await self._recover(leg, "frozen", ConnectionFailed(_FROZEN, "frozen", vendor=self._provider.name))
            elif now >= rotate_by:
                await self._recover(leg, "limit", None)
            elif now >= rotate_at:
                await self._rotate(leg)
            else:
                await self._sleep_until(min(frozen_at, rotate_by, rotate_at))

    def _frozen_from(self) -> float:
        watchdog = self._endurance.watchdog
        if watchdog is None or self._is_held_up:
            return math.inf
        return watchdog.frozen_from(self._floor, silent_ms=self._silence.ms)

    async def _sleep_until(self, moment: float) -> None:
        """Sleep, unless something happens first."""
        if math.isinf(moment):
            await self._wake.wait()
            return
        with self._clock.move_on_after(moment - self._clock.now()):
            await self._wake.wait()

    async def _rotate(self, leg: Leg) -> None:
        """Make before break: if the moment has passed by the time the new session is ready, the next one will do."""
        revision = self._revision
        try:
            new = await self._connect()
        except TrunklineError as error:
            log.info("no session to rotate to yet: %s", error)
            self._rotate_again = self._clock.now() + self._endurance.reconnect.backoff.longest
            return
        async with self._books, self._order:
            if self._over or leg.over.is_set() or revision != self._revision or self._floor.is_busy:
                new.retire()
                return
            leg.retire()
            await self._take_up(new, "limit", owed=False)

    async def _recover(self, leg: Leg, reason: Reason, error: ProviderError | None) -> None:
        """Break, then make."""
        if self._clock.now() - leg.began >= self._endurance.reconnect.steady_after:
            self._delays = self._endurance.reconnect.delays()
        self._leg = None
        leg.retire()
        self._history.break_off()
        for response_id in sorted(self._floor.running):
            self._emit(events.ResponseFinished(response_id, "failed", reason, error=error))
        owed = self._floor.break_off()
        if error is not None:
            self._emit(events.ErrorReported(error))
        await self._reconnect(reason, error, owed=owed)

    async def _reconnect(self, reason: Reason, error: ProviderError | None, *, owed: bool) -> None:
        policy = self._endurance.reconnect
        for delay in self._delays:
            if error is not None and not policy.may_retry(error):
                break
            retry_after = (error and error.retry_after) or 0.0
            await self._clock.sleep_until(self._clock.now() + max(delay, retry_after))
            async with self._books:  # what is said from here on waits for the new session, which is not told of it
                if self._over:
                    return
                try:
                    new = await self._connect()
                except TrunklineError as failure:
                    error = _provider_error(failure, self._provider.name)
                    log.info("the session is not taken up again yet: %s", error)
                    continue
                async with self._order:
                    await self._take_up(new, reason, owed=owed)
            return
        self._fail(error or ConnectionFailed("the session could not be replaced", vendor=self._provider.name))

    async def _connect(self) -> Leg:
        """Another session, told of all that went before; it says nothing until it is adopted."""
        config = replace(self._config, history=self._history.items())
        leg = Leg(self._provider, config, clock=self._clock)
        self._legs = [*(other for other in self._legs if not other.over.is_set()), leg]
        self._tasks.start_soon(self._host, leg, name="trunkline session")
        with self._clock.move_on_after(self._endurance.reconnect.connect_timeout):
            await leg.opened.wait()
        failure = self._unfit(leg)
        if failure is not None:
            leg.retire()
            raise failure
        self._leg_formats = leg.session.input_format, leg.session.output_format
        return leg

    def _unfit(self, leg: Leg) -> TrunklineError | None:
        """Why a session that was connected cannot be used, or None."""
        vendor = self._provider.name
        if leg.ready is None:
            return leg.failure or ConnectionFailed("no session was ready in time", "timeout", vendor=vendor)
        if self._leg_formats not in {None, (leg.session.input_format, leg.session.output_format)}:
            return RequestRejected(_REFORMED, "formats_changed", vendor=vendor)
        return None

    async def _host(self, leg: Leg) -> None:
        try:
            await leg.run(self._take)
        finally:
            self._wake.set()

    async def _take_up(self, leg: Leg, reason: Reason, *, owed: bool) -> None:
        """Let the conversation go on in this session; you must hold both locks."""
        is_found_again = self._input.restart()
        if owed and not is_found_again:
            self._floor.wish(None, self._clock.now())
        self._adopt(leg)
        assert leg.ready is not None  # noqa: S101 - else it had not been connected
        self._emit(events.SessionRotated(leg.ready.session_id, reason))
        await self._catch_up()
        for instructions in tuple(self._floor.wishes):
            with leg.sending():
                await leg.session.create_response(instructions)

    def _adopt(self, leg: Leg) -> None:
        assert leg.ready is not None  # noqa: S101 - else it had not been connected
        self._history.take(leg.ready)
        self._floor.last_event = self._clock.now()
        leg.next_entry, leg.skipped = self._input.first, self._input.start
        self._leg = leg
        leg.choose()

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """End the session; any number of times, from any task. Iterating then gives `SessionEnded`."""
        self._finish("closed")
        with self._clock.move_on_after(CLOSE_TIMEOUT, shield=True):
            for leg in self._legs:
                await leg.over.wait()

    def _fail(self, error: ProviderError) -> None:
        self._emit(events.ErrorReported(error, fatal=True))
        self._finish("failed", error)

    def _finish(self, reason: str, error: ProviderError | None = None) -> None:
        if not self._over:
            self._over = True
            self._emit(events.SessionEnded(reason, error))
        for leg in self._legs:
            leg.retire()
        self._wake.set()
        self._room.set()

    def _check_open(self) -> None:
        if self._over:
            raise SessionClosed(vendor=self._provider.name)


def _provider_error(error: TrunklineError, vendor: str) -> ProviderError:
    if isinstance(error, ProviderError):
        return error
    told = (
        RequestRejected(str(error), vendor=vendor)
        if not error.may_fall_back
        else ConnectionFailed(str(error), vendor=vendor)
    )
    told.__cause__ = error
    return told
