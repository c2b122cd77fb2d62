"""One of the vendor's sessions after the other: when the next one comes, and how it takes over."""

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

import anyio
import anyio.abc

from trunkline.clock import Clock
from trunkline.errors import ConnectionFailed, ProviderError, RequestRejected, TrunklineError
from trunkline.realtime import events
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.realtime.reconnect.leg import SEND_TIMEOUT, Leg
from trunkline.realtime.reconnect.policy import Endurance
from trunkline.realtime.reconnect.state import Books
from trunkline.realtime.reconnect.turn_state import Wish

log = logging.getLogger(__name__)

_FROZEN = "the vendor says nothing although something is due"
_REFORMED = "the vendor's new session uses other audio formats"

Reason = Literal["limit", "reconnect", "frozen"]


class Succession:
    """Sees to it that a conversation has a session.

    Args:
        provider: Whose sessions they are.
        config: How they should be; `instructions` follow the conversation.
        endurance: What makes the conversation last.
        tasks: Where the sessions, and `keep`, run.
        clock: Where time comes from.
        take: Gets each event of the present session.
        emit: Gets what happens besides.
        fail: Told once there is no session and will be none.
    """

    def __init__(
        self,
        provider: RealtimeProvider,
        config: ProcessConfig,
        endurance: Endurance,
        *,
        tasks: anyio.abc.TaskGroup,
        clock: Clock,
        take: Callable[[Leg, events.SessionEvent], Awaitable[None]],
        emit: Callable[[events.SessionEvent], None],
        fail: Callable[[ProviderError], None],
    ) -> None:
        self._provider = provider
        self._config = config
        self._endurance = endurance
        self._tasks = tasks
        self._clock = clock
        self._take = take
        self._emit = emit
        self._fail = fail
        self._legs: list[Leg] = []
        self._wake = anyio.Event()
        self._delays = endurance.reconnect.delays()
        self._rotate_again = 0.0
        self._is_begun = False
        self._is_over = False
        self.leg: Leg | None = None
        """The present session; None while there is none."""
        self.is_held_up = False
        """The vendor is not read at present, so its silence says nothing."""
        self.telling = anyio.Lock(fast_acquire=True)
        """Held by what changes the books, and while a new session is told of them with none to serve meanwhile."""
        self.order = anyio.Lock(fast_acquire=True)
        """Held by who sends to the present session; taken after the other."""

    async def begin(self) -> events.SessionReady:
        """Connect for the first time, and keep the conversation going from then on.

        Raises:
            TrunklineError: The vendor refused or could not be reached.
        """
        leg = await self._connect(self._config)
        self._limit = leg.session.capabilities.session_limit
        self._config = replace(
            self._config, input_format=leg.session.input_format, output_format=leg.session.output_format
        )
        self.capabilities = leg.session.capabilities
        self.books = Books(
            self._config,
            input_format=leg.session.input_format,
            output_format=leg.session.output_format,
            replay_seconds=self._endurance.replay_seconds,
            now=self._clock.now(),
        )
        self._is_begun = True
        self._tasks.start_soon(self._keep, name="trunkline lasting session")
        self._tasks.start_soon(self._watch, name="trunkline stalled session")
        return self._adopt(leg)

    def end(self) -> None:
        """No more sessions, and none from now on."""
        self._is_over = True
        for leg in self._legs:
            leg.retire()
        self.wake()

    async def wait_ended(self) -> None:
        """After `end`, wait until the sessions are closed."""
        for leg in self._legs:
            await leg.over.wait()

    def wake(self) -> None:
        """Something changed that a decision may depend on."""
        self._wake.set()

    # ── what the present session is given ────────────────────────────────────────────────────────────────────────────

    async def catch_up(self) -> None:
        """Give the present session what it was not given yet of the caller's side, in order; you must hold `order`."""
        log_of_input = self.books.input
        while (leg := self.leg) is not None and leg.next_entry < log_of_input.last:
            leg.next_entry = max(leg.next_entry, log_of_input.first)
            position, audio = log_of_input.entry(leg.next_entry)
            leg.next_entry += 1
            if audio is None:
                with leg.sending():
                    await leg.session.commit_audio()
            elif audio:
                leg.skipped = position - leg.sent_bytes
                leg.sent_bytes += len(audio)
                log_of_input.sent = max(log_of_input.sent, leg.position)
                with leg.sending():
                    await leg.session.send_audio(audio)

    async def tell(self, command: Callable[[RealtimeSession], Awaitable[None]]) -> None:
        """Give a command to the present session, if there is one; what it means to the next is in the books already.

        You must hold both locks.
        """
        self.books.revision += 1
        self.wake()
        if (leg := self.leg) is not None:
            with leg.sending():
                await command(leg.session)

    def instruct(self, instructions: str) -> None:
        """Sessions from now on have these instructions."""
        self._config = replace(self._config, instructions=instructions)

    # ── when ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep(self) -> None:
        while not self._is_over and (leg := self.leg) is not None:
            self._wake = anyio.Event()
            now = self._clock.now()
            rotate_from, rotate_by = (leg.began + seconds for seconds in self._endurance.rotate_between(self._limit))
            quiet_from = self.books.floor.quiet_from()
            rotate_at = math.inf if quiet_from is None else max(rotate_from, quiet_from, self._rotate_again)
            frozen_at = self.frozen_from()
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

    async def _watch(self) -> None:
        """Give a session up that does not accept what it is told; one look in `SEND_TIMEOUT` seconds finds it in time."""
        while not self._is_over:
            leg, look_again = self.leg, self._clock.now() + SEND_TIMEOUT
            if leg is not None and self._clock.now() >= leg.stalls_at:
                leg.give_up()
            elif leg is not None:
                look_again = leg.stalls_at
            await self._clock.sleep_until(look_again)

    def frozen_from(self) -> float:
        """When the present session counts as frozen if nothing comes until then; infinity if nothing is due."""
        watchdog = self._endurance.watchdog
        if watchdog is None or self.is_held_up:
            return math.inf
        return watchdog.frozen_from(self.books.floor, silent_ms=self.books.silence.ms)

    async def _sleep_until(self, moment: float) -> None:
        """Sleep, unless something happens first."""
        if math.isinf(moment):
            await self._wake.wait()
            return
        with self._clock.move_on_after(moment - self._clock.now()):
            await self._wake.wait()

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _rotate(self, leg: Leg) -> None:
        """Make before break: if the moment has passed by the time the new session is ready, the next one will do."""
        revision = self.books.revision
        try:
            new = await self._connect(self._told())
        except TrunklineError as error:
            log.info("no session to rotate to yet: %s", error)
            self._rotate_again = self._clock.now() + self._endurance.reconnect.backoff.longest
            return
        async with self.telling, self.order:
            is_late = revision != self.books.revision or self.books.floor.is_busy
            if self._is_over or is_late or leg.over.is_set() or new.over.is_set():
                new.retire()
                return
            leg.retire()
            await self._take_up(new, "limit", owed=False)

    async def _recover(self, leg: Leg, reason: Reason, error: ProviderError | None) -> None:
        """Break, then make."""
        if self._clock.now() - leg.began >= self._endurance.reconnect.steady_after:
            self._delays = self._endurance.reconnect.delays()
        self.leg = None
        leg.retire()
        for response_id in sorted(self.books.floor.running):
            self._emit(events.ResponseFinished(response_id, "failed", reason, error=error))
        owed = self.books.break_off()
        if error is not None:
            self._emit(events.ErrorReported(error))
        policy = self._endurance.reconnect
        for delay in self._delays:
            if error is not None and not policy.may_retry(error):
                break
            await self._clock.sleep_until(self._clock.now() + max(delay, (error and error.retry_after) or 0.0))
            error = await self._try_again(reason, owed=owed)
            if error is None:
                return
        if not self._is_over:
            self._fail(error or ConnectionFailed("the session could not be replaced", vendor=self._provider.name))

    async def _try_again(self, reason: Reason, *, owed: bool) -> ProviderError | None:
        """One attempt to replace a session that is gone; gives what went wrong.

        What is said meanwhile waits for the new session, which is not told of it, all but the caller's audio.
        """
        async with self.telling:
            if self._is_over:
                return None
            try:
                new = await self._connect(self._told())
            except TrunklineError as failure:
                log.info("the session is not taken up again yet: %s", failure)
                return _provider_error(failure, self._provider.name)
            async with self.order:
                await self._take_up(new, reason, owed=owed)
        return None

    def _told(self) -> ProcessConfig:
        return replace(self._config, history=self.books.history.items())

    async def _connect(self, config: ProcessConfig) -> Leg:
        """Another session; it says nothing until it is adopted."""
        leg = Leg(self._provider, config, clock=self._clock)
        self._legs = [*(other for other in self._legs if not other.over.is_set()), leg]
        self._tasks.start_soon(self._host, leg, name="trunkline session")
        with self._clock.move_on_after(self._endurance.reconnect.connect_timeout):
            await leg.opened.wait()
        failure = self._unfit(leg, config)
        if failure is not None:
            leg.retire()
            raise failure
        return leg

    def _unfit(self, leg: Leg, config: ProcessConfig) -> TrunklineError | None:
        """Why a session that was connected cannot be used, or None."""
        vendor = self._provider.name
        if leg.ready is None:
            return leg.failure or ConnectionFailed("no session was ready in time", "timeout", vendor=vendor)
        formats = (leg.session.input_format, leg.session.output_format)
        if self._is_begun and formats != (config.input_format, config.output_format):
            return RequestRejected(_REFORMED, "formats_changed", vendor=vendor)
        return None

    async def _host(self, leg: Leg) -> None:
        try:
            await leg.run(self._take)
        finally:
            self.wake()

    async def _take_up(self, leg: Leg, reason: Reason, *, owed: bool) -> None:
        """Let the conversation go on in this session; you must hold both locks."""
        is_found_again = self.books.input.restart()
        if owed and not is_found_again:
            self.books.floor.wish(Wish(), self._clock.now())
        ready = self._adopt(leg)
        log.info("session %s takes over: %s", ready.session_id, reason)
        self._emit(events.SessionRotated(ready.session_id, reason))
        try:
            await self.catch_up()
            for wish in self.books.floor.wishes_left():
                with leg.sending():
                    await leg.session.create_response(wish.instructions, during_tools=wish.during_tools)
        except TrunklineError as error:
            self._emit(events.ErrorReported(_provider_error(error, self._provider.name)))

    def _adopt(self, leg: Leg) -> events.SessionReady:
        assert leg.ready is not None  # noqa: S101 - else connecting had failed
        self.books.history.take(leg.ready)
        self.books.floor.last_event = self._clock.now()
        leg.next_entry, leg.skipped = self.books.input.first, self.books.input.start
        self.leg = leg
        leg.choose()
        return leg.ready


def _provider_error(error: TrunklineError, vendor: str) -> ProviderError:
    if isinstance(error, ProviderError):
        return error
    told = ConnectionFailed if error.may_fall_back else RequestRejected
    translated = told(str(error), vendor=vendor)
    translated.__cause__ = error
    return translated
