"""A realtime session as two streams: audio goes in, audio and words come out, tools are run on the way."""

import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import anyio
import anyio.abc

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import LocalProtocolError, SessionClosed
from trunkline.realtime import events as happened
from trunkline.realtime.items import AudioChunk, StreamStats, Transcript
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.realtime.stream.queue import Outlet
from trunkline.tools.dispatch import ToolDispatcher

log = logging.getLogger(__name__)

QUIET = 1.0
"""Seconds without news after which a session with nothing left to do counts as finished."""
ANSWER_WAIT = 5.0
"""Seconds without news that an answer which is expected may take to begin."""
SILENCE_MS = 100
"""How much silence is sent at a time, so that the vendor notices the end of what the user was saying when the input ended."""
_CLOSE_TIMEOUT = 2.0


class AudioStream:
    """The two outputs of `process_audio_stream`, which makes it.

    Attributes:
        audio: The model's answers, each piece an `AudioChunk`, for one reader. You must read it: when as much is unread as may wait, the
            session stands still. If the session fails, the reader gets the error here, once, after all audio that came before.
        transcripts: The words of both sides, each piece a `Transcript`, for one reader, at any time: they are kept without bound.
    """

    def __init__(
        self,
        source: AudioFormat,
        result: AudioFormat,
        tools: ToolDispatcher,
        *,
        buffer_ms: float,
        drain_timeout: float,
        clock: Clock,
    ) -> None:
        self.audio: Outlet[AudioChunk] = Outlet(limit=buffer_ms, weigh=lambda chunk: chunk.duration_ms)
        self.transcripts: Outlet[Transcript] = Outlet()
        self._source = source
        self._result = result
        self._tools = tools
        self._drain_timeout = drain_timeout
        self._clock = clock
        self._incoming: Outlet[bytes] = Outlet(limit=source.frame_bytes(buffer_ms), weigh=len)
        self._session: RealtimeSession | None = None
        self._to_stream: StreamConverter | None = None
        self._error: Exception | None = None
        self._news = anyio.Event()
        self._user_speaks = False
        self._answer_expected = False
        self._responses: set[str] = set()
        self._spoken: set[str] = set()
        self._calls: dict[str, anyio.CancelScope] = {}
        self._answered: set[str] = set()
        self._sent_bytes = self._received_bytes = self._interrupted_bytes = self._errors = 0

    @property
    def session(self) -> RealtimeSession:
        """The session underneath, for commands; leave reading its events to the stream."""
        if self._session is None:
            raise SessionClosed("the session is not ready")
        return self._session

    @property
    def error(self) -> Exception | None:
        """Why the stream ended, if that was an error, also after `audio` has raised it."""
        return self._error

    @property
    def stats(self) -> StreamStats:
        """The figures so far."""
        return StreamStats(
            sent_bytes=self._sent_bytes,
            received_bytes=self._received_bytes,
            interrupted_bytes=self._interrupted_bytes,
            tool_calls=len(self._answered),
            errors=self._errors,
        )

    # ── the user's audio ─────────────────────────────────────────────────────────────────────────────────────────────

    async def listen(self, audio_in: AsyncIterable[bytes]) -> None:
        """Take the input in, also before there is a session; as much as may wait, then the source has to."""
        try:
            async for audio in audio_in:
                await self._incoming.put(bytes(audio))
            self._incoming.end()
        except Exception as error:  # noqa: BLE001 - the source's own error, which the reader of the audio is told
            self._incoming.end(error)
        finally:
            if isinstance(audio_in, AsyncGenerator):  # nobody else can go on with it
                with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                    await audio_in.aclose()

    async def _send(self, session: RealtimeSession) -> None:
        convert = None if session.input_format == self._source else StreamConverter(self._source, session.input_format)
        try:
            async for audio in self._incoming:
                await self._send_audio(session, convert.convert(audio) if convert else audio)
            if convert:
                await self._send_audio(session, convert.flush())
            await self._drain(session)
        except SessionClosed:
            return  # the session's last events tell why
        except Exception as error:  # noqa: BLE001 - the reader of the audio is told
            self._error = error
        await session.aclose()

    async def _send_audio(self, session: RealtimeSession, audio: bytes) -> None:
        if audio:
            await session.send_audio(audio)
            self._sent_bytes += len(audio)

    async def _drain(self, session: RealtimeSession) -> None:
        """Wait for what the model still has to say; while the reader holds everything up, no time passes."""
        left = self._drain_timeout
        while left > 0:
            began, news = self._clock.now(), self._news
            held_up, busy, speaking = self.audio.full, bool(self._responses or self._calls), self._user_speaks
            patience = left if busy or held_up else ANSWER_WAIT if self._answer_expected else QUIET
            if speaking:
                await self._send_audio(session, session.input_format.silence(SILENCE_MS))
                patience = SILENCE_MS / 1000
            with self._clock.move_on_after(min(patience, left)) as wait:
                await news.wait()
            if not (held_up or self.audio.full):
                left -= self._clock.now() - began
                if wait.cancelled_caught and not (busy or speaking):
                    return
        log.warning("the model was not done %g s after the input had ended", self._drain_timeout)

    # ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────

    async def converse(self, session: RealtimeSession) -> None:
        """Run the session until it ends, and end both outputs with it."""
        self._session = session
        if session.output_format != self._result:
            self._to_stream = StreamConverter(session.output_format, self._result)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send, session, name="trunkline stream input")
                async for event in session:
                    await self._handle(session, event, tasks)
                    if isinstance(event, happened.SessionEnded):
                        break
                tasks.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - the reader of the audio is told
            self._error = self._error or single(error)
        finally:
            self.end()

    def end(self) -> None:
        """End both outputs; what is unread stays readable."""
        self.audio.end(self._error)
        self.transcripts.end()

    async def _handle(self, session: RealtimeSession, event: happened.SessionEvent, tasks: anyio.abc.TaskGroup) -> None:
        match event:
            case happened.AudioReceived():
                self._spoken.add(event.response_id)
                await self._give(event.audio if self._to_stream is None else self._to_stream.convert(event.audio))
            case happened.AgentTranscript() | happened.UserTranscript():
                is_input = isinstance(event, happened.UserTranscript)
                self.transcripts.put_nowait(Transcript(event.text, is_input, event.is_final, event.item_id))
            case happened.ToolCallRequested() if event.call_id not in self._calls.keys() | self._answered:
                scope = self._calls[event.call_id] = anyio.CancelScope()
                tasks.start_soon(self._run_tool, session, event, scope, name=f"trunkline tool {event.name}")
            case happened.ToolCallCancelled():
                if event.call_id in self._calls:
                    self._calls[event.call_id].cancel()
            case happened.ErrorReported():
                self._errors += 1
                log.warning("the session reports: %s", event.error)
            case happened.SessionEnded():
                self._error = self._error or event.error
            case _:
                await self._follow(event)
        self._tell()

    async def _follow(self, event: happened.SessionEvent) -> None:
        """Keep track of whose turn it is."""
        match event:
            case happened.SpeechStarted():
                self._user_speaks = True
            case happened.SpeechStopped():
                self._user_speaks, self._answer_expected = False, True
            case happened.ResponseStarted():
                self._user_speaks = self._answer_expected = False
                self._responses.add(event.response_id)
            case happened.Interrupted():
                self._interrupted()
            case happened.ResponseFinished():
                self._responses.discard(event.response_id)
                await self._finish(event.response_id)
                if event.error is not None:
                    self._errors += 1
                    log.warning("an answer failed: %s", event.error)

    async def _give(self, audio: bytes, *, is_final: bool = False) -> None:
        self._received_bytes += len(audio)
        if audio or is_final:
            await self.audio.put(
                AudioChunk(audio, is_final, self._result.sample_rate, self._result.duration_ms(len(audio)))
            )

    async def _finish(self, response_id: str) -> None:
        if response_id in self._spoken:
            self._spoken.discard(response_id)
            await self._give(self._to_stream.flush() if self._to_stream else b"", is_final=True)

    def _interrupted(self) -> None:
        """What the caller has not heard of the answers is not to be heard any more."""
        if self._to_stream is not None:
            self._to_stream.reset()
        dropped = self.audio.drop(lambda chunk: not chunk.is_final)
        self._interrupted_bytes += sum(len(chunk.data) for chunk in dropped)

    # ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run_tool(
        self, session: RealtimeSession, request: happened.ToolCallRequested, scope: anyio.CancelScope
    ) -> None:
        try:
            with scope:
                call = await self._tools.run(request.call_id, request.name, request.arguments)
                with suppress(SessionClosed, LocalProtocolError):  # over, or taken back meanwhile
                    await session.send_tool_result(request.call_id, call.result)
                    self._answered.add(request.call_id)
                    self._answer_expected = True
        finally:
            del self._calls[request.call_id]
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


@asynccontextmanager
async def process_audio_stream(
    provider: RealtimeProvider,
    audio_in: AsyncIterable[bytes],
    config: ProcessConfig | None = None,
    *,
    buffer_ms: float = 60_000,
    drain_timeout: float = 30.0,
    tool_timeout: float = 20.0,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[AudioStream]:
    """Run one session between two streams: `async with provider.process_audio_stream(audio_in, config) as stream`.

    Both outputs end when the input ends and the model has said what it still had to say, when the session ends, and when the block is
    left, which cancels all that runs. If the input ends while the user is speaking, silence is sent until the vendor has noticed. The
    input is taken in from the beginning, also while the session is being opened.

    Args:
        provider: Opens the session.
        audio_in: The user's audio, any number of bytes at a time, in `config.input_format`, or else in PCM16 mono at the provider's
            input rate. An async generator is closed at the end, anything else is left as it is.
        config: How the session should be; `on_function_call` runs the tools.
        buffer_ms: How much audio may wait on each side, in milliseconds; then the producer waits, and nothing is lost.
        drain_timeout: Seconds that the model has after the input has ended.
        tool_timeout: Seconds that a tool has.
        clock: Where time comes from.

    Raises:
        ProviderError: No session could be opened; the class says why.
        InvalidConfig: The configuration asks for what the vendor does not have.
    """
    config = config or ProcessConfig()
    tools = ToolDispatcher(
        config.functions, on_function_call=config.on_function_call, timeout=tool_timeout, clock=clock
    )
    able = provider.capabilities
    stream = AudioStream(
        config.input_format or AudioFormat("linear16", able.input_rate),
        config.output_format or AudioFormat("linear16", able.output_rate),
        tools,
        buffer_ms=buffer_ms,
        drain_timeout=drain_timeout,
        clock=clock,
    )
    failure: Exception | None = None
    async with anyio.create_task_group() as ears:
        ears.start_soon(stream.listen, audio_in, name="trunkline stream source")
        try:
            async with provider.connect(config) as session, anyio.create_task_group() as tasks:
                tasks.start_soon(stream.converse, session, name="trunkline stream")
                try:
                    yield stream
                except Exception as error:  # noqa: BLE001 - raised below, where no task group wraps it
                    failure = error
                tasks.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001 - likewise
            failure = failure or single(error)
        finally:
            stream.end()
        ears.cancel_scope.cancel()
    if failure is not None:
        raise failure


def single(error: Exception) -> Exception:
    """The one error in groups of one; a group of several as it is."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


class StreamContract:
    """Gives a provider with `connect` the stream contract of `process_audio_stream`, and a `close`."""

    def process_audio_stream(
        self: RealtimeProvider,
        audio_in: AsyncIterable[bytes],
        config: ProcessConfig | None = None,
        *,
        buffer_ms: float = 60_000,
        drain_timeout: float = 30.0,
        tool_timeout: float = 20.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> AbstractAsyncContextManager[AudioStream]:
        """Run one session between two streams; all of it is told at `trunkline.realtime.stream.stream.process_audio_stream`."""
        return process_audio_stream(
            self,
            audio_in,
            config,
            buffer_ms=buffer_ms,
            drain_timeout=drain_timeout,
            tool_timeout=tool_timeout,
            clock=clock,
        )

    async def aclose(self) -> None:
        """Release what the provider keeps between sessions: nothing, unless it says otherwise."""

    close = aclose
