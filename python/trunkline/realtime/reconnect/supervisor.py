"""Sees to it that a conversation has a session: opens it, replaces it in time, and takes the conversation up when it is gone."""

import logging
import math
from dataclasses import replace
from typing import Literal

import anyio
import anyio.abc

from trunkline.clock import Clock
from trunkline.errors import ConnectionFailed, ProviderError, RequestRejected
from trunkline.realtime import events
from trunkline.realtime.provider import ProcessConfig, RealtimeSession
from trunkline.realtime.reconnect.candidates import Candidates
from trunkline.realtime.reconnect.event_queue import EventQueue
from trunkline.realtime.reconnect.opener import SessionOpener
from trunkline.realtime.reconnect.policy import SessionPolicy, may_retry
from trunkline.realtime.reconnect.state import ConversationState
from trunkline.realtime.reconnect.turn_state import ResponseRequest
from trunkline.realtime.reconnect.uplink import Command, Uplink
from trunkline.realtime.session_task import SessionTask

log = logging.getLogger(__name__)

SEND_TIMEOUT = 15.0
"""Seconds that a vendor may take to accept a command, and at most twice as many; a connection's own deadline is shorter."""
CLOSE_TIMEOUT = 10.0
"""Seconds that closing may take."""

Reason = Literal["limit", "reconnect", "frozen", "failing"]


class _Spare:
    """A session that is being connected to replace the present one.

    If the state's revision is another by the time it is ready, the session knows too little.
    """

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.task: SessionTask | None = None
        self.settled = anyio.Event()
        self.scope = anyio.CancelScope()


class Supervisor:
    """Opens the sessions of one conversation, one after the other.

    Args:
        candidates: The providers they come from.
        config: How they should be.
        policy: What the conversation goes by.
        tasks: Where the sessions, and what watches them, run.
        clock: Where time comes from.

    Attributes:
        events: What happens in the conversation.
        state: What the next session must know.
        uplink: What goes to the present session.
    """

    state: ConversationState
    uplink: Uplink

    def __init__(
        self,
        candidates: Candidates,
        config: ProcessConfig,
        policy: SessionPolicy,
        *,
        tasks: anyio.abc.TaskGroup,
        clock: Clock,
    ) -> None:
        self.events = EventQueue()
        self._config = config
        self._policy = policy
        self._tasks = tasks
        self._clock = clock
        self._scope = anyio.CancelScope()
        self._watching = anyio.CancelScope()
        self._opener = SessionOpener(candidates, policy, tasks=tasks, clock=clock, take=self._take)
        self._delays = policy.reconnect.delays()
        self._news = anyio.Event()
        self._spare: _Spare | None = None
        self._rotate_again, self._failed_answers, self._is_held_up = 0.0, 0, False
        self._failing: ProviderError | None = None

    async def begin(self) -> SessionTask:
        """Open the first session, and keep the conversation going from then on; raises what `SessionOpener.open_first` does."""
        task = await self._opener.open_first(self._config)
        session = task.session
        self._config = replace(
            self._config,
            input_format=self._config.input_format or session.input_format,
            output_format=self._config.output_format or session.output_format,
        )
        self.state = ConversationState(
            self._config,
            input_format=session.input_format,
            replay_seconds=self._policy.replay_seconds,
            now=self._clock.now(),
        )
        self.uplink = Uplink(self.state)
        self.uplink.begin(task)
        assert task.ready is not None  # noqa: S101 - the opener has waited for it
        self.events.put(task.ready)
        self._adopt(task)
        self._tasks.start_soon(self._run, name="trunkline conversation")
        self._tasks.start_soon(self._watch_sends, name="trunkline stalled session")
        return task

    async def aclose(self) -> None:
        """End the conversation and wait until its sessions are closed."""
        self.events.put(events.SessionEnded("closed"))
        self._scope.cancel()
        self._watching.cancel()
        self._close_sessions()
        with self._clock.move_on_after(CLOSE_TIMEOUT, shield=True):
            await self._opener.wait_closed()

    def wake(self) -> None:
        """Something changed that a decision may depend on."""
        self._news.set()

    def instruct(self, instructions: str) -> None:
        """Sessions from now on have these instructions."""
        self._config = replace(self._config, instructions=instructions)

    def hear_user(self, audio: bytes) -> None:
        """The audio of a caller who speaks goes on, and may show that the vendor missed the end of what they said."""
        self.state.hear_user(audio)
        watchdog = self._policy.watchdog
        if watchdog is not None and self.state.silence.ms >= 1000 * watchdog.patience:
            self.wake()

    # ── what comes from the present session ──────────────────────────────────────────────────────────────────────────

    async def _take(self, task: SessionTask, event: events.SessionEvent) -> None:
        if task is not self.uplink.task:
            return
        if type(event) is events.AudioReceived:
            self.state.hear_agent(event, self._clock.now())
        elif (followed := self._follow(task, event)) is not None:
            event = followed
        else:
            return
        if self.events.put(event):
            await self._wait_for_room()

    def _follow(self, task: SessionTask, event: events.SessionEvent) -> events.SessionEvent | None:
        """Keep track of an event that is not audio; gives what is told of it, if anything."""
        event = self._placed(event)
        self.state.follow(event, self._clock.now(), given=self.uplink.cursor)
        match event:
            case events.SessionEnding() | events.SessionResumable():  # of the session, not of the conversation
                self.wake()
                return None
            case events.SessionRotated():  # of a provider that is a client itself
                self.uplink.use_format(event.input_format)
                self.state.use_output(event.output_format)
            case events.ResponseFinished():
                self._judge(task, event)
            case _:
                pass
        if not isinstance(event, events.AgentTranscript):
            self.wake()
        return event

    def _placed(self, event: events.SessionEvent) -> events.SessionEvent:
        """The event with its times counted from the beginning of the conversation instead of this session's."""
        earlier_ms = round(self.uplink.cursor.skipped_ms)
        if isinstance(event, events.SpeechStarted) and event.audio_start_ms is not None:
            return replace(event, audio_start_ms=event.audio_start_ms + earlier_ms)
        if isinstance(event, events.SpeechStopped) and event.audio_end_ms is not None:
            return replace(event, audio_end_ms=event.audio_end_ms + earlier_ms)
        return event

    def _judge(self, task: SessionTask, event: events.ResponseFinished) -> None:
        """Note whether the provider can answer at all."""
        if event.status == "completed":
            self._opener.answered(task)
        if event.status != "failed":
            self._failed_answers = 0
            return
        self._failed_answers += 1
        error = event.error or ConnectionFailed("the answer failed", event.reason or None, vendor=task.provider.name)
        is_hopeless = not (may_retry(error) or isinstance(error, RequestRejected))  # another answer may be allowed
        if is_hopeless or self._failed_answers >= self._policy.reconnect.failed_answers:
            self._failing = error

    async def _wait_for_room(self) -> None:
        """Read the vendor no further until its events are read; so long it is not the vendor who is silent."""
        self._is_held_up = True
        try:
            while self.events.is_full:
                await self.events.wait_for_room()
        finally:
            self._is_held_up = False
            self.state.turns.last_event = self._clock.now()
            self.wake()

    # ── when ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        with self._scope:
            while not self.events.is_over and (task := self.uplink.task) is not None:
                self._news = anyio.Event()
                rotate_at, frozen_at = self._rotate_at(task), self._frozen_at()
                now = self._clock.now()
                if task.ended.is_set():
                    await self._recover(task, "reconnect", task.ending())
                elif self._failing is not None:
                    await self._recover(task, "failing", self._failing)
                elif now >= frozen_at:
                    silent = "the vendor says nothing although something is due"
                    await self._recover(task, "frozen", ConnectionFailed(silent, "frozen", vendor=task.provider.name))
                elif self._spare is not None and self._spare.settled.is_set():
                    await self._rotate(task, self._spare)
                elif self._spare is None and now >= rotate_at:
                    self._connect_spare(task)
                else:
                    await self._sleep_until(frozen_at if self._spare is not None else min(frozen_at, rotate_at))

    def _rotate_at(self, task: SessionTask) -> float:
        """When to connect the session that replaces the present one, if nothing comes until then."""
        quiet, between, regardless = self._policy.rotate_from(self._adopted_at, task.session.ending_at)
        turns = self.state.turns
        quiet_from = turns.quiet_from()
        moments = (
            math.inf if quiet_from is None else max(quiet, quiet_from),
            math.inf if turns.is_answering else between,
            regardless,
        )
        return max(min(moments), self._rotate_again)

    def _frozen_at(self) -> float:
        """When the present session counts as frozen, if nothing comes until then."""
        watchdog = self._policy.watchdog
        if watchdog is None or self._is_held_up:
            return math.inf
        return watchdog.frozen_from(self.state.turns, silent_ms=self.state.silence.ms)

    async def _sleep_until(self, moment: float) -> None:
        """Sleep, unless something happens first."""
        if math.isinf(moment):
            await self._news.wait()
            return
        with self._clock.move_on_after(moment - self._clock.now()):
            await self._news.wait()

    async def _watch_sends(self) -> None:
        """Give a session up that does not accept what it is sent. Looking now and then spares each send a deadline of its own."""
        uplink, seen, since = self.uplink, -1, 0.0
        with self._watching:
            while not self.events.is_over:
                now = self._clock.now()
                if not uplink.is_sending or uplink.sends != seen:
                    seen, since = uplink.sends, now
                elif uplink.task is not None and now - since >= SEND_TIMEOUT:
                    stalled = "the vendor takes no commands any more"
                    uplink.task.close(ConnectionFailed(stalled, "stalled", vendor=uplink.task.provider.name))
                await self._clock.sleep_until(now + SEND_TIMEOUT)

    # ── how ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _connect_spare(self, task: SessionTask) -> None:
        """Begin to connect the session that replaces the present one, which serves meanwhile."""
        self._opener.reports()  # of attempts that came to nothing
        self._spare = _Spare(self.state.revision)
        self._tasks.start_soon(self._fill, self._spare, task, self._snapshot(), name="trunkline next session")

    async def _fill(self, spare: _Spare, present: SessionTask, config: ProcessConfig) -> None:
        try:
            with spare.scope:
                spare.task = await self._opener.open_spare(config, present.provider)
        except ProviderError as error:
            log.info("no session to rotate to yet: %s", error)
        finally:
            spare.settled.set()
            self.wake()

    async def _rotate(self, task: SessionTask, spare: _Spare) -> None:
        """Make before break: if something was said while the new session was connected, the next moment will do."""
        self._spare = None
        new = spare.task
        if new is None or new.ended.is_set():
            self._rotate_again = self._clock.now() + self._policy.reconnect.backoff.longest
            return
        async with self.uplink.turn():
            if task.ended.is_set():  # then it is taken up at once
                self._spare = spare
            elif spare.revision != self.state.revision:
                new.close()
            else:
                was_answering = bool(self.state.turns.running)
                due = self._break_off("limit", None)
                task.close()
                await self._take_up(new, "limit", due if was_answering else None)

    async def _recover(self, task: SessionTask, reason: Reason, error: ProviderError) -> None:
        """Break, then make; a session that was connected already serves if nothing was said since."""
        if self._clock.now() - self._adopted_at >= self._policy.reconnect.steady_after:
            self._delays = self._policy.reconnect.delays()
        self.uplink.detach()
        self._opener.lost(task, error, for_good=reason == "failing")
        due = self._break_off(reason, error)
        new = await self._spare_task() or await self._another(task, error)
        if new is None:
            return
        self._opener.taken_over(task, new)
        async with self.uplink.turn():
            await self._take_up(new, reason, due)

    async def _spare_task(self) -> SessionTask | None:
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        if spare.revision != self.state.revision:
            spare.scope.cancel()
            if spare.task is not None:
                spare.task.close()
            return None
        await spare.settled.wait()
        return None if spare.task is None or spare.task.ended.is_set() else spare.task

    async def _another(self, lost: SessionTask, error: ProviderError) -> SessionTask | None:
        """Open a session in rounds; None if there is none to be had, and then the conversation has ended."""
        for delay in self._delays:
            wait = self._opener.wait_for_next(lost.provider)
            if wait > self._policy.reconnect.longest_wait:
                break
            await self._clock.sleep_until(self._clock.now() + max(delay, wait))
            try:
                return await self._opener.open_next(self._snapshot(), lost.provider)
            except ProviderError as failure:
                error = failure
        self.events.put(events.ErrorReported(error, fatal=True))
        self.events.put(events.SessionEnded("failed", error))
        self._close_sessions()
        return None

    def _snapshot(self) -> ProcessConfig:
        """What to open the next session with; it need not be given the commands up to now."""
        self.uplink.forget_commands()
        self.state.turns.expect_no_commands()
        return replace(self._config, history=self.state.items(), resume_handle=self.state.resume_handle)

    def _break_off(self, reason: Reason, error: ProviderError | None) -> ResponseRequest | None:
        """Tell that the running answers were cut, and why; gives the answer that the caller is due."""
        for response_id in self.state.turns.running:
            self.events.put(events.ResponseFinished(response_id, "failed", reason, error=error))
        if error is not None:
            self.events.put(events.ErrorReported(error))
        return self.state.break_off(self._clock.now())

    async def _take_up(self, task: SessionTask, reason: Reason, due: ResponseRequest | None) -> None:
        """Let the conversation go on in this session; you must have the turn to send."""
        session, ready = task.session, task.ready
        assert ready is not None  # noqa: S101 - the opener has waited for it
        is_answered = self.state.replay.restart() and session.capabilities.answers_turns
        if due is not None and not (is_answered and due.is_plain):
            self.state.turns.request(due, self._clock.now())
        log.info("session %s of %s takes over: %s", ready.session_id, task.provider.name, reason)
        self.events.put(
            events.SessionRotated(
                ready.session_id, session.input_format, session.output_format, task.provider.name, reason
            )
        )
        self._adopt(task)
        requests = [_asking_for(request) for request in self.state.turns.requests_to_make()]
        await self.uplink.go_on(task, requests)

    def _adopt(self, task: SessionTask) -> None:
        now = self._adopted_at = self._clock.now()
        self._failed_answers, self._failing = 0, None
        self.state.begin_session(task.session.output_format, task.session.capabilities, now)
        for report in self._opener.reports():
            self.events.put(report)
        task.on_ended = self.wake
        task.read()

    def _close_sessions(self) -> None:
        if self._spare is not None:
            self._spare.scope.cancel()
        self._opener.close()


def _asking_for(request: ResponseRequest) -> Command:
    """The command that makes a request of another session, as well as that one can."""

    async def ask(session: RealtimeSession) -> None:
        if request.sentence is not None:
            await session.say(request.sentence)
        else:
            is_able = session.capabilities.response_instructions
            await session.create_response(request.instructions if is_able else None)

    return ask
