"""Providers in memory: sessions whose events a test feeds and whose commands it reads, and every way of failing."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from trunkline.audio import OPENAI, AudioFormat
from trunkline.errors import ConnectionFailed, LocalProtocolError, ProviderError, SessionClosed
from trunkline.realtime.events import ErrorReported, SessionEnded, SessionEvent, SessionReady
from trunkline.realtime.provider import Capabilities, ProcessConfig
from trunkline.realtime.stream import StreamContract

CAPABILITIES = Capabilities(input_rate=24000, output_rate=24000, truncate=True)


class FedSession:
    """A session that does nothing by itself."""

    capabilities = CAPABILITIES

    def __init__(self, number: int, input_format: AudioFormat, output_format: AudioFormat) -> None:
        self.input_format = input_format
        self.output_format = output_format
        self.commands: list[tuple[object, ...]] = []
        self.heard = b""
        self.reads = 0
        self.over = self._told_end = False
        self.results: dict[str, str] = {}
        self.failure: Exception | None = None
        self.blocked: anyio.Event | None = None
        self._feed, self._events = anyio.create_memory_object_stream[SessionEvent](math.inf)
        self.feed(SessionReady(f"sess_{number}", input_format, output_format))

    def feed(self, *events: SessionEvent) -> None:
        for event in events:
            self._feed.send_nowait(event)
            self.over = self.over or isinstance(event, SessionEnded)

    def die(self, error: ProviderError | None = None) -> None:
        """Break as a session does."""
        error = error or ConnectionFailed("the line broke", vendor="fed")
        self.feed(ErrorReported(error, fatal=True), SessionEnded("failed", error))

    def __aiter__(self) -> "FedSession":
        return self

    async def __anext__(self) -> SessionEvent:
        if self._told_end:
            raise StopAsyncIteration
        if self.failure is not None:
            raise self.failure
        try:
            event = await self._events.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise StopAsyncIteration from None
        self.reads += 1
        self._told_end = isinstance(event, SessionEnded)
        return event

    def _check(self) -> None:
        if self.over:
            raise SessionClosed(vendor="fed")

    async def send_audio(self, audio: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        if self.blocked is not None:
            await self.blocked.wait()
        self._check()
        self.heard += audio

    async def send_text(self, text: str) -> None:
        self._note("text", text)

    async def commit_audio(self) -> None:
        self._note("commit")

    async def clear_audio(self) -> None:
        self._note("clear")

    async def create_response(self, instructions: str | None = None, *, during_tools: bool = False) -> None:
        self._note("create", instructions)

    async def cancel_response(self) -> None:
        self._note("cancel")

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        self._note("truncate", item_id, heard_ms)

    async def send_tool_result(self, call_id: str, result: str) -> None:
        self._check()
        if call_id in self.results:
            raise LocalProtocolError("answered before")
        self.results[call_id] = result

    async def update_instructions(self, instructions: str) -> None:
        self._note("instructions", instructions)

    def _note(self, *command: object) -> None:
        self._check()
        self.commands.append(command)

    async def aclose(self) -> None:
        if not self.over:
            self.feed(SessionEnded("closed"))

    def free(self) -> None:
        self._feed.close()
        self._events.close()


@dataclass
class FedProvider(StreamContract):
    """Opens fed sessions; `failures` come first, each once, and None in it is a success."""

    name: str = "fed"
    capabilities: Capabilities = CAPABILITIES
    input_format: AudioFormat = OPENAI
    output_format: AudioFormat = OPENAI
    failures: list[Exception | None] = field(default_factory=list)
    hangs: bool = False
    configs: list[ProcessConfig] = field(default_factory=list)
    sessions: list[FedSession] = field(default_factory=list)
    open: int = 0
    closed: int = 0
    close_error: Exception | None = None

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[FedSession]:
        self.configs.append(config)
        await anyio.lowlevel.checkpoint()
        if self.hangs:
            await anyio.sleep_forever()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        session = FedSession(len(self.sessions) + 1, self.input_format, self.output_format)
        self.sessions.append(session)
        self.open += 1
        try:
            yield session
        finally:
            self.open -= 1
            await session.aclose()
            session.free()

    @property
    def session(self) -> FedSession:
        return self.sessions[-1]

    async def aclose(self) -> None:
        self.closed += 1
        if self.close_error is not None:
            raise self.close_error

    close = aclose


async def until_quiet() -> None:
    """Let every task run as far as it can."""
    await anyio.wait_all_tasks_blocked()
