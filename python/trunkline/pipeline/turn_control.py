"""Who speaks, and what follows from it for the line, the transcript, the events, the figures, and the session's own memory."""

import weakref
from functools import partial

import anyio

from trunkline.clock import Clock
from trunkline.conversation import ToolCall
from trunkline.pipeline.agent_turns import AgentTurns
from trunkline.pipeline.barge_in import BargeIn, Decision
from trunkline.pipeline.commands import SessionCommands
from trunkline.pipeline.config import BridgeConfig
from trunkline.pipeline.events import EventLog, EventType
from trunkline.pipeline.ledger import Cut
from trunkline.pipeline.metrics import MetricsCollector
from trunkline.pipeline.observer import MediaTap
from trunkline.pipeline.playout import OutgoingMedia
from trunkline.pipeline.transcript import TranscriptBuilder
from trunkline.pipeline.uplink import Uplink
from trunkline.pipeline.user_turns import UserTurns
from trunkline.realtime.events import (
    AgentTranscript,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    ToolCallCancelled,
    ToolCallRequested,
    UserTranscript,
    UserTurnCommitted,
)
from trunkline.realtime.provider import RealtimeSession
from trunkline.realtime.tool_host import ToolHost

LONGEST_SPEECH = 60.0
"""Seconds after which the end of what the agent says is no longer waited for."""


class TurnController:
    """Decides between the caller and the agent. Nothing here waits: what the session is to be told goes through `commands`, in order.

    Args:
        line: The call's outgoing line.
        config: The bridge's.
        log: Where events go.
        metrics: Where figures go.
        tools: The call's tools.
        uplink: The caller's audio.
        tap: Is shown what goes to the carrier.
        clock: What everything is timed by.
    """

    def __init__(
        self,
        *,
        line: OutgoingMedia,
        config: BridgeConfig,
        log: EventLog,
        metrics: MetricsCollector,
        tools: ToolHost,
        uplink: Uplink,
        tap: MediaTap | None,
        clock: Clock,
    ) -> None:
        weak = weakref.proxy(self)  # an ended call leaves no circle to the collector
        self.transcript = TranscriptBuilder()
        self.commands = SessionCommands()
        self.users = UserTurns(self.transcript, log, metrics, clock)
        self.agent = AgentTurns(
            line=line,
            config=config,
            transcript=self.transcript,
            log=log,
            metrics=metrics,
            tap=tap,
            on_answer=uplink.settle_speech,
            on_stop=lambda: weak.sentence_ended(),  # noqa: PLW0108 - the method would hold its object
            clock=clock,
        )
        self.playout = self.agent.playout
        self._barge_in = BargeIn(config.interruption)
        self._policy = config.interruption
        self._log = log
        self._metrics = metrics
        self._latency = metrics.latency
        self._tools = tools
        self._uplink = uplink
        self._clock = clock
        self._session: RealtimeSession | None = None
        self._due: float | None = None
        self._due_changed = anyio.Event()

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────────

    def use(self, session: RealtimeSession) -> float:
        """The session is ready, or was replaced; returns the delay of the conversion towards the caller, in milliseconds."""
        self._session = session
        return self.agent.use(session)

    def handle(self, event: SessionEvent) -> None:
        """Do what an event of the session asks for."""
        match event:
            case AgentTranscript():
                self.agent.said(event)
            case UserTranscript():
                self.users.said(event)
            case SpeechStarted():
                ago_ms = 0.0 if event.audio_start_ms is None else max(0.0, self._uplink.sent_ms - event.audio_start_ms)
                self.users.begin(event.item_id, ago_ms, event.audio_start_ms)
                self._caller_began(reported=True)
            case SpeechStopped():
                self._vendor_heard_stop(event)
            case UserTurnCommitted():
                self.users.committed(event.item_id)
            case Interrupted():
                if self.agent.is_playing(event.response_id):
                    self.stop_speaking()
            case ResponseStarted():
                self.users.over_answer_ms = 0
                self.agent.started(event.response_id)
            case ResponseFinished():
                self.agent.answered(event)
            case ToolCallRequested():
                self._latency.tool_started(event.call_id)
            case ToolCallCancelled():
                self._latency.tool_ended(event.call_id)
            case ErrorReported():
                self.agent.expect_nothing()
                self._log.report(event.error)
            case _:
                pass

    def tool_called(self, call_id: str, call: ToolCall, late: bool) -> None:
        """A tool was answered, or one that was answered before has ended late."""
        if late:
            self._log.emit(EventType.TOOL_CALL, call_id=call_id, late=True, **call.to_json())
            return
        self._latency.tool_ended(call_id)
        self._metrics.tool_calls += 1
        self.transcript.add_tool_call(call, self._clock.wall())
        self._log.emit(EventType.TOOL_CALL, call_id=call_id, **call.to_json())

    def say(self, text: str) -> None:
        """Let the agent say this as soon as no answer is running."""
        if self._session is not None:
            self.agent.expect()
            self.commands.put(partial(self._session.say, text))

    async def greet(self, text: str, interruptible: bool) -> None:
        """Let the agent say this first; one that is not to be interrupted is heard to its end before anybody listens to the caller."""
        self._latency.asked("greeting")
        self.say(text)
        if not interruptible:
            self._uplink.muted_for.add("greeting")
            with self._clock.move_on_after(LONGEST_SPEECH):
                await self.agent.wait_quiet()
            self._uplink.muted_for.discard("greeting")

    @property
    def is_on_hold(self) -> bool:
        """Whether the caller is on hold."""
        return "hold" in self._uplink.muted_for

    def hold(self) -> None:
        """Let the agent fall silent, and hear nothing of the caller."""
        self._uplink.muted_for.add("hold")
        self.playout.pause()

    def end_hold(self) -> None:
        """Go on where the agent fell silent."""
        self._uplink.muted_for.discard("hold")
        self.playout.resume()

    async def decide_in_time(self) -> None:
        """Decide when the caller has spoken for long enough, for ever."""
        while True:
            self._due_changed = anyio.Event()
            if self._due is None:
                await self._due_changed.wait()
                continue
            with self._clock.move_on_after(max(0.0, self._due - self._clock.now())):
                await self._due_changed.wait()
            self._act(self._barge_in.due_passed(self._clock.now()))

    # ── the caller ───────────────────────────────────────────────────────────────────────────────────────────────────

    def noticed(self, *, speaks: bool, ago_ms: int) -> None:
        """The detector on this side noticed, so many milliseconds late, that the caller began or stopped to speak.

        Where the vendor reports no speech this is a turn; else it decides about interruptions alone, before the vendor has noticed.
        """
        session = self._session
        is_turn = session is not None and not session.capabilities.reports_speech
        if speaks and is_turn:
            self.users.begin_own(ago_ms)
            self._caller_began(reported=False)
        elif speaks or session is None or not self.users.is_own:
            self.users.noticed(speaks=speaks)
            self._act(self._began() if speaks else self._barge_in.caller_stopped())
        else:
            self.users.end_own(ago_ms)
            self._latency.asked("speech", ago_ms=ago_ms, uplink_ms=self._uplink.delay_ms)
            if not session.capabilities.answers_turns:
                if session.capabilities.commit:
                    self.commands.put(session.commit_audio)
                self.commands.put(session.create_response)
            self._act(self._barge_in.caller_stopped())

    def _vendor_heard_stop(self, event: SpeechStopped) -> None:
        self.users.end(event.item_id, event.audio_end_ms)
        late_ms = None if event.audio_end_ms is None else round(max(0.0, self._uplink.sent_ms - event.audio_end_ms))
        self._latency.asked("speech", endpointing_ms=late_ms, uplink_ms=self._uplink.delay_ms)
        self._act(self._barge_in.caller_stopped())

    def _caller_began(self, *, reported: bool) -> None:
        self._tools.user_spoke()
        session = self._session
        if session is not None and self.agent.response_id and self._policy.left_to_provider:
            # A vendor that heard the caller drops the answer that it makes; one that does neither is made to, before any of it is heard.
            if reported:
                self.agent.silence()
            elif not session.capabilities.interrupts_itself and not self.playout.speaking:
                self._cancel(session)
                self.agent.silence()
        self._act(self._began())

    def _began(self) -> Decision:
        return self._barge_in.caller_began(self._clock.now(), agent_speaks=self.playout.speaking)

    # ── interruptions ────────────────────────────────────────────────────────────────────────────────────────────────

    def _act(self, decision: Decision) -> None:
        match decision:
            case Decision.STOP:
                self.stop_speaking()
            case Decision.HOLD:
                self.playout.pause()
            case Decision.RESUME:
                if not self.is_on_hold:
                    self.playout.resume()
            case Decision.FINISH_SENTENCE:
                self._finish_sentence()
            case Decision.NOTHING:
                pass
        if self._barge_in.due != self._due:
            self._due = self._barge_in.due
            self._due_changed.set()

    def _finish_sentence(self) -> None:
        item_id = self.playout.current_item
        end_ms = self.transcript.sentence_end(item_id, self.playout.heard_ms(item_id))
        if end_ms is None:
            self.stop_speaking()
        else:
            self.playout.stop_after(item_id, end_ms)

    def sentence_ended(self) -> None:
        """The sentence that the agent was to finish was heard."""
        if (
            self.agent.response_id or not self.playout.heard_out
        ):  # a clear behind the last sentence could only hurt its end
            self.stop_speaking()

    def stop_speaking(self, *, cancel: bool = False) -> None:
        """The one path of every interruption: silence the answer, empty the line, cut the memories to what was heard.

        Args:
            cancel: Ask the provider to drop its answer although it does so by itself when the caller speaks.
        """
        session = self._session
        if session is None:
            return
        self._barge_in.stopped(self._clock.now())
        self._act(Decision.NOTHING)
        if cancel or (self.agent.response_id and not session.capabilities.interrupts_itself):
            self._cancel(session)
        self.agent.silence()
        if not self.playout.speaking:
            return
        cuts = self.agent.stop()
        if self.is_on_hold:
            self.playout.pause()
        for cut, _ in cuts:
            if session.capabilities.truncate:
                self.commands.put(partial(session.truncate, cut.item_id, heard_ms=cut.heard_ms))
        if cuts:
            self._interrupted(*cuts[0])

    def _cancel(self, session: RealtimeSession) -> None:
        if session.capabilities.cancel:
            self.commands.put(session.cancel_response)

    def _interrupted(self, cut: Cut, heard: str) -> None:
        self._metrics.interruptions += 1
        self._tools.interrupt()
        self._log.emit(
            EventType.INTERRUPTION,
            mode=str(self._policy.mode),
            item_id=cut.item_id,
            heard_ms=cut.heard_ms,
            generated_ms=cut.generated_ms,
            user_speech_duration_ms=self.users.speaks_for_ms(),
            text=heard,
        )
