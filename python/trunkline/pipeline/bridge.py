"""A call in realtime mode: the carrier's audio to a provider's session and back, with interruption, tools, events and metrics."""

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import Turn
from trunkline.errors import SessionClosed, TransportError, TrunklineError
from trunkline.pipeline.events import Event, EventLog, EventType
from trunkline.pipeline.metrics import Metrics, MetricsCollector
from trunkline.pipeline.playout import Playout
from trunkline.pipeline.transcript import Transcript
from trunkline.realtime import events as happened
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.telephony.port import CarrierPort
from trunkline.tools import ToolDefinition, ToolDispatcher, ToolHandler

logger = logging.getLogger("trunkline.pipeline")


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeConfig:
    """What a bridge joins, and how.

    Args:
        provider: Whose sessions answer the call.
        process_config: How the session should be.
        to_format: The provider's format to ask for; None asks for the carrier's own, which then passes through untouched if the provider
            has it, and is converted if not.
        buffer_size: How many frames of the caller are kept while the session is not ready; beyond that the oldest go, counted.
        tools: Tools besides those of `process_config`, as definitions or plain functions.
        tool_handlers: What runs each defined tool, by name.
        greeting: A sentence that the agent says first.
        tool_timeout: Seconds that a tool may take.
        close_timeout: Seconds that closing may take.
    """

    provider: RealtimeProvider
    process_config: ProcessConfig = field(default_factory=ProcessConfig)
    to_format: AudioFormat | None = None
    buffer_size: int = 100
    tools: Sequence[ToolDefinition | Callable[..., Any]] = ()
    tool_handlers: Mapping[str, ToolHandler] = field(default_factory=dict)
    greeting: str = ""
    tool_timeout: float = 20.0
    close_timeout: float = 5.0


class RealtimeBridge:
    """Joins one call to one session; `async with RealtimeBridge(config, port=port) as bridge` owns its tasks.

    Whatever fails ends up as events: an `error`, then `session_ended` with the reason. Nothing but misuse raises.

    Args:
        config: What to join.
        port: The call's outgoing line; the bridge is the only one who writes to it.
        clock: What everything is timed by.
    """

    def __init__(self, config: BridgeConfig, *, port: CarrierPort, clock: Clock = SYSTEM_CLOCK) -> None:
        self._config = config
        self._port = port
        self._clock = clock
        self._carrier_format = port.traits.format
        self._tools = ToolDispatcher(
            [*config.process_config.functions, *config.tools],
            config.tool_handlers,
            on_function_call=config.process_config.on_function_call,
            timeout=config.tool_timeout,
            clock=clock,
        )
        self._playout = Playout(port, clock=clock, on_started=self._agent_started, on_heard=self._agent_heard)
        self._log = EventLog(clock)
        self._transcript = Transcript()
        self._metrics = MetricsCollector(clock)
        self._session: RealtimeSession | None = None
        self._to_provider: StreamConverter | None = None
        self._to_carrier: StreamConverter | None = None
        self._early: deque[bytes] = deque(maxlen=config.buffer_size)
        self._dropped_bytes = 0
        self._speech_began_ms: dict[str, int] = {}
        self._response_id = ""
        self._silenced: set[str] = set()
        self._item_of_response: dict[str, str] = {}
        self._generated: dict[str, int] = {}
        self._reason = "closed"
        self._scope = anyio.CancelScope()
        self._owner: anyio.abc.TaskGroup | None = None
        self._begun = False
        self._over = anyio.Event()

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        self._owner = anyio.create_task_group()
        await self._owner.__aenter__()
        await self.start(self._owner)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        owner, self._owner = self._owner, None
        if owner is None:
            return None
        try:
            await self.close()
        finally:
            owner.cancel_scope.cancel()
            handled = await owner.__aexit__(kind, error, trace)
        return handled

    async def start(self, task_group: anyio.abc.TaskGroup) -> None:
        """Run in a task group of yours instead of `async with`; `close()` ends it."""
        if self._begun:
            raise SessionClosed("a bridge is started once")
        self._begun = True
        task_group.start_soon(self._run, name="trunkline bridge")

    async def close(self, reason: str = "closed") -> None:
        """End the call: any number of times, from any task; returns when nothing of it is left, after `close_timeout` at the latest."""
        self._end(reason)
        if self._begun:
            with anyio.move_on_after(self._config.close_timeout, shield=True):
                await self._over.wait()

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._over.is_set()

    async def wait_closed(self) -> None:
        """Wait until the call is over, for whatever reason."""
        await self._over.wait()

    # ── the caller ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Pass on the caller's audio, in the carrier's format.

        Until the session is ready it is kept; then it is sent as it comes. Call this from one task.

        Raises:
            SessionClosed: The call is over.
        """
        if self._over.is_set() or self._scope.cancel_called:
            raise SessionClosed
        self._metrics.bytes_received += len(audio)
        if self._session is None:
            if len(self._early) == self._early.maxlen:
                self._dropped_bytes += len(self._early[0])
            self._early.append(audio)
            return
        if self._early:
            audio = b"".join([*self._early, audio])
            self._early.clear()
        with suppress(SessionClosed):  # the reader of the session tells why
            await self._session.send_audio(self._to_provider.convert(audio) if self._to_provider else audio)

    def mark_received(self, name: str) -> None:
        """The carrier returned a mark that the bridge had sent."""
        self._playout.mark_received(name)

    def key_pressed(self, digit: str) -> None:
        """The caller pressed a key."""
        self._log.emit(EventType.DTMF, digit=digit)

    def carrier_error(self, error: TrunklineError) -> None:
        """The carrier sent something that cannot be read; the call goes on."""
        self._report(error)

    # ── the application ──────────────────────────────────────────────────────────────────────────────────────────────

    def events(self) -> AsyncIterator[Event]:
        """All events of the call from its beginning; ends after `session_ended`. Any number of consumers may read."""
        return self._log.read()

    def transcript(self) -> tuple[Turn, ...]:
        """The turns so far, as they were heard."""
        return self._transcript.turns()

    def metrics(self) -> Metrics:
        """The figures so far."""
        return self._metrics.snapshot(
            bytes_sent=self._playout.sent_bytes, bytes_dropped=self._dropped_bytes + self._playout.dropped_bytes
        )

    async def send_text(self, text: str) -> None:
        """Say something to the agent in the caller's name, in text.

        Raises:
            SessionClosed: The call is over, or not ready.
        """
        if self._session is None:
            raise SessionClosed("the session is not ready")
        await self._session.send_text(text)

    async def interrupt(self) -> None:
        """Stop the agent's answer."""
        if self._session is not None:
            await self._session.cancel_response()
            await self._stop_speaking(user_speech_ms=0)

    # ── the task ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._converse()
        except* TransportError as lost:
            logger.info("the carrier's line is gone: %s", _first(lost))
            self._reason = "line_lost"
        except* TrunklineError as failed:
            self._report(_first(failed))
            self._reason = "provider_failed"
        except* Exception:
            self._reason = "internal_error"
            raise
        finally:
            self._session = None
            self._metrics.end()
            self._log.emit(EventType.SESSION_ENDED, reason=self._reason)
            self._over.set()

    async def _converse(self) -> None:
        asked = self._carrier_format if self._config.to_format is None else self._config.to_format
        config = replace(
            self._config.process_config, functions=self._tools.definitions, input_format=asked, output_format=asked
        )
        connection = self._config.provider.connect(config)
        async with connection as session, anyio.create_task_group() as tasks:
            tasks.start_soon(self._playout.run, name="trunkline playout")
            async for event in session:
                if isinstance(event, happened.ToolCallRequested):
                    tasks.start_soon(self._run_tool, session, event, name=f"trunkline tool {event.name}")
                else:
                    with suppress(SessionClosed):  # the session's own last events tell why
                        await self._handle(session, event)
            tasks.cancel_scope.cancel()

    def _end(self, reason: str) -> None:
        if not self._scope.cancel_called and not self._over.is_set():
            self._reason = reason
            self._scope.cancel()

    async def _handle(self, session: RealtimeSession, event: happened.SessionEvent) -> None:
        match event:
            case happened.AudioReceived():
                self._play(session, event)
            case happened.AgentTranscript():
                self._transcript.begin("agent", event.item_id, self._clock.wall())
                self._transcript.add_text(event.item_id, event.text, is_final=event.is_final)
                self._log.emit(
                    EventType.AGENT_TRANSCRIPT, text=event.text, is_final=event.is_final, item_id=event.item_id
                )
            case happened.UserTranscript():
                self._user_said(event)
            case happened.SpeechStarted():
                await self._user_started(event)
            case happened.SpeechStopped():
                self._user_stopped(event)
            case happened.Interrupted():
                await self._stop_speaking(user_speech_ms=0)
            case happened.ResponseStarted():
                self._response_id = event.response_id
                self._log.emit(EventType.AGENT_THINKING, response_id=event.response_id)
            case happened.ResponseFinished():
                self._answered(event)
            case happened.SessionReady():
                await self._ready(session, event)
            case happened.ErrorReported():
                self._report(event.error)
            case happened.SessionEnded():
                self._end(event.reason)
            case happened.SessionRotated() | happened.ToolCallCancelled() | happened.ToolCallRequested():
                pass

    # ── what happens ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ready(self, session: RealtimeSession, event: happened.SessionReady) -> None:
        if event.input_format != self._carrier_format:
            self._to_provider = StreamConverter(self._carrier_format, event.input_format)
        if event.output_format != self._carrier_format:
            self._to_carrier = StreamConverter(event.output_format, self._carrier_format)
        self._session = session
        self._log.emit(
            EventType.SESSION_STARTED,
            session_id=event.session_id,
            model=event.model,
            provider=self._config.provider.name,
            passes_through=self._to_provider is None and self._to_carrier is None,
        )
        if self._config.greeting:
            await session.create_response(f'Greet the caller. Say exactly: "{self._config.greeting}"')

    async def _user_started(self, event: happened.SpeechStarted) -> None:
        self._transcript.begin("user", event.item_id, self._clock.wall())
        self._speech_began_ms[event.item_id] = event.audio_start_ms
        self._log.emit(EventType.USER_SPEECH_START, item_id=event.item_id)
        sent_ms = self._metrics.bytes_received // self._carrier_format.frame_bytes(1)
        await self._stop_speaking(user_speech_ms=max(0, sent_ms - event.audio_start_ms))

    def _user_stopped(self, event: happened.SpeechStopped) -> None:
        speech_ms = max(0, event.audio_end_ms - self._speech_began_ms.pop(event.item_id, event.audio_end_ms))
        self._metrics.user_stopped(event.item_id, speech_ms)
        self._transcript.begin("user", event.item_id, self._clock.wall())
        self._transcript.set_duration(event.item_id, speech_ms)
        self._log.emit(EventType.USER_SPEECH_END, item_id=event.item_id, duration_ms=speech_ms)

    def _user_said(self, event: happened.UserTranscript) -> None:
        self._transcript.begin("user", event.item_id, self._clock.wall())
        self._transcript.add_text(event.item_id, event.text, is_final=event.is_final)
        if event.is_final:
            self._metrics.user_words(event.item_id)
        self._log.emit(EventType.USER_TRANSCRIPT, text=event.text, is_final=event.is_final, item_id=event.item_id)

    def _play(self, session: RealtimeSession, event: happened.AudioReceived) -> None:
        if event.response_id in self._silenced:
            return
        self._metrics.answer_received()
        self._transcript.begin("agent", event.item_id, self._clock.wall())
        generated = self._generated.get(event.item_id, 0) + len(event.audio)
        self._generated[event.item_id] = generated
        self._transcript.add_audio(event.item_id, int(session.output_format.duration_ms(generated)))
        if self._item_of_response.get(event.response_id, event.item_id) != event.item_id:
            self._finish_item(event.response_id)
        self._item_of_response[event.response_id] = event.item_id
        self._playout.write(event.item_id, self._to_carrier.convert(event.audio) if self._to_carrier else event.audio)

    def _answered(self, event: happened.ResponseFinished) -> None:
        self._finish_item(event.response_id)
        self._silenced.discard(event.response_id)
        if self._response_id == event.response_id:
            self._response_id = ""
        if event.error is not None:
            self._report(event.error)

    def _finish_item(self, response_id: str) -> None:
        item_id = self._item_of_response.pop(response_id, "")
        if not item_id:
            return
        if self._to_carrier is not None:
            tail = self._to_carrier.flush()
            if response_id not in self._silenced:
                self._playout.write(item_id, tail)
        self._playout.finish(item_id)

    async def _stop_speaking(self, *, user_speech_ms: int) -> None:
        """The one path of every interruption: silence the answer, empty the line, cut the memories to what was heard."""
        session = self._session
        if session is None:
            return
        if self._response_id:
            self._silenced.add(self._response_id)
            if not session.capabilities.interrupts_itself:
                await session.cancel_response()
        if not self._playout.speaking:
            return
        cuts = await self._playout.interrupt()
        if self._to_carrier is not None:
            self._to_carrier.reset()
        for cut in cuts:
            self._metrics.agent_speech_ms += cut.heard_ms
            heard = self._transcript.cut(cut.item_id, cut.heard_ms)
            if session.capabilities.truncate:
                await session.truncate(cut.item_id, heard_ms=cut.heard_ms)
            logger.debug("item %s was heard for %d of %d ms", cut.item_id, cut.heard_ms, cut.generated_ms)
            if cut is cuts[0]:
                self._metrics.interruptions += 1
                self._log.emit(
                    EventType.INTERRUPTION,
                    mode="immediate",
                    item_id=cut.item_id,
                    heard_ms=cut.heard_ms,
                    generated_ms=cut.generated_ms,
                    user_speech_duration_ms=user_speech_ms,
                    text=heard,
                )

    async def _run_tool(self, session: RealtimeSession, request: happened.ToolCallRequested) -> None:
        call = await self._tools.run(request.call_id, request.name, request.arguments)
        self._metrics.tool_calls += 1
        self._transcript.add_tool_call(call)
        self._log.emit(EventType.TOOL_CALL, call_id=request.call_id, **call.to_json())
        try:
            await session.send_tool_result(request.call_id, call.result)
        except SessionClosed:
            logger.info("the session ended before tool %s answered", request.name)

    def _agent_started(self, item_id: str) -> None:
        self._log.emit(EventType.AGENT_SPEECH_START, item_id=item_id, latency_ms=self._metrics.answer_sent())

    def _agent_heard(self, item_id: str) -> None:
        heard_ms = self._playout.heard_ms(item_id)
        self._metrics.agent_speech_ms += heard_ms
        self._log.emit(EventType.AGENT_SPEECH_END, item_id=item_id, heard_ms=heard_ms)

    def _report(self, error: Exception) -> None:
        self._metrics.errors += 1
        self._log.emit(EventType.ERROR, error)


def _first(group: BaseExceptionGroup[TrunklineError]) -> TrunklineError:
    """One of the errors that a task group wrapped; when a call breaks, they all tell the same."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
