"""A call in progress: what the application holds, and its run from the start of the media to the end of its observer."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from trunkline.audio import AudioFormat, convert, wav
from trunkline.clock import Clock
from trunkline.conversation import Turn
from trunkline.errors import SessionClosed
from trunkline.gateway.commands import CallCommands
from trunkline.gateway.config import CallInfo, GatewayConfig, Logger
from trunkline.gateway.idle import IdleWatch
from trunkline.gateway.recording import Recording
from trunkline.pipeline import Event, EventType, Metrics, RealtimeBridge
from trunkline.telephony.control import FINAL, CallState
from trunkline.telephony.line import CallLine
from trunkline.tools import ToolCounters

OBSERVER_GRACE: Final = 5.0
"""Seconds that an `on_session` handler has after the end of its call."""


_RANK: Final = {"initiated": 0, "ringing": 1, "answered": 2} | dict.fromkeys(FINAL, 3)

HANG_UP_TIMEOUT: Final = 5.0
"""Seconds that closing a line may take; for a WebSocket its close handshake."""


class CallSession:
    """One call, from the first to the last moment of its media.

    Args:
        info: Who calls whom.
        bridge: What answers.
        recording: What records it, if anything.
        commands: What the carrier can be asked to do with the call.
        clock: What time limits are measured by.
    """

    def __init__(
        self,
        info: CallInfo,
        bridge: RealtimeBridge,
        recording: Recording | None = None,
        *,
        commands: CallCommands,
        clock: Clock,
    ) -> None:
        self.info = info
        self._bridge = bridge
        self._recording = recording
        self._commands = commands
        self._clock = clock
        self._state: CallState | None = None if info.direction == "outbound" else "answered"

    # ── the application ──────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def id(self) -> str:
        """The carrier's id of the call."""
        return self.info.call_id

    @property
    def from_(self) -> str:
        """The caller's number."""
        return self.info.from_

    @property
    def to(self) -> str:
        """The number that was called."""
        return self.info.to

    @property
    def direction(self) -> str:
        """`inbound` or `outbound`."""
        return self.info.direction

    @property
    def parameters(self) -> Mapping[str, str]:
        """What the `on_call` handler, or the carrier, gave the call."""
        return self.info.parameters

    @property
    def start_time(self) -> datetime:
        """When the call was accepted, in UTC."""
        return self.info.start_time

    @property
    def duration(self) -> timedelta:
        """How long the call's media has been running, or ran."""
        return self.metrics().duration

    @property
    def is_active(self) -> bool:
        """Whether the call is in progress."""
        return not self._bridge.is_over

    @property
    def state(self) -> CallState:
        """How far the call is: `initiated`, `ringing`, `answered`, and at the end `busy`, `no_answer`, `failed` or `completed`."""
        state = self._state or "initiated"
        return "completed" if state == "answered" and not self.is_active else state

    def events(self, *, audio: bool = False) -> AsyncIterator[Event]:
        """All events from the beginning of the call; ends after `session_ended`. Any number of consumers may read.

        Args:
            audio: Tell of audio too: `audio_received` and `audio_sent`, each time with the bytes and messages since the last time.
        """
        return self._bridge.events(audio=audio)

    def transcript(self) -> tuple[Turn, ...]:
        """The turns so far, as they were heard."""
        return self._bridge.transcript()

    def metrics(self) -> Metrics:
        """The figures so far."""
        return self._bridge.metrics()

    @property
    def tool_counters(self) -> ToolCounters:
        """What became of the tool calls so far."""
        return self._bridge.tool_counters

    async def send_text(self, text: str) -> None:
        """Say something to the agent in the caller's name, in text.

        Raises:
            SessionClosed: The call is over, or the provider's session is not open yet.
            ProviderError: The provider failed.
        """
        await self._bridge.send_text(text)

    async def say(self, text: str) -> None:
        """Let the agent say exactly this, as soon as no answer is running; `close(after_speech=True)` then lets it be heard.

        Raises:
            SessionClosed: The call is over, or the provider's session is not open yet.
        """
        await self._bridge.say(text)

    async def play(self, path: str | os.PathLike[str]) -> None:
        """Play a WAV file behind what the agent is saying; returns when the caller has heard it, or it was interrupted.

        Raises:
            SessionClosed: The call is over.
            OSError: The file cannot be read.
            AudioError: It is not a WAV file, or of a kind that cannot be converted.
        """
        line_format = self._bridge.line_format
        await self._bridge.play(await anyio.to_thread.run_sync(_read, path, line_format), line_format)

    async def hold(self) -> None:
        """Put the caller on hold: the agent falls silent and does not hear them until `resume`."""
        await self._bridge.hold()

    async def resume(self) -> None:
        """Go on after `hold`, where the agent fell silent."""
        await self._bridge.resume()

    @property
    def is_on_hold(self) -> bool:
        """Whether the caller is on hold."""
        return self._bridge.is_on_hold

    @property
    def recording(self) -> Path | None:
        """The file that the call is recorded to; None if it is not, or the file could not be made."""
        return None if self._recording is None else self._recording.path

    def pause_recording(self) -> None:
        """Record silence in place of both sides until `resume_recording`, such as while a card number is told."""
        if self._recording is not None:
            self._recording.pause()

    def resume_recording(self) -> None:
        """Record again."""
        if self._recording is not None:
            self._recording.resume()

    async def interrupt(self) -> None:
        """Stop the agent's answer; nothing happens where there is none, or the call is over."""
        await self._bridge.interrupt()

    async def send_dtmf(self, digits: str) -> None:
        """Press keys: 0-9, `*`, `#`, A-D; `w` is a pause of half a second, `W` of a second. Returns when they were pressed.

        Where the carrier has to end the media stream for it, neither side hears the other meanwhile.

        Raises:
            InvalidConfig: One of them is no key, or the gateway has no credentials for the carrier's REST interface.
            CallNotFound: The call is over.
            CallError: The media did not come back.
            ProviderError: The carrier refused.
            TransportError: The carrier cannot be reached.
        """
        await self._commands.send_dtmf(self.id, digits)

    async def transfer(self, to: str, *, from_: str = "") -> None:
        """Connect the caller with somebody else, and leave the call: `session_ended` says `transferred`.

        Args:
            to: A number in E.164 form, or what else the carrier can dial.
            from_: The number that they see; "" leaves it to the carrier.

        Raises:
            InvalidConfig: It cannot be dialled, or the gateway has no credentials for the carrier's REST interface.
            CallNotFound: The call is over.
            ProviderError: The carrier refused; the call goes on.
            TransportError: The carrier cannot be reached; the call goes on.
        """
        await self._commands.transfer(self.id, to, from_=from_)
        await self.close("transferred")

    async def close(self, reason: str = "closed", *, after_speech: bool = False) -> None:
        """Hang up, and wait until nothing of the call is left: some seconds at most. Any number of times, from any task.

        A tool of the call is part of what ends: it is cancelled by this.

        Args:
            reason: What `session_ended` says; the first one counts.
            after_speech: Let the caller hear first what the agent is saying.
        """
        await self._bridge.close(reason, after_speech=after_speech)

    async def wait_closed(self) -> None:
        """Wait until the call is over."""
        await self._bridge.wait_closed()

    # ── the gateway ──────────────────────────────────────────────────────────────────────────────────────────────────

    def note_state(self, state: CallState, *, detail: str = "") -> None:
        """The carrier, or the media, tells how far the call is; what comes late or twice changes nothing."""
        if self._state is None or _RANK[state] > _RANK[self._state]:
            self._state = state
            self.note(EventType.CALL_STATE, state=state, detail=detail)

    def note(self, kind: EventType, **data: Any) -> None:
        """Add an event about the call."""
        self._bridge.note(kind, **data)

    async def run(
        self, line: CallLine, observe: Callable[["CallSession"], Awaitable[None]], *, config: GatewayConfig
    ) -> None:
        """Carry the call until one side ends it, and hang up.

        The caller is not kept waiting for the provider, which closes in the background, nor for the observer.

        Args:
            line: The media that the bridge has; it is closed here.
            observe: Runs beside the call, and some seconds longer.
            config: How long the call may last, and what is said when it does.
        """
        observed = anyio.Event()

        async def observer() -> None:
            try:
                await observe(self)
            finally:
                observed.set()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(observer, name=f"trunkline observer {self.id}")
                if self._recording is not None:
                    tasks.start_soon(self._recording.run, name=f"trunkline recording {self.id}")
                await self._converse(line, tasks, config)
                with self._clock.move_on_after(OBSERVER_GRACE):
                    if self._recording is not None:
                        await self._recording.finish()
                    await observed.wait()
                tasks.cancel_scope.cancel()
        finally:
            self._log_summary(config.logger)

    async def _converse(self, line: CallLine, tasks: TaskGroup, config: GatewayConfig) -> None:
        async with self._bridge:
            try:
                reason = await self._wait_for_end(config)
                if reason:
                    if config.goodbye:
                        with suppress(SessionClosed):
                            await self._bridge.say_last(config.goodbye)
                    tasks.start_soon(self._bridge.close, reason)
                    await self._bridge.wait_ending()
            finally:
                with self._clock.move_on_after(HANG_UP_TIMEOUT, shield=True):
                    await line.aclose()

    async def _wait_for_end(self, config: GatewayConfig) -> str:
        """Wait until the call ends by itself, or is to be ended; returns the reason for the latter, "" for the former."""
        with self._clock.move_on_after(config.max_session_duration) as limit:
            if config.idle_timeout is None:
                await self._bridge.wait_ending()
                return ""
            return await self._wait_idle(config, config.idle_timeout)
        return "max_duration" if limit.cancelled_caught else ""

    async def _wait_idle(self, config: GatewayConfig, seconds: float) -> str:
        reason = ""
        watch = IdleWatch(
            self._bridge,
            timeout=seconds,
            prompt=config.idle_prompt,
            max_prompts=config.max_idle_prompts,
            clock=self._clock,
        )

        async def until_idle() -> None:
            nonlocal reason
            await watch.run()
            reason = "" if self._bridge.is_over else "idle"
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_idle)
            await self._bridge.wait_ending()
            tasks.cancel_scope.cancel()
        return reason

    def _log_summary(self, logger: Logger) -> None:
        metrics = self._bridge.metrics()
        logger.info(
            "call %s is over after %d ms: %d user turns, %d agent turns, %d interruptions, %d errors",
            self.id,
            metrics.session_duration_ms,
            metrics.user_turn_count,
            metrics.agent_turn_count,
            metrics.interruption_count,
            metrics.error_count,
        )


def _read(path: str | os.PathLike[str], line_format: AudioFormat) -> bytes:
    audio_format, audio = wav.read(path)
    return convert(audio, audio_format, line_format)
