"""A call in realtime mode: the carrier's audio to a provider's session and back, with interruption, tools, events and metrics."""

import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel

from trunkline.audio import PLIVO, TELNYX, TWILIO, VONAGE, AudioFormat, StreamConverter
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import Turn
from trunkline.errors import (
    ConnectionLost,
    InvalidConfig,
    RemoteProtocolError,
    SessionClosed,
    TransportError,
    TrunklineError,
)
from trunkline.pipeline.audio_out import ClockedPort
from trunkline.pipeline.config import BridgeConfig
from trunkline.pipeline.events import Event, EventLog, EventType
from trunkline.pipeline.local_vad import LocalEar
from trunkline.pipeline.metrics import Metrics, MetricsCollector
from trunkline.pipeline.tool_calls import ToolCalls
from trunkline.pipeline.turn_control import Dialogue
from trunkline.realtime import events as happened
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.telephony.line import CallLine
from trunkline.tools import ToolCounters
from trunkline.wire.telephony.events import DtmfReceived, MarkReceived, MediaReceived, StreamStopped

logger = logging.getLogger("trunkline.pipeline")

ErrorT = TypeVar("ErrorT", bound=Exception)

BUSY = 0.001
"""Seconds that a frame of the caller's waits for its turn where the program has much to do."""

PAUSE = 0.04
LONGEST_PAUSE = 0.1
"""Seconds that more frames are then waited for: so many `PAUSE` as the first one waited `BUSY`, up to the longest."""

SEND_WAIT = 0.2
"""Seconds that `send_audio` waits for room before the oldest audio goes."""


_RUNNING: ContextVar[object] = ContextVar("running", default=None)


class RealtimeBridge:
    """Joins one call to one session; `async with RealtimeBridge(config, line=line) as bridge` owns its tasks.

    Whatever fails ends up as events: an `error`, then `session_ended` with the reason. Nothing but misuse raises.

    Args:
        config: What to join.
        port: The call's outgoing line; the bridge is the only one who writes to it. Without one, read `audio_out()`.
        clock: What everything is timed by.
    """

    def __init__(self, config: BridgeConfig, *, line: CallLine | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._config = config
        self._clock = clock
        self._ear_of_caller = ClockedPort(config.from_format) if line is None else None
        self._line = line
        out: Any = line or self._ear_of_caller
        self._carrier_format = out.traits.format
        self._log = EventLog(clock)
        self._metrics = MetricsCollector(clock)
        self._dialogue = Dialogue(
            port=out,
            policy=config.interruption,
            log=self._log,
            metrics=self._metrics,
            lead_ms=config.lead_ms,
            clock=clock,
        )
        self._tools = ToolCalls(
            [*config.process_config.functions, *config.tools],
            config.tool_handlers,
            on_function_call=config.process_config.on_function_call,
            timeout=config.tool_timeout,
            transcript=self._dialogue.transcript,
            log=self._log,
            metrics=self._metrics,
            clock=clock,
        )
        self._dialogue.on_caller = self._tools.user_spoke
        self._dialogue.on_interruption = self._tools.interrupt
        self._ear = LocalEar(config.detector(), self._carrier_format) if config.detector else None
        self._session: RealtimeSession | None = None
        self._to_provider: StreamConverter | None = None
        self._uplink: deque[bytes] = deque()
        self._uplink_news = anyio.Event()
        self._uplink_room = anyio.Event()
        self._uplink_since = 0.0
        self._dropped_bytes = 0
        self._undecided = anyio.Event()
        self._reason = "closed"
        self._scope = anyio.CancelScope()
        self._owner: anyio.abc.TaskGroup | None = None
        self._begun = False
        self._over = anyio.Event()
        self._gone = anyio.Event()

    @classmethod
    def for_twilio(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for Twilio's audio, µ-law at 8 kHz; `more` are arguments of the bridge: `port`, `clock`."""
        return cls._for_carrier(TWILIO, provider, config, **more)

    for_twilio_gemini = for_twilio
    """The same: which rates the provider takes and gives is the provider's to say."""
    for_qwen = for_twilio

    @classmethod
    def for_telnyx(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for Telnyx' audio, µ-law at 8 kHz."""
        return cls._for_carrier(TELNYX, provider, config, **more)

    @classmethod
    def for_vonage(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for Vonage's audio, linear16 at 16 kHz."""
        return cls._for_carrier(VONAGE, provider, config, **more)

    @classmethod
    def for_plivo(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for Plivo's audio, µ-law at 8 kHz."""
        return cls._for_carrier(PLIVO, provider, config, **more)

    @classmethod
    def _for_carrier(
        cls, audio_format: AudioFormat, provider: RealtimeProvider, config: ProcessConfig | None, **more: Any
    ) -> Self:
        process_config = config or ProcessConfig()
        return cls(BridgeConfig(provider=provider, process_config=process_config, from_format=audio_format), **more)

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        self._check_unused()
        self._owner = anyio.create_task_group()
        await self._owner.__aenter__()
        await self.start(self._owner)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        owner, self._owner = self._owner, None
        if owner is None:
            return
        try:
            await self.close()
        finally:
            owner.cancel_scope.cancel()
            # It is not told of an error of the body, which would come back wrapped.
            await owner.__aexit__(None, None, None)

    async def start(self, task_group: anyio.abc.TaskGroup | None = None) -> None:
        """Run in a task group of yours instead of `async with`; `close()` ends it.

        Raises:
            InvalidConfig: No task group was given.
            SessionClosed: The bridge was started before.
        """
        if task_group is None:
            raise InvalidConfig(
                "task_group", "start() needs one; write `async with bridge` or `await bridge.start(task_group)`"
            )
        self._check_unused()
        self._begun = True
        task_group.start_soon(self._run, name="trunkline bridge")

    async def close(self, reason: str = "closed", after_speech: bool = False) -> None:
        """End the call: any number of times, from any task; returns when nothing of it is left, after `close_timeout` at the latest."""
        if after_speech:
            while self._dialogue.playout.speaking and not self._over.is_set():
                await self._clock.sleep_until(self._clock.now() + 0.02)
        self._end(reason)
        if not self._begun:
            self._begun = True
            self._gone.set()
        elif _RUNNING.get() is self:
            await anyio.lowlevel.checkpoint()
        else:
            with anyio.move_on_after(self._config.close_timeout, shield=True):
                await self._gone.wait()

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._over.is_set()

    async def wait_ending(self) -> None:
        """Wait until the end of the call is decided; the provider's session may still be closing."""
        await self._over.wait()

    async def wait_closed(self) -> None:
        """Wait until the call is over, for whatever reason."""
        await self._over.wait()

    # ── the caller ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Pass on the caller's audio, in the carrier's format. Call this from one task.

        It waits its turn in a queue of `buffer_size` frames. Where the session is ready but does not take them, this waits a moment for
        room; then, as while the session is being opened, the oldest frame goes and is counted.

        Raises:
            SessionClosed: The call is over.
        """
        if self._over.is_set() or self._scope.cancel_called:
            raise SessionClosed
        self._metrics.bytes_received += len(audio)
        self._log.count_audio(EventType.AUDIO_RECEIVED, len(audio))
        if len(self._uplink) >= self._config.buffer_size:
            if self._session is not None:
                self._uplink_room = anyio.Event()
                with self._clock.move_on_after(SEND_WAIT):
                    await self._uplink_room.wait()
            if len(self._uplink) >= self._config.buffer_size:
                self._dropped_bytes += len(self._uplink.popleft())
        if not self._uplink:
            self._uplink_since = self._clock.now()
        self._uplink.append(audio)
        self._uplink_news.set()
        if self._ear is not None and (heard := self._ear.feed(audio)) is not None:
            await self._dialogue.hear(speaks=heard)
            self._undecided.set()

    def mark_received(self, name: str) -> None:
        """The carrier returned a mark that the bridge had sent."""
        self._dialogue.playout.mark_received(name)

    def key_pressed(self, digit: str) -> None:
        """The caller pressed a key."""
        self._log.emit(EventType.DTMF, digit=digit)

    def carrier_error(self, error: TrunklineError) -> None:
        """The carrier sent something that cannot be read; the call goes on."""
        self._dialogue.report(error)

    async def audio_out(self) -> AsyncIterator[bytes]:
        """Frames for the caller as they are to be heard, where the bridge has no port; ends with the call.

        Raises:
            InvalidConfig: The bridge writes to a port.
        """
        if self._ear_of_caller is None:
            raise InvalidConfig("port", "this bridge writes to a port; audio_out() is for a bridge without one")
        async for frame in self._ear_of_caller.read():
            yield frame

    # ── the application ──────────────────────────────────────────────────────────────────────────────────────────────

    def events(self, *, audio: bool = False) -> AsyncIterator[Event]:
        """All events of the call from its beginning; ends after `session_ended`. Any number of consumers may read.

        Args:
            audio: Tell of audio too: `audio_received` and `audio_sent`, each time with the bytes and messages since the last time.
        """
        return self._log.read(audio=audio)

    def transcript(self) -> tuple[Turn, ...]:
        """The turns so far, as they were heard."""
        return self._dialogue.transcript.turns()

    @property
    def tool_counters(self) -> ToolCounters:
        """What became of the tool calls so far."""
        return self._tools._dispatcher.counters  # noqa: SLF001

    def metrics(self) -> Metrics:
        """The figures so far."""
        playout = self._dialogue.playout
        return self._metrics.snapshot(
            bytes_sent=playout.sent_bytes,
            bytes_dropped=self._dropped_bytes + playout.dropped_bytes,
            playout_late_ms=playout.latest_ms,
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
        with suppress(SessionClosed):
            await self._dialogue.stop_speaking(cancel=True)

    # ── the tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        _RUNNING.set(self)
        try:
            with self._scope:
                await self._converse()
        except* TrunklineError as failed:
            self._dialogue.report(_first(failed))
            self._end("provider_failed")
        except* Exception as bugs:
            logger.exception("a call ends because of a defect")
            self._dialogue.report(_first(bugs))
            self._end("internal_error")
        finally:
            self._end(self._reason)
            self._gone.set()

    def _finish(self) -> None:
        self._session = None
        self._metrics.end()
        self._log.emit(EventType.SESSION_ENDED, reason=self._reason)
        if self._ear_of_caller is not None:
            self._ear_of_caller.close()
        self._over.set()

    def _check_unused(self) -> None:
        if self._begun:
            raise SessionClosed("a bridge is started once")

    async def _converse(self) -> None:
        asked = self._carrier_format if self._config.to_format is None else self._config.to_format
        own = self._config.process_config
        config = replace(
            own,
            functions=self._tools.definitions,
            input_format=asked,
            output_format=asked,
            allow_interruption=own.allow_interruption and self._config.interruption.left_to_provider,
        )
        async with anyio.create_task_group() as reading:
            if self._line is not None:
                reading.start_soon(self._read_line, self._line, name="trunkline line")
            await self._hold(config)
            reading.cancel_scope.cancel()

    async def _read_line(self, line: CallLine) -> None:
        tolerated = 50
        while tolerated:
            try:
                event = await line.receive()
            except RemoteProtocolError as error:
                tolerated -= 1
                self._dialogue.report(error)
                continue
            except ConnectionLost as error:
                return self._end("caller_hung_up" if error.clean else "line_lost")
            except TransportError as error:
                self._dialogue.report(error)
                return self._end("line_lost")
            match event:
                case MediaReceived():
                    await self.send_audio(event.payload)
                case MarkReceived():
                    self.mark_received(event.name)
                case DtmfReceived():
                    self.key_pressed(event.digit)
                case StreamStopped():
                    return self._end("caller_hung_up")
        return self._end("protocol_errors")

    async def _play(self) -> None:
        try:
            await self._dialogue.playout.run()
        except TransportError:
            with self._clock.move_on_after(2):
                await self._over.wait()  # the reader tells why
            self._end("line_lost")

    async def _hold(self, config: ProcessConfig) -> None:
        connection = self._config.provider.connect(config)
        async with connection as session, anyio.create_task_group() as tasks:
            tasks.start_soon(self._play, name="trunkline playout")
            tasks.start_soon(self._send_uplink, session, name="trunkline uplink")
            tasks.start_soon(self._decide_in_time, name="trunkline interruption")
            self._tools.begin(tasks, session)
            async for event in session:
                match event:
                    case happened.SessionReady():
                        await self._ready(session, event)
                    case happened.ToolCallRequested():
                        self._tools.answer(event)
                    case happened.ToolCallCancelled():
                        self._tools.cancel(event.call_id)
                    case happened.SessionEnded():
                        self._end(event.reason)
                    case _:
                        with suppress(SessionClosed):  # the session's own last events tell why
                            await self._dialogue.handle(event)
                        self._undecided.set()
            tasks.cancel_scope.cancel()

    def _end(self, reason: str) -> None:
        if not self._over.is_set():
            self._reason = reason
            self._scope.cancel()
            self._finish()

    async def _ready(self, session: RealtimeSession, event: happened.SessionReady) -> None:
        if event.input_format != self._carrier_format:
            self._to_provider = StreamConverter(self._carrier_format, event.input_format)
            self._metrics.book.converter_ms += self._to_provider.delay_ms
        self._dialogue.begin(session)
        self._session = session
        self._uplink_since = self._clock.now()
        self._uplink_news.set()
        self._log.emit(
            EventType.SESSION_STARTED,
            session_id=event.session_id,
            model=event.model,
            provider=self._config.provider.name,
            passes_through=event.input_format == event.output_format == self._carrier_format,
        )
        if self._config.greeting:
            say = getattr(session, "say", None)
            await (say(self._config.greeting) if say else session.create_response(self._config.greeting))

    async def _send_uplink(self, session: RealtimeSession) -> None:
        """Send what the caller says as it comes; what piled up goes in one message.

        Where the program has so much to do that a frame had to wait for its turn, some more are waited for: fewer messages are less
        work, so that what is urgent, like an interruption, has its turn soon.
        """
        with suppress(SessionClosed):  # the session's own last events tell why
            while True:
                await self._uplink_news.wait()
                self._uplink_news = anyio.Event()
                if self._session is None or not self._uplink:
                    continue
                now = self._clock.now()
                if (late := now - self._uplink_since) > BUSY:
                    await self._clock.sleep_until(now + min(LONGEST_PAUSE, PAUSE * (late // BUSY)))
                audio = b"".join(self._uplink) if len(self._uplink) > 1 else self._uplink[0]
                self._uplink.clear()
                self._uplink_room.set()
                await session.send_audio(self._to_provider.convert(audio) if self._to_provider else audio)
                if self._uplink:
                    self._uplink_since = self._clock.now()  # it was the session that kept it waiting

    async def _decide_in_time(self) -> None:
        """Wake the interruption machine when its time has come."""
        while True:
            self._undecided = anyio.Event()
            due = self._dialogue.interruption.due
            if due is None:
                await self._undecided.wait()
                continue
            with self._clock.move_on_after(max(0.0, due - self._clock.now())):
                await self._undecided.wait()
            with suppress(SessionClosed):
                await self._dialogue.keep_waiting()


def _first(group: ExceptionGroup[ErrorT]) -> ErrorT:
    """One of the errors that a task group wrapped; when a call breaks, they all tell the same."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
