"""A session of a fallback client: that of one provider after the other, told as one."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

import anyio
import anyio.abc

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.clock import Clock
from trunkline.errors import AllProvidersFailed, LocalProtocolError, ProviderError, SessionClosed
from trunkline.realtime import events as happened
from trunkline.realtime.fallback import may_fall_back
from trunkline.realtime.held_session import HeldSession, as_provider_error
from trunkline.realtime.lasting.floor import Floor
from trunkline.realtime.lasting.history import History
from trunkline.realtime.lasting.input_log import InputLog
from trunkline.realtime.pool import ProviderPool
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeSession

log = logging.getLogger(__name__)

Command = Callable[[RealtimeSession], Awaitable[None]]


class FallbackSession:
    """One conversation, whichever provider has it; made by `RealtimeClient.connect`.

    With `failover`, a session that breaks with an error that may fall back is followed by one with another provider: it is told the
    conversation so far in text and the audio that had not become text, and goes on in the formats of the first. The reader sees
    `ErrorReported` (not fatal) for every failure and then `SessionRotated`; an answer that was running ends as failed.

    Args:
        pool: Opens the sessions.
        config: How the session should be.
        tasks: Where the background work runs.
        failover: Whether another provider takes over when a session breaks.
        replay_seconds: How much of the caller's audio is kept for it.
        clock: Where time comes from.
    """

    def __init__(
        self,
        pool: ProviderPool,
        config: ProcessConfig,
        tasks: anyio.abc.TaskGroup,
        *,
        failover: bool,
        replay_seconds: float,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._config = config
        self._tasks = tasks
        self._failover = failover
        self._replay_seconds = replay_seconds
        self._clock = clock
        self._events: deque[happened.SessionEvent] = deque()
        self._failures: deque[happened.SessionEvent] = deque()
        self._lost: Exception | None = None
        self._ready = False
        self._over = False
        self._closing = False
        self._switching: anyio.CancelScope | None = None
        self._responses: set[str] = set()
        self._audible: tuple[str, str] | None = None
        self._history = History(config.history)
        self._floor = Floor(clock.now())
        self._owed: deque[Command] = deque()
        self._sending = anyio.Lock()
        self._catching_up = anyio.Lock()
        self._next_entry = 0
        self._base = 0
        self.replayed_bytes = 0
        self.dropped_bytes = 0

    async def open(self) -> None:
        """Open the first session; what it says its formats are holds for all that follow.

        Raises:
            Exception: What `ProviderPool.open` raises.
        """
        self._held = await self._pool.open(self._config, self._tasks, self._tell_failure)
        self._inner: RealtimeSession | None = self._held.session
        self._input_format = self._inner.input_format
        self._output_format = self._inner.output_format
        self._capabilities = self._inner.capabilities
        self._said = InputLog(self._input_format, seconds=self._replay_seconds)
        self._to_vendor: StreamConverter | None = None
        self._from_vendor: StreamConverter | None = None

    @property
    def provider_name(self) -> str:
        """The provider that has the conversation now, or had it last."""
        return self._held.provider.name

    @property
    def capabilities(self) -> Capabilities:
        """What the present provider's session can do; the rates are those of the formats here."""
        return self._capabilities

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes, whichever provider has the conversation."""
        return self._input_format

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`, likewise."""
        return self._output_format

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> "FallbackSession":
        return self

    async def __anext__(self) -> happened.SessionEvent:
        while not self._events:
            if self._over:
                raise StopAsyncIteration
            if self._inner is None:
                await self._go_on_elsewhere()
            else:
                self._take(await self._held.next_event())
        return self._events.popleft()

    def _take(self, event: happened.SessionEvent) -> None:
        match event:
            case happened.SessionReady():
                if self._ready:
                    return
                self._ready = True
                self._pass_on(event)
                self._events.extend(self._failures)
                self._failures.clear()
            case happened.AudioReceived():
                self._take_audio(event)
            case happened.ErrorReported(error, fatal=True) if self._may_move(error):
                self._events.append(replace(event, fatal=False))
            case happened.SessionEnded(_, error):
                if error is not None and not self._closing and may_fall_back(error):
                    self._pool.died(self._held, error)
                if error is not None and self._may_move(error):
                    self._lose(error)
                else:
                    self._finish(event)
            case _:
                if isinstance(event, happened.ResponseFinished) and event.status == "completed":
                    self._pool.answered(self._held)
                if self._failover:
                    self._follow(event)
                self._pass_on(event)

    def _pass_on(self, event: happened.SessionEvent) -> None:
        if self._failover:
            self._history.take(event)
            self._floor.take(event, self._clock.now(), self._output_format)
        self._events.append(event)

    def _follow(self, event: happened.SessionEvent) -> None:
        """Keep track of what another session would have to be told."""
        match event:
            case happened.SpeechStopped(item_id, audio_end_ms):
                heard = self._input_format.frame_bytes(audio_end_ms) if audio_end_ms else self._said.end
                self._said.turn_ended(item_id, self._base + heard)
            case happened.UserTranscript(_, True, item_id):
                self._said.understood(item_id)
            case happened.ResponseStarted(response_id):
                self._responses.add(response_id)
                self._said.answer_began(response_id)
            case happened.Interrupted():
                self._audible = None
                if self._from_vendor is not None:
                    self._from_vendor.reset()
            case happened.ResponseFinished(response_id, status):
                self._finish_item()
                self._responses.discard(response_id)
                if status == "completed":
                    self._said.answer_completed(response_id)
            case _:
                pass

    def _take_audio(self, event: happened.AudioReceived) -> None:
        if self._from_vendor is not None:
            if self._audible != (event.item_id, event.response_id):
                self._finish_item()
                self._audible = (event.item_id, event.response_id)
            event = replace(event, audio=self._from_vendor.convert(event.audio))
        if event.audio:
            self._pass_on(event)

    def _finish_item(self) -> None:
        """Pass on what the converter still holds of an item's audio."""
        if self._from_vendor is not None and self._audible is not None:
            tail, whose, self._audible = self._from_vendor.flush(), self._audible, None
            if tail:
                self._pass_on(happened.AudioReceived(tail, *whose))

    # ── from one provider to another ─────────────────────────────────────────────────────────────────────────────────

    def _may_move(self, error: Exception) -> bool:
        return self._failover and not self._closing and may_fall_back(error)

    def _tell_failure(self, error: Exception) -> None:
        failure = happened.ErrorReported(as_provider_error(error, ""))
        (self._events if self._ready else self._failures).append(failure)

    def _lose(self, error: ProviderError) -> None:
        """The session broke: from here to the next one, everything that comes is kept."""
        log.warning("the session with %s broke: %s", self.provider_name, error)
        self._inner = None
        self._held.release()
        self._lost = error
        self._audible = None
        self._history.break_off()
        owed = self._floor.break_off()
        heard_again = self._said.restart()
        if owed and not heard_again:
            self._floor.wish(None, self._clock.now())
        for response_id in self._responses:
            self._events.append(happened.ResponseFinished(response_id, "failed", "failover", error=error))
        self._responses.clear()

    async def _go_on_elsewhere(self) -> None:
        """Open the next session; if this is cancelled, the next call does it again."""
        known = self._history.items()
        config = replace(
            self._config, history=known, input_format=self._input_format, output_format=self._output_format
        )
        try:
            with anyio.CancelScope() as self._switching:
                if self._closing:
                    self._switching.cancel()
                held = await self._pool.open(config, self._tasks, self._tell_failure, instead_of=self._held)
                self._move_to(held)
        except Exception as error:  # noqa: BLE001 - the last event says it
            failure = as_provider_error(self._whole_story(error), self.provider_name)
            self._events.append(happened.ErrorReported(failure, fatal=True))
            self._finish(happened.SessionEnded("failed", failure))
        finally:
            self._switching = None
        if self._closing and self._inner is None and not self._over:
            self._finish(happened.SessionEnded("closed"))

    def _whole_story(self, error: Exception) -> Exception:
        """The session that broke is the first of the attempts."""
        if not isinstance(error, AllProvidersFailed) or self._lost is None:
            return error
        return AllProvidersFailed([(self.provider_name, self._lost), *error.attempts])

    def _move_to(self, held: HeldSession) -> None:
        reason = f"failover from {self.provider_name} to {held.provider.name}"
        log.warning("%s", reason)
        session = held.session
        heard, spoken = session.input_format, session.output_format
        self._to_vendor = None if heard == self._input_format else StreamConverter(self._input_format, heard)
        self._from_vendor = None if spoken == self._output_format else StreamConverter(spoken, self._output_format)
        self._capabilities = replace(
            session.capabilities,
            input_rate=self._input_format.sample_rate,
            output_rate=self._output_format.sample_rate,
        )
        self._base, self._next_entry = self._said.start, self._said.first
        self.replayed_bytes += self._said.end - self._said.start
        self._history.take(happened.SessionReady("", self._input_format, self._output_format))
        self._held, self._inner = held, session
        self._events.append(happened.SessionRotated("", reason))
        self._tasks.start_soon(self._catch_up, name="trunkline failover")

    async def _catch_up(self) -> None:
        """Let the new session hear what was said, ask for the answers that are due, and then do what had to wait."""
        with suppress(SessionClosed):  # if it broke too, its events say why
            async with self._catching_up:
                await self._send_said()
                for instructions in tuple(self._floor.wishes):
                    if self._inner is not None:
                        await self._inner.create_response(instructions)
                while self._owed and self._inner is not None:
                    with suppress(LocalProtocolError):  # what the new session has no use for
                        await self._owed[0](self._inner)
                    self._owed.popleft()

    def _finish(self, event: happened.SessionEnded) -> None:
        self._over = True
        self._events.append(event)

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Send the caller's audio; between two providers it is kept for the next.

        Raises:
            SessionClosed: The conversation is over; so for all methods.
        """
        inner = self._open_session()
        if not self._failover and inner is not None:
            await inner.send_audio(audio)
            return
        dropped = self._said.dropped_bytes
        self._said.add(bytes(audio))
        if inner is None:
            self.dropped_bytes += self._said.dropped_bytes - dropped
        with suppress(SessionClosed):  # the reader will find the next session, and that hears it
            await self._send_said()

    async def _send_said(self) -> None:
        async with self._sending:
            while (inner := self._inner) is not None and self._next_entry < self._said.last:
                number = max(self._next_entry, self._said.first)
                entry = self._said.entry(number)
                if entry is None:
                    return
                if entry.audio is None:
                    await inner.commit_audio()
                elif audio := self._to_vendor.convert(entry.audio) if self._to_vendor else entry.audio:
                    await inner.send_audio(audio)
                if inner is self._inner:
                    self._next_entry = number + 1

    async def commit_audio(self) -> None:
        """End the user's turn by hand."""
        inner = self._open_session()
        if not self._failover and inner is not None:
            await inner.commit_audio()
            return
        self._said.commit()
        with suppress(SessionClosed):
            await self._send_said()

    async def clear_audio(self) -> None:
        """Forget the user's audio that was not committed."""
        self._said.clear()
        await self._command(lambda session: session.clear_audio())

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer."""

        async def command(session: RealtimeSession) -> None:
            await session.send_text(text)
            self._history.say(text)
            self._floor.wish(None, self._clock.now())

        await self._command(command, must_arrive=True)

    async def create_response(self, instructions: str | None = None) -> None:
        """Ask for an answer, as soon as none is running."""

        async def command(session: RealtimeSession) -> None:
            await session.create_response(instructions)
            self._floor.wish(instructions, self._clock.now())

        await self._command(command, must_arrive=True)

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none."""
        await self._command(lambda session: session.cancel_response())

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of its item to the first `heard_ms` milliseconds."""
        if self._history.truncate(item_id, heard_ms) or not self._failover:
            await self._command(lambda session: session.truncate(item_id, heard_ms=heard_ms))

    async def send_tool_result(self, call_id: str, result: str) -> None:
        """Answer a tool call, once; if its session is gone, the next one knows the call and gets the answer."""

        async def command(session: RealtimeSession) -> None:
            await session.send_tool_result(call_id, result)
            self._history.answer_call(call_id, result)
            self._floor.answer_call(call_id, self._clock.now())

        await self._command(command, must_arrive=True)

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on."""
        self._config = replace(self._config, instructions=instructions)
        await self._command(lambda session: session.update_instructions(instructions), must_arrive=True)

    async def _command(self, command: Command, *, must_arrive: bool = False) -> None:
        """Give the session a command; what must arrive waits for the next one if there is none now."""
        while (inner := self._open_session()) is not None and not (must_arrive and self._owed):
            try:
                await command(inner)
            except SessionClosed:
                if not (must_arrive and self._failover):
                    raise
                if inner is self._inner:  # the reader has not noticed yet
                    break
            else:
                return
        if must_arrive:
            self._owed.append(command)

    def _open_session(self) -> RealtimeSession | None:
        if self._over or self._closing:
            raise SessionClosed(vendor=self.provider_name)
        return self._inner

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """End the conversation; any number of times, from any task. Iterating then gives `SessionEnded`."""
        self._closing = True
        if self._switching is not None:
            self._switching.cancel()
        if self._inner is not None:
            await self._inner.aclose()
