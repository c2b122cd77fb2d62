"""What a session's events do: to the line, the transcript, the events, the figures, and to the session's own memory."""

import logging
from collections.abc import Callable
from functools import partial

from trunkline.audio import StreamConverter
from trunkline.clock import Clock
from trunkline.pipeline.barge_in import Decision, Interruption, InterruptionPolicy
from trunkline.pipeline.events import EventLog, EventType
from trunkline.pipeline.ledger import Cut
from trunkline.pipeline.metrics import MetricsCollector
from trunkline.pipeline.playout import Playout
from trunkline.pipeline.transcript import Transcript
from trunkline.realtime import events as happened
from trunkline.realtime.provider import RealtimeSession
from trunkline.telephony.line import CallLine

logger = logging.getLogger("trunkline.pipeline")


class Dialogue:
    """One call's conversation.

    Args:
        port: The call's outgoing line.
        policy: How easily the agent is stopped.
        log: Where events go.
        metrics: Where figures go.
        lead_ms: How far to send ahead; the port's own limit if None.
        clock: What everything is timed by.

    `on_caller` is called when the caller has begun to speak, `on_interruption` when the agent was cut short.
    """

    def __init__(
        self,
        *,
        port: CallLine,
        policy: InterruptionPolicy,
        log: EventLog,
        metrics: MetricsCollector,
        lead_ms: int | None,
        clock: Clock,
    ) -> None:
        self.transcript = Transcript()
        self.interruption = Interruption(policy)
        self.playout = Playout(
            port,
            clock=clock,
            on_started=self._agent_started,
            on_heard=self._agent_heard,
            on_stop=self._sentence_ended,
            on_mark=metrics.book.mark_returned,
            on_sent=partial(log.count_audio, EventType.AUDIO_SENT),
            lead_ms=lead_ms,
        )
        self.on_caller: Callable[[], None] = lambda: None
        self.on_interruption: Callable[[], None] = lambda: None
        self._policy = policy
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._carrier_format = port.traits.format
        self._session: RealtimeSession | None = None
        self._to_carrier: StreamConverter | None = None
        self._speech_from_ms: dict[str, int] = {}
        self._speech_since: float | None = None
        self._speech_ms = 0
        """How long the caller last spoke over the answer."""
        self._response_id = ""
        self._silenced: set[str] = set()
        self._item_of_response: dict[str, str] = {}
        self._generated: dict[str, int] = {}
        self._worded: dict[str, set[str]] = {}
        self._ended: set[str] = set()
        """Items of which nothing more is played: they are complete, or were cut."""

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, session: RealtimeSession) -> None:
        """The session is ready, and its formats are known."""
        self._session = session
        if session.output_format != self._carrier_format:
            self._to_carrier = StreamConverter(session.output_format, self._carrier_format)
            self._metrics.book.converter_ms += self._to_carrier.delay_ms

    async def handle(self, event: happened.SessionEvent) -> None:
        """Do what an event of the session asks for.

        Raises:
            SessionClosed: The session ended meanwhile.
            TransportError: The carrier's line is gone.
        """
        match event:
            case happened.AudioReceived():
                self._play(event)
            case happened.AgentTranscript():
                self._agent_said(event)
            case happened.UserTranscript():
                self._user_said(event)
            case happened.SpeechStarted():
                await self._user_began(event)
            case happened.SpeechStopped():
                self._user_stopped(event)
            case happened.UserTurnCommitted():
                self.transcript.begin("user", event.item_id, self._clock.wall())
            case happened.Interrupted():
                await self.stop_speaking()
            case happened.ResponseStarted():
                self._response_id = event.response_id
                self._speech_ms = 0
                self._log.emit(EventType.AGENT_THINKING, response_id=event.response_id)
            case happened.ResponseFinished():
                self._answered(event)
            case happened.ErrorReported():
                self.report(event.error)
            case _:
                pass

    def report(self, error: Exception) -> None:
        """Something failed."""
        self._metrics.errors += 1
        self._log.emit(EventType.ERROR, error)

    # ── the caller ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def hear(self, *, speaks: bool) -> None:
        """The caller began or stopped to speak, by a detector on this side."""
        if speaks:
            self._speech_since = self._clock.now()
            await self._act(self._caller_began())
        else:
            self._speech_ms, self._speech_since = self._speaks_for_ms(), None
            await self._act(self.interruption.caller_stopped())

    async def keep_waiting(self) -> None:
        """The time of an undecided interruption may have come."""
        await self._act(self.interruption.due_passed(self._clock.now()))

    async def _user_began(self, event: happened.SpeechStarted) -> None:
        self.transcript.begin("user", event.item_id, self._clock.wall())
        self._speech_from_ms[event.item_id] = event.audio_start_ms
        received_ms = self._metrics.bytes_received / self._carrier_format.bytes_per_ms
        self._speech_since = self._clock.now() - max(0.0, received_ms - event.audio_start_ms) / 1000
        self._log.emit(EventType.USER_SPEECH_START, item_id=event.item_id)
        self.on_caller()
        if self._response_id and self._policy.left_to_provider:
            self._silence(self._response_id)
        await self._act(self._caller_began())

    def _user_stopped(self, event: happened.SpeechStopped) -> None:
        speech_ms = max(0, event.audio_end_ms - self._speech_from_ms.pop(event.item_id, event.audio_end_ms))
        self._speech_ms, self._speech_since = speech_ms, None
        self._metrics.user_stopped(event.item_id, speech_ms)
        self.transcript.begin("user", event.item_id, self._clock.wall())
        self.transcript.set_duration(event.item_id, speech_ms)
        self._log.emit(EventType.USER_SPEECH_END, item_id=event.item_id, duration_ms=speech_ms)
        if self.interruption.caller_stopped() is Decision.RESUME:
            self.playout.resume()

    def _speaks_for_ms(self) -> int:
        """How long the caller has been speaking, or last spoke over the answer; 0 if they did not, or nobody noticed."""
        if self._speech_since is None:
            return self._speech_ms
        return max(0, round((self._clock.now() - self._speech_since) * 1000))

    def _user_said(self, event: happened.UserTranscript) -> None:
        self.transcript.begin("user", event.item_id, self._clock.wall())
        self.transcript.add_text(event.item_id, event.text, is_final=event.is_final)
        if event.is_final:
            self._metrics.user_words(event.item_id)
        self._log.emit(EventType.USER_TRANSCRIPT, text=event.text, is_final=event.is_final, item_id=event.item_id)

    # ── the agent ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _agent_said(self, event: happened.AgentTranscript) -> None:
        item_id = _item_of(event)
        if event.response_id in self._silenced and item_id not in self._worded.get(event.response_id, set()):
            return  # words of an answer that nobody will hear
        self._worded.setdefault(event.response_id, set()).add(item_id)
        self.transcript.begin("agent", item_id, self._clock.wall())
        self.transcript.add_text(item_id, event.text, is_final=event.is_final)
        self._log.emit(EventType.AGENT_TRANSCRIPT, text=event.text, is_final=event.is_final, item_id=item_id)

    def _play(self, event: happened.AudioReceived) -> None:
        if self._session is None or event.response_id in self._silenced:
            return
        item_id = _item_of(event)
        if item_id in self._ended:
            return
        self._metrics.book.audio_received()
        self.transcript.begin("agent", item_id, self._clock.wall())
        generated = self._generated.get(item_id, 0) + len(event.audio)
        self._generated[item_id] = generated
        self.transcript.add_audio(item_id, int(self._session.output_format.duration_ms(generated)))
        if self._item_of_response.get(event.response_id, item_id) != item_id:
            self._finish_item(event.response_id)
        self._item_of_response[event.response_id] = item_id
        self.playout.write(item_id, self._to_carrier.convert(event.audio) if self._to_carrier else event.audio)

    def _answered(self, event: happened.ResponseFinished) -> None:
        self._finish_item(event.response_id)
        self._silenced.discard(event.response_id)
        self._worded.pop(event.response_id, None)
        if self._response_id == event.response_id:
            self._response_id = ""
        if event.error is not None:
            self.report(event.error)

    def _finish_item(self, response_id: str) -> None:
        item_id = self._item_of_response.pop(response_id, "")
        if not item_id:
            return
        if self._to_carrier is not None:
            tail = self._to_carrier.flush()
            if response_id not in self._silenced:
                self.playout.write(item_id, tail)
        self.playout.finish(item_id)
        self._ended.add(item_id)

    def _agent_started(self, item_id: str) -> None:
        self._metrics.agent_turns += 1
        receipt = self._metrics.book.audio_sent(item_id)
        latency_ms = None if receipt is None else receipt.playout_ms
        self._log.emit(EventType.AGENT_SPEECH_START, item_id=item_id, latency_ms=latency_ms)

    def _agent_heard(self, item_id: str) -> None:
        heard_ms = self.playout.heard_ms(item_id)
        self._metrics.agent_speech_ms += heard_ms
        self._log.emit(EventType.AGENT_SPEECH_END, item_id=item_id, heard_ms=heard_ms)

    # ── interruptions ────────────────────────────────────────────────────────────────────────────────────────────────

    def _caller_began(self) -> Decision:
        return self.interruption.caller_began(self._clock.now(), agent_speaks=self.playout.speaking)

    async def _act(self, decision: Decision) -> None:
        match decision:
            case Decision.STOP:
                await self.stop_speaking()
            case Decision.HOLD:
                await self.playout.pause()
            case Decision.RESUME:
                self.playout.resume()
            case Decision.FINISH_SENTENCE:
                await self._finish_sentence()
            case Decision.NOTHING:
                pass

    async def _finish_sentence(self) -> None:
        item_id = self.playout.current_item
        end_ms = self.transcript.sentence_end(item_id, self.playout.heard_ms(item_id))
        if end_ms is None:
            await self.stop_speaking()
        else:
            self.playout.stop_after(item_id, end_ms)

    async def _sentence_ended(self) -> None:
        if self._response_id or not self.playout.heard_out:  # a clear behind the last sentence could only hurt its end
            await self.stop_speaking()

    async def stop_speaking(self, *, cancel: bool = False) -> None:
        """The one path of every interruption: silence the answer, empty the line, cut the memories to what was heard.

        Args:
            cancel: Ask the provider to drop its answer although it does so by itself when the caller speaks.
        """
        session = self._session
        if session is None:
            return
        self.interruption.stopped(self._clock.now())
        if self._response_id:
            self._silence(self._response_id)
        if cancel or (self._response_id and not session.capabilities.interrupts_itself):
            await session.cancel_response()
        if not self.playout.speaking:
            return
        cuts = await self.playout.interrupt()
        if self._to_carrier is not None:
            self._to_carrier.reset()
        told = False
        for cut in cuts:
            self._ended.add(cut.item_id)
            if cut.complete:
                self._agent_heard(cut.item_id)
                continue
            heard = self.transcript.cut(cut.item_id, cut.heard_ms)
            self._metrics.agent_speech_ms += cut.heard_ms
            if session.capabilities.truncate:
                await session.truncate(cut.item_id, heard_ms=cut.heard_ms)
            if not told:
                told = True
                self._interrupted(cut, heard)

    def _silence(self, response_id: str) -> None:
        """Nothing more of an answer is played; words of it that no audio came for were not heard."""
        self._silenced.add(response_id)
        for item_id in self._worded.get(response_id, set()):
            if item_id not in self._generated:
                self.transcript.cut(item_id, 0)

    def _interrupted(self, cut: Cut, heard: str) -> None:
        self._metrics.interruptions += 1
        self.on_interruption()
        emit = partial(self._log.emit, EventType.INTERRUPTION, mode=str(self._policy.mode), item_id=cut.item_id)
        emit(
            heard_ms=cut.heard_ms,
            generated_ms=cut.generated_ms,
            user_speech_duration_ms=self._speaks_for_ms(),
            text=heard,
        )


def _item_of(event: happened.AudioReceived | happened.AgentTranscript) -> str:
    """The id of an answer; where the vendor has none for its items, there is one item to an answer."""
    return event.item_id or f"answer {event.response_id}"
