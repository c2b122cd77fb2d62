"""A realtime session as two streams: audio goes in, audio and words come out, tools are run on the way."""

import logging
from collections.abc import AsyncGenerator, AsyncIterable

import anyio

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.clock import Clock
from trunkline.errors import SessionClosed, single
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    SessionEnded,
    SessionEvent,
    SessionRotated,
    UserTranscript,
)
from trunkline.realtime.items import AudioChunk, StreamStats, Transcript
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.realtime.stream.progress import Progress
from trunkline.realtime.stream.queue import BoundedQueue
from trunkline.realtime.tool_host import ToolHost

log = logging.getLogger(__name__)

SILENCE_MS = 100
"""How much silence is sent at a time, so that the vendor notices the end of what the user was saying when the input ended."""
_CLOSE_TIMEOUT = 2.0


class ProviderStream:
    """The `AudioStream` of a provider; `StreamContract.process_audio_stream` makes it.

    Args:
        provider: Opens the session.
        config: How the session should be, and the formats of the stream: PCM16 mono at the provider's rates where it names none.
        buffer_ms: How much audio may wait on each side, in milliseconds.
        drain_timeout: Seconds that the model has after the input has ended.
        tool_timeout: Seconds that a tool has.
        clock: Where time comes from.

    Attributes:
        audio: See `AudioStream`.
        transcripts: See `AudioStream`.
    """

    def __init__(
        self,
        provider: RealtimeProvider,
        config: ProcessConfig,
        *,
        buffer_ms: float,
        drain_timeout: float,
        tool_timeout: float,
        clock: Clock,
    ) -> None:
        able = provider.capabilities
        self.audio: BoundedQueue[AudioChunk] = BoundedQueue(limit=buffer_ms, weigh=lambda chunk: chunk.duration_ms)
        self.transcripts: BoundedQueue[Transcript] = BoundedQueue()
        self._source = config.input_format or AudioFormat("linear16", able.input_rate)
        self._result = config.output_format or AudioFormat("linear16", able.output_rate)
        self._to_session = _Conversion(self._source, self._source)
        self._to_stream = _Conversion(self._result, self._result)
        self._drain_timeout = drain_timeout
        self._clock = clock
        self._incoming: BoundedQueue[bytes] = BoundedQueue(limit=self._source.frame_bytes(buffer_ms), weigh=len)
        self._progress = Progress()
        # The host is given a method of an object that does not keep the stream, so that no circle arises.
        self._tools = ToolHost(
            config.compiled_tools, timeout=tool_timeout, on_done=self._progress.tool_done, clock=clock
        )
        self._session: RealtimeSession | None = None
        self._error: Exception | None = None
        self._spoken: set[str] = set()
        self._sent_bytes = self._received_bytes = self._interrupted_bytes = self._errors = 0

    @property
    def session(self) -> RealtimeSession:
        """The session underneath, for commands; leave reading its events to the stream.

        Raises:
            SessionClosed: It is not ready yet.
        """
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
            tool_calls=self._progress.tools_answered,
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
        try:
            async for audio in self._incoming:
                self._to_session.change(self._source, session.input_format)
                await self._send_audio(session, self._to_session.convert(audio))
            await self._send_audio(session, self._to_session.flush())
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
            self._progress.audio_sent()

    async def _drain(self, session: RealtimeSession) -> None:
        """Wait for what the model still has to say; while the reader holds everything up, no time passes."""
        progress, left, quiet_since = self._progress, self._drain_timeout, self._clock.now()
        while left > 0:
            began, news, held_up = self._clock.now(), progress.news, self.audio.full
            patience = progress.patience(tools_busy=self._tools.busy)
            wait = min(left, patience - (began - quiet_since))
            if progress.needs_silence:
                await session.send_audio(session.input_format.silence(SILENCE_MS))
                wait = min(wait, SILENCE_MS / 1000)
            with self._clock.move_on_after(wait) as waiting:
                await news.wait()
            now = self._clock.now()
            if held_up or self.audio.full:
                quiet_since = now
                continue
            left -= now - began
            if not waiting.cancelled_caught:
                quiet_since = now
            elif now - quiet_since >= patience:
                return
        log.warning("the model was not done %g s after the input had ended", self._drain_timeout)

    # ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────

    async def converse(self, session: RealtimeSession) -> None:
        """Run the session until it ends, and end both outputs with it."""
        self._session = session
        self._progress.reports_speech = session.capabilities.reports_speech
        self._to_stream.change(session.output_format, self._result)
        try:
            async with anyio.create_task_group() as tasks:
                self._tools.begin(tasks, session)
                tasks.start_soon(self._send, session, name="trunkline stream input")
                async for event in session:
                    await self._handle(event)
                    if isinstance(event, SessionEnded):
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

    async def _handle(self, event: SessionEvent) -> None:
        match event:
            case AudioReceived():
                self._spoken.add(event.response_id)
                await self._put_audio(self._to_stream.convert(event.audio))
            case AgentTranscript() | UserTranscript():
                is_input = isinstance(event, UserTranscript)
                self.transcripts.put_nowait(Transcript(event.text, is_input, event.is_final, event.item_id))
            case Interrupted():
                self._drop_unread()
            case ResponseFinished():
                await self._finish(event.response_id)
                self._report(event.error)
            case ErrorReported():
                self._report(event.error)
            case SessionRotated():
                await self._put_audio(self._to_stream.change(event.output_format, self._result))
            case SessionEnded():
                self._error = self._error or event.error
        self._tools.take(event)
        self._progress.follow(event)

    async def _put_audio(self, audio: bytes, *, is_final: bool = False) -> None:
        self._received_bytes += len(audio)
        if audio or is_final:
            duration_ms = self._result.duration_ms(len(audio))
            await self.audio.put(AudioChunk(audio, is_final, self._result.sample_rate, duration_ms))

    async def _finish(self, response_id: str) -> None:
        if response_id in self._spoken:
            self._spoken.discard(response_id)
            await self._put_audio(self._to_stream.flush(), is_final=True)

    def _drop_unread(self) -> None:
        """What the user has not heard of the answers is not to be heard any more."""
        self._to_stream.reset()
        dropped = self.audio.drop(lambda chunk: not chunk.is_final)
        self._interrupted_bytes += sum(len(chunk.data) for chunk in dropped)

    def _report(self, error: Exception | None) -> None:
        if error is not None:
            self._errors += 1
            log.warning("the session reports: %s", error)


class _Conversion:
    """Converts a stream of audio between two formats that may change meanwhile; equal formats pass through."""

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self._formats = (source, target)
        self._converter: StreamConverter | None = None

    def change(self, source: AudioFormat, target: AudioFormat) -> bytes:
        """Go on with other formats, if they are others; returns what the converter before still held."""
        if (source, target) == self._formats:
            return b""
        rest, self._formats = self.flush(), (source, target)
        self._converter = None if source == target else StreamConverter(source, target)
        return rest

    def convert(self, audio: bytes) -> bytes:
        """The next audio, converted."""
        return audio if self._converter is None else self._converter.convert(audio)

    def flush(self) -> bytes:
        """The end of the audio."""
        return b"" if self._converter is None else self._converter.flush()

    def reset(self) -> None:
        """Forget what was converted so far."""
        if self._converter is not None:
            self._converter.reset()
