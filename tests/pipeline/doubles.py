"""A provider and a carrier in memory, with a clock that a test moves by hand."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Self

import anyio

from trunkline.audio import OPENAI, TWILIO, AudioFormat
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, SessionClosed
from trunkline.realtime.events import SessionEnded, SessionEvent, SessionReady
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeSession
from trunkline.telephony.line import PortTraits

CAPABILITIES = Capabilities(input_rate=24000, output_rate=24000, truncate=True)


class ScriptedSession:
    """A session whose events a test feeds and whose commands it reads."""

    def __init__(self, capabilities: Capabilities, input_format: AudioFormat, output_format: AudioFormat) -> None:
        self.capabilities = capabilities
        self.input_format = input_format
        self.output_format = output_format
        self.commands: list[tuple[object, ...]] = []
        self.heard = b""
        self.closed = False
        self._ended = False
        self._feed, self._events = anyio.create_memory_object_stream[SessionEvent](math.inf)
        self.feed(SessionReady("sess_1", input_format, output_format, "scripted"))

    def feed(self, *events: SessionEvent) -> None:
        for event in events:
            self._feed.send_nowait(event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionEvent:
        if self._ended:
            raise StopAsyncIteration
        try:
            event = await self._events.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise StopAsyncIteration from None
        self._ended = isinstance(event, SessionEnded)
        return event

    async def send_audio(self, audio: bytes) -> None:
        if self.closed:
            raise SessionClosed
        self.heard += audio

    async def send_text(self, text: str) -> None:
        self.commands.append(("text", text))

    async def commit_audio(self) -> None:
        self.commands.append(("commit",))

    async def clear_audio(self) -> None:
        self.commands.append(("clear",))

    async def create_response(self, instructions: str | None = None, *, during_tools: bool = False) -> None:
        self.commands.append(("create", instructions, "during tools") if during_tools else ("create", instructions))

    async def cancel_response(self) -> None:
        self.commands.append(("cancel",))

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        self.commands.append(("truncate", item_id, heard_ms))

    async def send_tool_result(self, call_id: str, result: str) -> None:
        self.commands.append(("result", call_id, result))

    async def update_instructions(self, instructions: str) -> None:
        self.commands.append(("instructions", instructions))

    async def aclose(self) -> None:
        self.closed = True
        self._feed.close()
        self._events.close()


@dataclass
class ScriptedProvider:
    """Gives one scripted session, or fails to. A session that must not interrupt itself does not, and says so."""

    capabilities: Capabilities = CAPABILITIES
    input_format: AudioFormat = OPENAI
    output_format: AudioFormat = OPENAI
    failure: Exception | None = None
    name: str = "scripted"
    config: ProcessConfig | None = None
    sessions: list[ScriptedSession] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[RealtimeSession]:
        self.config = config
        if self.failure is not None:
            raise self.failure
        interrupts = self.capabilities.interrupts_itself and config.allow_interruption
        capabilities = replace(self.capabilities, interrupts_itself=interrupts)
        session = ScriptedSession(capabilities, self.input_format, self.output_format)
        self.sessions.append(session)
        try:
            yield session
        finally:
            await session.aclose()

    @property
    def session(self) -> ScriptedSession:
        return self.sessions[0]


@dataclass
class MemoryCarrier:
    """A carrier with a buffer that plays in real time by the test's clock, and returns marks as Twilio does."""

    clock: ManualClock
    traits: PortTraits = field(default_factory=lambda: PortTraits(format=TWILIO))
    messages: list[tuple[object, ...]] = field(default_factory=list)
    lost: bool = False
    _queue: list[tuple[bytes, str]] = field(default_factory=list)
    _playing_until: float = 0.0
    _due: list[tuple[float, bytes, str]] = field(default_factory=list)
    _played: list[tuple[float, float]] = field(default_factory=list)

    async def send_media(self, payload: bytes) -> None:
        self._check()
        self.messages.append(("media", payload))
        begins = max(self._playing_until, self.clock.now())
        self._playing_until = begins + len(payload) / 8000
        self._played.append((begins, self._playing_until))
        self._due.append((self._playing_until, payload, ""))

    async def send_mark(self, name: str) -> None:
        self._check()
        self.messages.append(("mark", name))
        self._due.append((max(self._playing_until, self.clock.now()), b"", name))

    async def clear(self) -> None:
        self._check()
        self.messages.append(("clear",))
        now = self.clock.now()
        self._due = [(now, b"", name) for _, _, name in self._due if name]
        self._played = [(begins, min(ends, now)) for begins, ends in self._played if begins < now]
        self._playing_until = now

    def marks_due(self) -> list[str]:
        """The marks that playback has reached since the last time this was asked."""
        now = self.clock.now() + 1e-9
        reached = [name for moment, _, name in self._due if moment <= now and name]
        self._due = [entry for entry in self._due if entry[0] > now]
        return reached

    def heard_ms(self) -> float:
        """What the caller has heard by now, by this side's own account."""
        now = self.clock.now()
        return sum(min(ends, now) - begins for begins, ends in self._played if begins < now) * 1000

    def sent(self) -> bytes:
        return b"".join(payload for kind, *rest in self.messages if kind == "media" for payload in rest)  # type: ignore[misc]

    def _check(self) -> None:
        if self.lost:
            raise ConnectionLost
