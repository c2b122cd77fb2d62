"""A vendor in memory whose sessions a test scripts, breaks and freezes, and whose every session writes down what it was given."""

from __future__ import annotations

import heapq
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel

from trunkline.audio import TWILIO, AudioFormat
from trunkline.clock import Clock, ManualClock
from trunkline.errors import ConnectionFailed, LocalProtocolError, SessionClosed
from trunkline.realtime.events import SessionEnded, SessionEvent, SessionReady, ToolCallRequested
from trunkline.realtime.provider import Capabilities, ProcessConfig
from trunkline.realtime.reconnect import LastingProvider, LastingSession

CAPABILITIES = Capabilities(input_rate=8000, output_rate=8000, native_formats=(TWILIO,), session_limit=3600.0)


class MemorySession:
    """One of the vendor's sessions. `say` feeds its events; `given` holds the commands in order, audio joined."""

    def __init__(self, number: int, config: ProcessConfig, audio: AudioFormat, capabilities: Capabilities) -> None:
        self.number = number
        self.config = config
        self.history = [(item.role, item.text or item.call_id) for item in config.history]
        self.capabilities = capabilities
        self.input_format = self.output_format = audio
        self.given: list[tuple[object, ...]] = []
        self.heard = b""
        self.closed = False
        self.stuck: anyio.Event | None = None
        self._pending = {item.call_id for item in config.history if item.role == "tool_call"}
        self._pending -= {item.call_id for item in config.history if item.role == "tool_result"}
        self._feed, self._events = anyio.create_memory_object_stream[SessionEvent](math.inf)
        self.say(SessionReady(f"sess_{number}", audio, audio, "in memory"))

    def say(self, *events: SessionEvent) -> None:
        for event in events:
            self._feed.send_nowait(event)
            if isinstance(event, ToolCallRequested):
                self._pending.add(event.call_id)

    def breaks(self, error: Exception | None = None) -> None:
        """The connection is gone."""
        self.closed = True
        failure = error if error is not None else ConnectionFailed("gone", vendor="memory")
        self.say(SessionEnded("failed", failure))  # type: ignore[arg-type]

    @property
    def commands(self) -> list[tuple[object, ...]]:
        return [command for command in self.given if command[0] != "audio"]

    def __aiter__(self) -> AsyncIterator[SessionEvent]:
        return self._events.__aiter__()

    async def _take(self, *command: object) -> None:
        if self.stuck is not None:
            await self.stuck.wait()
        await anyio.lowlevel.checkpoint()
        if self.closed:
            raise SessionClosed
        self.given.append(command)

    async def send_audio(self, audio: bytes) -> None:
        await self._take("audio", audio)
        self.heard += audio

    async def send_text(self, text: str) -> None:
        await self._take("text", text)

    async def commit_audio(self) -> None:
        await self._take("commit")

    async def clear_audio(self) -> None:
        await self._take("clear")

    async def create_response(self, instructions: str | None = None, *, during_tools: bool = False) -> None:
        await self._take("create", instructions, *(["during tools"] if during_tools else []))

    async def cancel_response(self) -> None:
        await self._take("cancel")

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        await self._take("truncate", item_id, heard_ms)

    async def send_tool_result(self, call_id: str, result: str) -> None:
        if call_id not in self._pending:
            raise LocalProtocolError(f"no call {call_id!r}")
        await self._take("result", call_id, result)
        self._pending.discard(call_id)

    async def update_instructions(self, instructions: str) -> None:
        await self._take("instructions", instructions)

    async def aclose(self) -> None:
        self.closed = True
        self._feed.close()


@dataclass
class MemoryVendor:
    """Gives one session after the other; a test may let connecting fail, or take its time."""

    capabilities: Capabilities = CAPABILITIES
    formats: list[AudioFormat] = field(default_factory=list)
    failures: list[Exception | None] = field(default_factory=list)
    hold: anyio.Event | None = None
    name: str = "memory"
    sessions: list[MemorySession] = field(default_factory=list)
    left: int = 0
    attempts: int = 0
    closed: bool = False

    async def aclose(self) -> None:
        self.closed = True

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[MemorySession]:
        self.attempts += 1
        if self.hold is not None:
            await self.hold.wait()
        await anyio.lowlevel.checkpoint()
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        audio = self.formats.pop(0) if self.formats else TWILIO
        session = MemorySession(len(self.sessions) + 1, config, audio, self.capabilities)
        self.sessions.append(session)
        try:
            yield session
        finally:
            await session.aclose()
            session._events.close()
            self.left += 1

    @property
    def last(self) -> MemorySession:
        return self.sessions[-1]


async def settle() -> None:
    """Let everybody do what can be done at once: all is in memory, so that so many rounds are plenty, and far quicker than to find out."""
    for _ in range(60):
        await anyio.lowlevel.checkpoint()


class QuickClock(ManualClock):
    """A clock to be moved by hand, hundreds of times in a test."""

    async def advance(self, seconds: float) -> None:
        end = self._now + seconds
        await settle()
        while self._alarms and self._alarms[0][0] <= end:
            self._now, _, ring = heapq.heappop(self._alarms)
            ring()
            await settle()
        self._now = end


@dataclass
class Rig:
    """A conversation with that vendor, whose events are read as they come."""

    vendor: MemoryVendor
    session: LastingSession
    clock: Clock
    seen: list[SessionEvent] = field(default_factory=list)

    async def read(self) -> None:
        async for event in self.session:
            self.seen.append(event)

    async def settle(self) -> None:
        await settle()

    async def pass_(self, seconds: float) -> None:
        assert isinstance(self.clock, ManualClock)
        await self.clock.advance(seconds)

    def of(self, *kinds: type[SessionEvent]) -> list[SessionEvent]:
        return [event for event in self.seen if isinstance(event, kinds)]


@asynccontextmanager
async def conversation(
    vendor: MemoryVendor | None = None, config: ProcessConfig | None = None, **options: object
) -> AsyncIterator[Rig]:
    clock = QuickClock()
    vendor = vendor or MemoryVendor()
    provider = LastingProvider(vendor, clock=clock, **options)  # type: ignore[arg-type]
    async with provider.connect(config or ProcessConfig()) as session, anyio.create_task_group() as tasks:
        rig = Rig(vendor, session, clock)
        tasks.start_soon(rig.read)
        await rig.settle()
        yield rig
        await session.aclose()
