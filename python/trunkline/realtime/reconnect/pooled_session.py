"""A session of whichever provider could open one, in the formats that were asked for."""

import copy
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio.abc

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.errors import ProviderError
from trunkline.realtime import events as happened
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.realtime.reconnect.candidates import ProviderPool
from trunkline.realtime.reconnect.held_session import HeldSession, as_provider_error


class PooledSession:
    """One session of one provider; made by `RealtimeClient.connect`.

    After `SessionReady` it tells of the attempts that failed before it, as errors that are not fatal.

    Args:
        held: The session and the provider it is of.
        pool: What is told how it fares.
        failures: Those attempts.
        is_last: Whether nobody takes up the conversation if the session breaks. Otherwise its error does not say how long the vendor wants
            to be left alone: that is for the pool to know, and another provider need not wait.
        input_format: What `send_audio` is to take; the provider's own format if None.
        output_format: What `AudioReceived` is to hold, likewise.
    """

    def __init__(
        self,
        held: HeldSession,
        pool: ProviderPool,
        failures: Sequence[tuple[str, Exception]] = (),
        *,
        is_last: bool = True,
        input_format: AudioFormat | None = None,
        output_format: AudioFormat | None = None,
    ) -> None:
        inner = held.session
        self._held = held
        self._inner: RealtimeSession = inner
        self._pool = pool
        self._failures = failures
        self._is_last = is_last
        self._input_format = input_format or inner.input_format
        self._output_format = output_format or inner.output_format
        self._to_vendor = _converter(self._input_format, inner.input_format)
        self._from_vendor = _converter(inner.output_format, self._output_format)
        self._audible: tuple[str, str] | None = None
        self._events: deque[happened.SessionEvent] = deque()
        self._over = False
        self._closing = False

    @property
    def provider(self) -> RealtimeProvider:
        """Whose session it is."""
        return self._held.provider

    @property
    def is_live(self) -> bool:
        """Whether it has neither ended nor been closed."""
        return not (self._over or self._closing)

    @property
    def capabilities(self) -> Capabilities:
        """What the provider's session can do; the rates are those of the formats here."""
        told = self._inner.capabilities
        if self._to_vendor is None and self._from_vendor is None:
            return told
        return replace(
            told,
            input_rate=self._input_format.sample_rate,
            output_rate=self._output_format.sample_rate,
            native_formats=(),
        )

    @property
    def input_format(self) -> AudioFormat:
        """The format `send_audio` takes."""
        return self._input_format

    @property
    def output_format(self) -> AudioFormat:
        """The format of `AudioReceived.audio`."""
        return self._output_format

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> "PooledSession":
        return self

    async def __anext__(self) -> happened.SessionEvent:
        while not self._events:
            if self._over:
                raise StopAsyncIteration
            self._take(await self._held.next_event())
        return self._events.popleft()

    def _take(self, event: happened.SessionEvent) -> None:
        match event:
            case happened.SessionReady():
                self._events.append(replace(event, input_format=self._input_format, output_format=self._output_format))
                self._events.extend(
                    happened.ErrorReported(as_provider_error(error, name)) for name, error in self._failures
                )
                return
            case happened.AudioReceived() if self._from_vendor is not None:
                self._convert(self._from_vendor, event)
                return
            case happened.Interrupted() if self._from_vendor is not None:
                self._from_vendor.reset()
                self._audible = None
            case happened.ResponseFinished(status=status):
                self._finish_item()
                if status == "completed":
                    self._pool.answered(self._held.provider)
            case happened.SessionEnded(error=error):
                self._over = True
                if error is not None and not self._closing:
                    self._pool.died(self._held.provider, error)
                    event = event if self._is_last else replace(event, error=_without_wait(error))
            case _:
                pass
        self._events.append(event)

    def _convert(self, converter: StreamConverter, event: happened.AudioReceived) -> None:
        if self._audible != (event.item_id, event.response_id):
            self._finish_item()
            self._audible = (event.item_id, event.response_id)
        if audio := converter.convert(event.audio):
            self._events.append(replace(event, audio=audio))

    def _finish_item(self) -> None:
        """Pass on what the converter still holds of an item's audio."""
        if self._from_vendor is not None and self._audible is not None:
            whose, self._audible = self._audible, None
            if tail := self._from_vendor.flush():
                self._events.append(happened.AudioReceived(tail, *whose))

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Send the user's audio, any number of bytes of `input_format`.

        Raises:
            SessionClosed: The session is over; so for all methods.
        """
        if self._to_vendor is not None:
            audio = self._to_vendor.convert(audio)
        await self._inner.send_audio(audio)

    async def send_text(self, text: str) -> None:
        """Say something as the user, in text, and ask for an answer."""
        await self._inner.send_text(text)

    async def commit_audio(self) -> None:
        """End the user's turn by hand; only with the vendor's voice activity detection off."""
        if self._to_vendor is not None and (tail := self._to_vendor.flush()):
            await self._inner.send_audio(tail)
        await self._inner.commit_audio()

    async def clear_audio(self) -> None:
        """Forget the user's audio that was not committed."""
        if self._to_vendor is not None:
            self._to_vendor.reset()
        await self._inner.clear_audio()

    async def create_response(self, instructions: str | None = None, *, during_tools: bool = False) -> None:
        """Ask for an answer, as soon as none is running; `instructions` hold for this answer alone."""
        await self._inner.create_response(instructions, during_tools=during_tools)

    async def cancel_response(self) -> None:
        """Stop the running answer; harmless when there is none."""
        await self._inner.cancel_response()

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Cut the model's memory of its item to the first `heard_ms` milliseconds."""
        await self._inner.truncate(item_id, heard_ms=heard_ms)

    async def send_tool_result(self, call_id: str, result: str) -> None:
        """Answer a tool call, once; the model goes on when all calls of its response are answered."""
        await self._inner.send_tool_result(call_id, result)

    async def update_instructions(self, instructions: str) -> None:
        """Change the system prompt from now on."""
        await self._inner.update_instructions(instructions)

    async def aclose(self) -> None:
        """End the session; any number of times, from any task. Iterating then gives `SessionEnded`."""
        self._closing = True
        await self._held.aclose()


def _converter(from_: AudioFormat, to: AudioFormat) -> StreamConverter | None:
    return None if from_ == to else StreamConverter(from_, to)


def _without_wait(error: ProviderError) -> ProviderError:
    if error.retry_after is None:
        return error
    told = copy.copy(error)
    told.__cause__, told.retry_after = error, None
    return told


class PooledProvider:
    """A pool as the provider of one conversation, which may go through several sessions.

    The first session has its provider's formats. Those that follow have the formats that are asked for, whatever their provider speaks.

    Args:
        pool: Opens the sessions.
        tasks: Where what keeps them open runs.
        is_last: See `PooledSession`.
    """

    name = "fallback"

    def __init__(self, pool: ProviderPool, tasks: anyio.abc.TaskGroup, *, is_last: bool) -> None:
        self._pool = pool
        self._tasks = tasks
        self._is_last = is_last
        self._present: PooledSession | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the sessions of the pool's first provider can do."""
        return self._pool.first().capabilities

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[PooledSession]:
        """Open a session; if the one before it is gone, with another provider if possible.

        Raises:
            AllProvidersFailed: None could open one.
            TrunklineError: One failed in a way that is no reason to try another.
        """
        before = self._present
        lost = None if before is None or before.is_live else before.provider
        held, failures = await self._pool.open(config, self._tasks, instead_of=lost)
        self._present = session = PooledSession(
            held,
            self._pool,
            failures,
            is_last=self._is_last,
            input_format=config.input_format if before else None,
            output_format=config.output_format if before else None,
        )
        try:
            yield session
        finally:
            await session.aclose()
            held.release()
