"""What a program may see of a call in progress, and do to it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

import anyio.lowlevel

from trunkline.audio import AudioFormat, convert
from trunkline.clock import Clock
from trunkline.conversation import Turn
from trunkline.errors import SessionClosed
from trunkline.pipeline.audio_out import AudioOut
from trunkline.pipeline.events import Event, EventLog, EventType
from trunkline.pipeline.metrics import Metrics, MetricsCollector
from trunkline.pipeline.turn_control import LONGEST_SPEECH, TurnController
from trunkline.pipeline.uplink import Uplink
from trunkline.realtime.provider import CountsDroppedAudio, RealtimeSession
from trunkline.realtime.tool_host import ToolHost
from trunkline.tools import ToolCounters


class CallControls(ABC):
    """The half of a bridge that the program holds; the other half runs the call."""

    _clock: Clock
    _log: EventLog
    _metrics: MetricsCollector
    _tools: ToolHost
    _turns: TurnController
    _uplink: Uplink
    _audio_out: AudioOut | None
    _session: RealtimeSession | None
    """None while the session is not ready, and after its end."""
    _session_dropped_bytes: int

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether the call has ended."""

    def events(self, *, audio: bool = False) -> AsyncIterator[Event]:
        """All events of the call from its beginning; ends after `session_ended`. Any number of consumers may read.

        Args:
            audio: Tell of audio too: `audio_received` and `audio_sent`, each time with the bytes and messages since the last time.
        """
        return self._log.read(audio=audio)

    def note(self, kind: EventType, **data: Any) -> None:
        """Add an event of whoever holds the bridge, before the call or in it."""
        self._log.emit(kind, **data)

    def transcript(self) -> tuple[Turn, ...]:
        """The turns so far, as they were heard."""
        return self._turns.transcript.turns()

    @property
    def tool_counters(self) -> ToolCounters:
        """What became of the tool calls so far."""
        return self._tools.counters

    def metrics(self) -> Metrics:
        """The figures so far."""
        playout, uplink = self._turns.playout, self._uplink
        unread = 0 if self._audio_out is None else self._audio_out.dropped_bytes
        return self._metrics.snapshot(
            converter_down_ms=self._turns.agent.converter_ms,
            audio_bytes_received=self._log.received.size,
            audio_bytes_sent=playout.sent_bytes,
            audio_bytes_dropped=uplink.dropped_bytes + playout.dropped_bytes + unread + self._dropped_by_session(),
            uplink_delay_ms=uplink.delay_mean_ms,
            uplink_delay_max_ms=uplink.delay_max_ms,
            playout_late_ms=playout.latest_ms,
            events_dropped=self._log.dropped,
            error_count=self._log.errors,
            tools=self._tools.counters,
        )

    async def send_text(self, text: str) -> None:
        """Say something to the agent in the caller's name, in text.

        Raises:
            SessionClosed: The call is over, or not ready.
        """
        if self._session is None:
            raise SessionClosed("the session is not ready")
        self._tools.user_spoke()
        self._metrics.latency.asked("text")
        await self._session.send_text(text)

    async def interrupt(self) -> None:
        """Stop the agent's answer. It does not wait for the vendor, nor for the carrier."""
        self._turns.stop_speaking(cancel=True)
        await anyio.lowlevel.checkpoint()

    async def say(self, text: str) -> None:
        """Let the agent say exactly this as soon as no answer is running; it does not wait until it was heard.

        Raises:
            SessionClosed: The call is over, or not ready.
        """
        if self._session is None:
            raise SessionClosed("the session is not ready")
        self._turns.say(text)
        await anyio.lowlevel.checkpoint()

    async def say_last(self, text: str) -> None:
        """Say this in place of whatever the agent is saying, and wait until the caller has heard it; nobody listens to them any more.

        Raises:
            SessionClosed: The call is over, or not ready.
        """
        if self._session is None:
            raise SessionClosed("the session is not ready")
        self._uplink.muted_for.add("farewell")
        self._turns.stop_speaking(cancel=True)
        self._turns.say(text)
        with self._clock.move_on_after(LONGEST_SPEECH):
            await self._turns.agent.wait_quiet()

    async def play(self, audio: bytes, audio_format: AudioFormat) -> None:
        """Play audio to the caller, behind what the agent is saying; returns when they have heard it, or it was interrupted.

        Raises:
            SessionClosed: The call is over.
        """
        if self.is_over:
            raise SessionClosed
        await self._turns.agent.play_audio(convert(audio, audio_format, self._uplink.line_format))

    async def hold(self) -> None:
        """Put the caller on hold: the agent falls silent and no longer hears them, until `resume`."""
        self._turns.hold()
        await anyio.lowlevel.checkpoint()

    async def resume(self) -> None:
        """Go on after `hold`, where the agent fell silent."""
        self._turns.end_hold()
        await anyio.lowlevel.checkpoint()

    @property
    def is_quiet(self) -> bool:
        """Whether the session is ready, and the agent has nothing to say and nothing to do."""
        return self._session is not None and self._turns.agent.is_quiet and not self._tools.busy

    @property
    def line_format(self) -> AudioFormat:
        """The format of the line."""
        return self._uplink.line_format

    @property
    def is_on_hold(self) -> bool:
        """Whether the caller is on hold."""
        return self._turns.is_on_hold

    def _dropped_by_session(self) -> int:
        session: object = self._session
        return session.dropped_bytes if isinstance(session, CountsDroppedAudio) else self._session_dropped_bytes
