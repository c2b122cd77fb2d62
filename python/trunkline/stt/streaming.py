"""A session with a vendor that hears audio as it comes: a WebSocket, a codec that knows the protocol, and their deadlines."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from trunkline.audio import AudioFormat, StreamConverter
from trunkline.clock import Clock
from trunkline.errors import (
    DeadlineExceeded,
    InvalidConfig,
    ProviderError,
    RemoteProtocolError,
    SessionClosed,
    TransportError,
)
from trunkline.stt.event_queue import EventQueue
from trunkline.stt.owned_tasks import owned_tasks
from trunkline.stt.provider import SttCapabilities
from trunkline.transport import MessageStream
from trunkline.transport.error_map import ConnectionErrors
from trunkline.wire.stt.codec import SttCodec
from trunkline.wire.stt.events import ErrorReported, SessionEnded, SttEvent, Transcript

FINAL_WITHIN = 3.0
"""Seconds that a vendor has for a final transcript before the words so far are taken for it."""
CLOSE_WITHIN = 2.0
"""Seconds for the last words when a session is closed."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How a session is opened.

    Args:
        dial: Opens the connection.
        codec: The protocol, made anew for this session.
        audio_format: What the caller's audio is.
        capabilities: What the session can do.
        errors: Makes errors of what goes wrong.
        connect_timeout: Seconds for the connection and for the vendor to be ready.
        clock: Where time comes from.
    """

    dial: Callable[[], AbstractAsyncContextManager[MessageStream]] = field(repr=False)
    codec: SttCodec
    audio_format: AudioFormat
    capabilities: SttCapabilities
    errors: ConnectionErrors
    connect_timeout: float
    clock: Clock


def check_mono(audio_format: AudioFormat) -> None:
    """Refuse audio of two speakers.

    Raises:
        InvalidConfig: The audio is not mono.
    """
    if audio_format.channels != 1:
        raise InvalidConfig("audio_format", f"must be mono, got {audio_format}")


@asynccontextmanager
async def open_session(connection: Connection) -> AsyncIterator["StreamingSession"]:
    """Open a session; leaving the block closes it.

    Raises:
        ProviderError: The vendor refused or could not be reached; the class says which.
    """
    clock = connection.clock
    refusal: ProviderError | None = None
    session: StreamingSession | None = None
    async with AsyncExitStack() as stack:
        try:
            # One deadline for dialling, which keeps it by itself, and for what follows.
            deadline = clock.now() + connection.connect_timeout
            stream = await stack.enter_async_context(connection.dial())
            with clock.move_on_after(max(0.0, deadline - clock.now())):
                session = StreamingSession(stream, connection, await _set_up(stream, connection.codec))
            if session is None:
                raise DeadlineExceeded("setting up a session", connection.connect_timeout)
        except (TransportError, RemoteProtocolError) as error:
            refusal = connection.errors.refused(error)
        if session is None:
            assert refusal is not None  # noqa: S101 - the one or the other
            raise refusal  # here, so that the vendor's own words, which may repeat the key, are not even its context
        session.start(await stack.enter_async_context(owned_tasks()))
        try:
            yield session
        finally:
            await session.aclose()


async def _set_up(stream: MessageStream, codec: SttCodec) -> list[SttEvent]:
    """Go as far as the vendor listens; returns what it said besides.

    Raises:
        ProviderError: The vendor refused.
    """
    for message in codec.opening():
        await stream.send(message)
    events: list[SttEvent] = []
    while not codec.is_ready:
        for event in codec.receive(await stream.receive()):
            if isinstance(event, ErrorReported) and event.fatal:
                raise event.error
            events.append(event)
    return events


class StreamingSession:
    """One caller being heard (`SttSession`); made by `open_session`."""

    def __init__(self, stream: MessageStream, connection: Connection, first: list[SttEvent]) -> None:
        self._stream = stream
        self._codec = connection.codec
        self._errors = connection.errors
        self._clock = connection.clock
        self._capabilities = connection.capabilities
        self._format = connection.audio_format
        native = connection.codec.audio_format
        self._converter = None if native == self._format else StreamConverter(self._format, native)
        self._queue = EventQueue()
        self._queue.put(first)
        self._sent_at = connection.clock.now()
        self._closing = False
        self._read_to_end = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._final_by: float | None = None

    def start(self, tasks: TaskGroup) -> None:
        """Read, and keep alive, in `tasks` until the session is closed."""
        self._tasks = tasks
        tasks.start_soon(self._read)
        tasks.start_soon(self._keep_alive)

    @property
    def capabilities(self) -> SttCapabilities:
        """What this session can do."""
        return self._capabilities

    @property
    def input_format(self) -> AudioFormat:
        """What `send_audio` takes."""
        return self._format

    # ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> AsyncIterator[SttEvent]:
        return self

    async def __anext__(self) -> SttEvent:
        return await self._queue.get()

    async def _read(self) -> None:
        """Read until the connection ends or the vendor says that it failed."""
        failure: ProviderError | None = None
        try:
            while failure is None:
                failure = self._taken(await self._stream.receive())
        except (TransportError, RemoteProtocolError) as error:
            failure = None if self._closing else self._errors.ended(error)
        finally:  # also where the program is cancelled: whoever closes the session waits for this
            self._end(failure)
        await self._stream.aclose()

    def _end(self, failure: ProviderError | None) -> None:
        self._queue.put(self._codec.flush())
        if failure is not None:
            self._queue.put([ErrorReported(failure, fatal=True), SessionEnded("failed", failure)])
        self._queue.put([SessionEnded("closed" if self._closing else "closed_by_vendor")])
        self._read_to_end.set()

    def _taken(self, message: str | bytes) -> ProviderError | None:
        """Queue what a message means; returns the error that ends the session, if it is one."""
        try:
            events = self._codec.receive(message)
        except RemoteProtocolError as error:
            events = [ErrorReported(self._errors.malformed(error))]
        for event in events:
            if isinstance(event, ErrorReported) and event.fatal:
                return event.error
            if isinstance(event, Transcript) and event.is_final:
                self._final_by = None  # what else is owed has its own time
            self._queue.put([event])
        self._expect_final()
        return None

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self, audio: bytes) -> None:
        """Let the vendor hear the next audio.

        Raises:
            SessionClosed: The session is over.
        """
        self._check_open()
        if self._converter is not None:
            audio = self._converter.convert(audio)
        for message in self._codec.audio(audio):
            await self._send(message)

    async def finalize(self) -> None:
        """Ask for the final transcript of what was said so far.

        Raises:
            SessionClosed: The session is over.
        """
        self._check_open()
        for message in self._codec.finalize():
            await self._send(message)
        self._expect_final()

    async def _send(self, message: str | bytes) -> None:
        self._check_open()
        self._sent_at = self._clock.now()
        try:
            await self._stream.send(message)
        except TransportError as error:
            cause = self._errors.redacted(error)
        else:
            return
        raise SessionClosed(vendor=self._codec.vendor) from cause

    def _check_open(self) -> None:
        if self._closing or self._queue.is_over:
            raise SessionClosed(vendor=self._codec.vendor)

    # ── deadlines ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_alive(self) -> None:
        """Send something where the caller sends nothing."""
        limit = self._codec.quiet_limit
        while not self._closing:
            due = self._sent_at + limit
            if self._clock.now() < due:
                await self._clock.sleep_until(due)
                continue
            self._sent_at = self._clock.now()  # also where nothing is needed
            try:
                for message in self._codec.keep_alive():
                    await self._send(message)
            except SessionClosed:
                return  # the reader says why

    def _expect_final(self) -> None:
        if not self._codec.owes_final:
            self._final_by = None
        elif self._final_by is None and self._tasks is not None:
            self._final_by = self._clock.now() + FINAL_WITHIN
            self._tasks.start_soon(self._wait_for_final, self._final_by)

    async def _wait_for_final(self, moment: float) -> None:
        """Where the vendor does not finish what was said, the words so far must do."""
        await self._clock.sleep_until(moment)
        if self._final_by == moment:
            self._final_by = None
            self._queue.put(self._codec.flush())

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """End the session; any number of times, from any task. The last words come, then `SessionEnded("closed")`."""
        is_first, self._closing = not self._closing, True
        with self._clock.move_on_after(CLOSE_WITHIN, shield=True):
            if is_first:
                await self._say_goodbye()
        await self._stream.aclose()
        with self._clock.move_on_after(CLOSE_WITHIN, shield=True):
            await self._read_to_end.wait()

    async def _say_goodbye(self) -> None:
        messages = () if self._queue.is_over else self._codec.closing()
        try:
            for message in messages:
                await self._stream.send(message)
        except TransportError:
            return
        if messages:
            await self._read_to_end.wait()
