"""A call in realtime mode: the caller's audio to a provider's session and back, with interruption, tools, events and metrics."""

import logging
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.abc
import anyio.lowlevel

from trunkline.audio import LIVEKIT, PLIVO, TELNYX, TWILIO, VONAGE, AudioFormat
from trunkline.audio.local_vad import LocalVad
from trunkline.audio.vad import EnergyDetector
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig, SessionClosed, TransportError, TrunklineError
from trunkline.pipeline.audio_out import AudioOut
from trunkline.pipeline.config import BridgeConfig
from trunkline.pipeline.controls import CallControls
from trunkline.pipeline.events import EventLog, EventType
from trunkline.pipeline.line_reader import read_line, watch_media
from trunkline.pipeline.metrics import MetricsCollector
from trunkline.pipeline.observer import MediaRecorder, MediaTap
from trunkline.pipeline.prepared import PreparedSession
from trunkline.pipeline.tasks import start_task
from trunkline.pipeline.turn_control import LONGEST_SPEECH, TurnController
from trunkline.pipeline.uplink import Uplink
from trunkline.realtime.events import AudioReceived, SessionEnded, SessionReady, SessionRotated
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.realtime.tool_host import ToolHost
from trunkline.telephony.line import CallLine

logger = logging.getLogger("trunkline.pipeline")

HANG_UP_GRACE = 1.0
"""Seconds that a line which cannot be written to has to tell whether the caller hung up."""

_RUNNING: ContextVar[object] = ContextVar("trunkline_running_bridge", default=None)
"""Marks the tasks of a bridge, so that closing it from one of them does not wait for itself."""


class RealtimeBridge(CallControls):
    """Joins one call to one session; `async with RealtimeBridge(config, line=line) as bridge` owns its tasks.

    Whatever fails ends up as events: an `error`, then `session_ended` with the reason. Nothing but misuse raises.

    Args:
        config: What to join.
        line: The call's media, which has given `StreamStarted`; the bridge alone reads it and writes to it, and does not close it. Without
            one, call `send_audio` and read `audio_out()`.
        prepared: A session that was opened before, with `config.session_config` for the line's format.
        recorder: Is shown the audio of this call with its times.
        clock: What everything is timed by.
    """

    def __init__(
        self,
        config: BridgeConfig,
        *,
        line: CallLine | None = None,
        prepared: PreparedSession | None = None,
        recorder: MediaRecorder | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = config
        self._prepared = prepared
        self._clock = clock
        self._line = line
        self._audio_out = AudioOut(config.from_format) if line is None else None
        outgoing = line or self._audio_out
        assert outgoing  # noqa: S101 - one of the two
        self._log = EventLog(clock)
        self._metrics = MetricsCollector(clock)
        is_watched = config.media_observer is not None or recorder is not None
        tap = MediaTap(config.media_observer, recorder) if is_watched else None
        # What these call back they know weakly, so that an ended call leaves no circle to the collector.
        weak = weakref.proxy(self)
        self._tools = ToolHost(
            config.compiled_tools,
            timeout=config.tool_timeout,
            on_call=lambda *call: weak._turns.tool_called(*call),  # noqa: PLW0108, SLF001 - its own, not held
            clock=clock,
        )
        self._uplink = Uplink(
            outgoing.traits.format,
            buffer_size=config.buffer_size,
            log=self._log,
            on_speech=lambda speaks, ago_ms: weak._turns.noticed(speaks=speaks, ago_ms=ago_ms),  # noqa: SLF001
            tap=tap,
            clock=clock,
        )
        self._turns = TurnController(
            line=outgoing,
            config=config,
            log=self._log,
            metrics=self._metrics,
            tools=self._tools,
            uplink=self._uplink,
            tap=tap,
            clock=clock,
        )
        if config.detector is not None:
            self._uplink.listen(LocalVad(config.detector(), self._uplink.line_format))
        self._session: RealtimeSession | None = None
        self._session_dropped_bytes = 0
        self._reason = "closed"
        self._scope = anyio.CancelScope()
        self._owner: anyio.abc.TaskGroup | None = None
        self._begun = False
        self._ending = anyio.Event()
        self._over = anyio.Event()

    @classmethod
    def for_format(
        cls, audio_format: AudioFormat, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any
    ) -> Self:
        """A bridge for a line's format; `more` are arguments of the bridge: `line`, `clock`."""
        own = config or ProcessConfig()
        return cls(BridgeConfig(provider=provider, process_config=own, from_format=audio_format), **more)

    @classmethod
    def for_twilio(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for Twilio's audio, µ-law at 8 kHz; which rates the provider takes and gives is the provider's to say."""
        return cls.for_format(TWILIO, provider, config, **more)

    @classmethod
    def for_twilio_gemini(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """The same as `for_twilio`."""
        return cls.for_format(TWILIO, provider, config, **more)

    @classmethod
    def for_qwen(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """The same as `for_twilio`."""
        return cls.for_format(TWILIO, provider, config, **more)

    @classmethod
    def for_telnyx(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for Telnyx' audio, µ-law at 8 kHz."""
        return cls.for_format(TELNYX, provider, config, **more)

    @classmethod
    def for_plivo(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for Plivo's audio, µ-law at 8 kHz."""
        return cls.for_format(PLIVO, provider, config, **more)

    @classmethod
    def for_vonage(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for Vonage's audio, linear16 at 16 kHz."""
        return cls.for_format(VONAGE, provider, config, **more)

    @classmethod
    def for_livekit(cls, provider: RealtimeProvider, config: ProcessConfig | None = None, **more: Any) -> Self:
        """A bridge for LiveKit's audio, linear16 at 48 kHz."""
        return cls.for_format(LIVEKIT, provider, config, **more)

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
            raise InvalidConfig("task_group", "start() needs one; write `async with bridge` or `start(task_group)`")
        self._check_unused()
        self._begun = True
        task_group.start_soon(self._run, name="trunkline bridge")

    async def close(self, reason: str = "closed", *, after_speech: bool = False) -> None:
        """End the call: any number of times, from any task; returns when nothing of it is left, after `close_timeout` at the latest.

        Called from within the call, by a tool, it ends the call and that tool with it.

        Args:
            reason: What `session_ended` says.
            after_speech: Wait first until the caller has heard what the agent is saying, a minute at the longest.
        """
        if after_speech and self._session is not None:
            with self._clock.move_on_after(LONGEST_SPEECH):
                await self._turns.agent.wait_quiet()
        self._end(reason)
        if not self._begun:
            self._begun = True
            self._finish()
        elif _RUNNING.get() is self._scope:
            await anyio.lowlevel.checkpoint()
        else:
            with anyio.move_on_after(self._config.close_timeout, shield=True):
                await self._over.wait()

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._over.is_set()

    async def wait_ending(self) -> None:
        """Wait until it is decided that the call ends: then the caller can be hung up, while the session is still being closed."""
        await self._ending.wait()

    async def wait_closed(self) -> None:
        """Wait until the call is over, for whatever reason."""
        await self._over.wait()

    # ── the caller, where there is no line ───────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Pass on the caller's audio, in the carrier's format. Call this from one task.

        It never waits for the session: what does not fit into the queue of `buffer_size` pieces drops the oldest, which is counted.

        Raises:
            SessionClosed: The call is over.
        """
        if self._over.is_set() or self._scope.cancel_called:
            raise SessionClosed
        self._uplink.push(audio)
        await anyio.lowlevel.checkpoint()

    async def audio_out(self) -> AsyncIterator[bytes]:
        """Frames for the caller as they are to be heard, where the bridge has no line; ends with the call.

        Raises:
            InvalidConfig: The bridge writes to a line.
        """
        if self._audio_out is None:
            raise InvalidConfig("line", "this bridge writes to a line; audio_out() is for a bridge without one")
        async for frame in self._audio_out.read():
            yield frame

    # ── the tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        _RUNNING.set(self._scope)
        try:
            with self._scope:
                await self._converse()
        except* TrunklineError as failed:
            self._log.report(_first(failed))
            self._reason = "provider_failed"
        except* Exception as bugs:
            logger.exception("a call ends because of a defect")
            self._log.report(_first(bugs))
            self._reason = "internal_error"
        finally:
            self._finish()

    def _finish(self) -> None:
        self._session_dropped_bytes, self._session = self._dropped_by_session(), None
        self._turns.agent.end()
        self._metrics.end()
        self._log.emit(EventType.SESSION_ENDED, reason=self._reason)
        if self._audio_out is not None:
            self._audio_out.close()
        self._ending.set()
        self._over.set()

    def _check_unused(self) -> None:
        if self._begun:
            raise SessionClosed("a bridge is started once")

    def _end(self, reason: str) -> None:
        if not self._scope.cancel_called and not self._over.is_set():
            self._reason = reason
            self._scope.cancel()
            self._ending.set()

    async def _converse(self) -> None:
        config = self._config.session_config(self._uplink.line_format)
        async with anyio.create_task_group() as line_tasks:
            start_task(line_tasks, self._play, name="playout")
            if self._line is not None:
                weak = weakref.proxy(self)
                parts = (self._line, self._uplink, self._turns.playout, self._log)
                start_task(line_tasks, read_line, *parts, lambda reason: weak._end(reason), name="line")  # noqa: PLW0108, SLF001
                if (silent := self._config.media_timeout) is not None:
                    watched = (self._log.received, silent, lambda reason: weak._end(reason), self._clock)  # noqa: PLW0108, SLF001
                    start_task(line_tasks, watch_media, *watched, name="media watchdog")
            prepared, self._prepared = self._prepared, None
            opened = self._config.provider.connect(config) if prepared is None else prepared.take()
            async with opened as session, anyio.create_task_group() as tasks:
                self._tools.begin(tasks, session)
                async for event in session:
                    match event:
                        case AudioReceived():
                            self._turns.agent.play(event)
                        case SessionReady():
                            self._ready(tasks, session, event)
                        case SessionRotated():
                            self._use(session)
                        case SessionEnded():
                            self._end(event.reason)
                        case _:
                            self._turns.handle(event)
                            self._tools.take(event)
                            if self._turns.agent.is_failing:
                                self._end("provider_failed")
                tasks.cancel_scope.cancel()
            line_tasks.cancel_scope.cancel()

    def _ready(self, tasks: anyio.abc.TaskGroup, session: RealtimeSession, event: SessionReady) -> None:
        self._use(session)
        start_task(tasks, self._uplink.run, session, name="uplink")
        start_task(tasks, self._uplink.fill_silence, name="silence")
        start_task(tasks, self._turns.commands.run, name="commands")
        start_task(tasks, self._turns.decide_in_time, name="interruption")
        self._log.emit(
            EventType.SESSION_STARTED,
            session_id=event.session_id,
            model=event.model,
            provider=self._config.provider.name,
            passes_through=event.input_format == event.output_format == self._uplink.line_format,
        )
        if self._config.greeting:
            interruptible = self._config.greeting_interruptible
            start_task(tasks, self._turns.greet, self._config.greeting, interruptible, name="greeting")

    def _use(self, session: RealtimeSession) -> None:
        """The session is ready, or was replaced: its formats and what it can do are what it says now."""
        own_vad = self._config.detector is None
        if own_vad and session.capabilities.reports_speech:
            self._uplink.listen(None)
        self._session = session
        up_ms = self._uplink.use(session, self._config.new_converter())
        self._metrics.latency.converter_ms = up_ms + self._turns.use(session)
        if own_vad and not session.capabilities.reports_speech and self._uplink.vad is None:
            self._uplink.listen(LocalVad(EnergyDetector(), self._uplink.line_format))

    async def _play(self) -> None:
        try:
            await self._turns.playout.run()
        except TransportError as lost:
            logger.info("the line takes no more audio: %s", lost)
            if self._line is not None:  # whoever reads it may be about to learn that the caller hung up
                await self._clock.sleep_until(self._clock.now() + HANG_UP_GRACE)
            self._end("line_lost")


def _first(group: ExceptionGroup[Any]) -> Exception:
    """One of the errors that a task group wrapped; when a call breaks, they all tell the same."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
