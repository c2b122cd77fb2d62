"""A realtime provider in memory, with nothing but what the contract demands unless you give it more.

What is general must work with it: no speech events, no commit, no cancel, no truncation, and formats that no carrier has. A test feeds the
events of a session and reads its commands, or gives a `script` that plays the vendor's part of every call:

    async def script(session: FakeSession) -> None:
        await session.wait_heard(32_000)                       # a second of the caller's audio
        weather = await session.call_tool("weather", city="Berlin")
        session.answer(f"It is {weather}.", audio_ms=800)

    provider = FakeProvider(script=script)
"""

import json
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any, Self

import anyio
import anyio.lowlevel

from trunkline.audio import AudioFormat
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import pending_calls
from trunkline.errors import ConnectionFailed, InvalidConfig, LocalProtocolError, ProviderError, SessionClosed
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEnding,
    SessionEvent,
    SessionReady,
    SessionRotated,
    ToolCallCancelled,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.provider import Capabilities, ProcessConfig
from trunkline.realtime.stream import StreamContract
from trunkline.tools.results import result_text

INPUT = AudioFormat(encoding="linear16", sample_rate=16_000)
OUTPUT = AudioFormat(encoding="linear16", sample_rate=24_000)
BAREST = Capabilities(
    input_rate=INPUT.sample_rate, output_rate=OUTPUT.sample_rate, reports_speech=False, interrupts_itself=False
)
"""A vendor that can only listen and answer."""
FULL = replace(
    BAREST,
    reports_speech=True,
    commit=True,
    clear=True,
    cancel=True,
    truncate=True,
    response_instructions=True,
    seeds_tool_calls=True,
    interrupts_itself=True,
    resume=True,
)
"""A vendor that can do everything."""
KEPT_SESSIONS = 64
"""Sessions that `FakeProvider.sessions` remembers, so that thousands of calls do not pile up."""

Script = Callable[["FakeSession"], Coroutine[Any, Any, None]]


class FakeSession:
    """One session: `feed` gives it events, `commands` tells what it was asked for.

    Attributes:
        config: What the session was opened with.
        commands: Each command as a tuple: `("text", "hi")`, `("say", "hello")`, `("create", None)`, `("cancel",)`,
            `("truncate", item_id, heard_ms)`, `("result", call_id, result)`, `("instructions", "…")`, `("commit",)`, `("clear",)`.
        heard: The caller's audio, unless the provider was told not to keep it.
        heard_bytes: How much of it there was.
        results: Tool results by call id.
        heard_before: How much of it had been heard before each command.
        closed: Whether it was closed from this side.
        blocked: While this is an event that is not set, every command waits for it, or for the session's end.
        failure: What reading the session raises next, instead of giving an event.
    """

    def __init__(
        self,
        number: int,
        config: ProcessConfig,
        capabilities: Capabilities,
        formats: tuple[AudioFormat, AudioFormat],
        *,
        keep_audio: bool = True,
        ending_at: float | None = None,
    ) -> None:
        self.config = config
        self.capabilities = capabilities
        self.input_format, self.output_format = formats
        self.commands: list[tuple[object, ...]] = []
        self.heard = bytearray()
        self.heard_bytes = 0
        self.heard_before: list[int] = []
        self.failure: Exception | None = None
        self.results: dict[str, str] = {}
        self.closed = False
        self.blocked: anyio.Event | None = None
        self.ending_at = ending_at
        self._number = number
        self._keep_audio = keep_audio
        self._ids = count(1)
        self._calls = set(pending_calls(config.history)) if capabilities.seeds_tool_calls else set[str]()
        self._taken = self._committed = 0
        self._over = False
        self._read_end = False
        self._taken_back: set[str] = set()
        self._news = anyio.Event()
        self._ended = anyio.Event()
        self._feed, self._events = anyio.create_memory_object_stream[SessionEvent](math.inf)
        self.feed(SessionReady(f"session-{number}", *formats, "fake", resumed=config.resume_handle is not None))

    @property
    def is_over(self) -> bool:
        """Whether it has ended, read or not."""
        return self._over

    # ── what the vendor does ─────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, *events: SessionEvent) -> None:
        """Let these events come, in this order; after `SessionEnded` nothing more does."""
        for event in events:
            if self._over:
                return
            if isinstance(event, SessionEnding):
                self.ending_at = event.ending_at
            elif isinstance(event, ToolCallRequested):
                self._calls.add(event.call_id)
            elif isinstance(event, ToolCallCancelled):
                self._calls.discard(event.call_id)
                self._taken_back.add(event.call_id)
            elif isinstance(event, SessionRotated):
                self.input_format, self.output_format = event.input_format, event.output_format
            self._feed.send_nowait(event)
            self._over = isinstance(event, SessionEnded)
        if self._over:
            self._ended.set()
        self._notify()

    def new_id(self, kind: str) -> str:
        """An id that no other event of the session has, such as `response-3`."""
        return f"{kind}-{self._number}-{next(self._ids)}"

    def answer(self, text: str = "", *, audio_ms: float = 200.0, audio: bytes | None = None) -> str:
        """Give a whole answer at once: audio (a quiet tone where none is given), its words, its end. Returns the answer's id."""
        response_id, item_id = self.new_id("response"), self.new_id("item")
        if audio is None:
            samples = round(audio_ms * self.output_format.sample_rate / 1000)
            audio = (
                b"\x00\x08\x00\xf8" * (samples // 2) if self.output_format.encoding == "linear16" else b"\x20" * samples
            )
        self.feed(ResponseStarted(response_id), AudioReceived(audio, item_id, response_id))
        if text:
            self.feed(AgentTranscript(text, True, item_id, response_id))
        self.feed(ResponseFinished(response_id))
        return response_id

    def user_said(self, text: str) -> None:
        """Tell the words of the user."""
        self.feed(UserTranscript(text, is_final=True, item_id=self.new_id("user")))

    async def call_tool(self, name: str, **arguments: Any) -> str:
        """Ask for a tool, alone in an answer, and wait for its result."""
        call_id, response_id = self.new_id("call"), self.new_id("response")
        self.feed(
            ResponseStarted(response_id),
            ToolCallRequested(call_id, name, json.dumps(arguments), response_id),
            ResponseFinished(response_id),
        )
        while call_id not in self.results:
            await self._news.wait()
        return self.results[call_id]

    async def wait_heard(self, size: int) -> None:
        """Wait until so many bytes of the caller's audio have come, in all."""
        while self.heard_bytes < size:
            await self._news.wait()

    async def wait_command(self, *command: object) -> None:
        """Wait until a command begins like this: `await session.wait_command("text")`."""
        while not any(given[: len(command)] == command for given in self.commands):
            await self._news.wait()

    async def next_command(self) -> tuple[object, ...]:
        """The next command that this has not returned yet, for a script that plays the vendor by what it is asked for."""
        while self._taken >= len(self.commands):
            await self._news.wait()
        self._taken += 1
        return self.commands[self._taken - 1]

    def die(self, error: ProviderError | None = None) -> None:
        """End as a session does whose connection breaks."""
        error = error or ConnectionFailed("the connection broke", vendor="fake")
        self.feed(ErrorReported(error, fatal=True), SessionEnded("failed", error))

    # ── the session ──────────────────────────────────────────────────────────────────────────────────────────────────

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionEvent:
        if self._read_end:
            raise StopAsyncIteration
        if self.failure is not None:
            raise self.failure
        try:
            event = await self._events.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise StopAsyncIteration from None
        self._read_end = isinstance(event, SessionEnded)
        return event

    async def send_audio(self, audio: bytes) -> None:
        """Note the caller's audio."""
        await self._check()
        self.heard_bytes += len(audio)
        if self._keep_audio:
            self.heard += audio
        self._notify()

    async def send_text(self, text: str) -> None:
        """Note it, and nothing else."""
        await self._note("text", text)

    async def say(self, text: str) -> None:
        """Note it, and nothing else."""
        await self._note("say", text)

    async def commit_audio(self) -> None:
        """Note it, if the session can commit."""
        await self._note("commit", needs="commit")
        self._committed = len(self.heard)

    async def clear_audio(self) -> None:
        """Note it, and forget what was heard since the last commit, if the session can clear."""
        await self._note("clear", needs="clear")
        del self.heard[self._committed :]

    async def create_response(self, instructions: str | None = None) -> None:
        """Note it; instructions only if the session takes them."""
        await self._note("create", instructions, needs="" if instructions is None else "response_instructions")

    async def cancel_response(self) -> None:
        """Note it, if the session can cancel."""
        await self._note("cancel", needs="cancel")

    async def truncate(self, item_id: str, *, heard_ms: int) -> None:
        """Note it, if the session can truncate."""
        await self._note("truncate", item_id, heard_ms, needs="truncate")

    async def send_tool_result(self, call_id: str, result: Any) -> None:
        """Note it and keep it in `results`; the result of a call that was taken back is dropped.

        Raises:
            LocalProtocolError: No such call is open.
        """
        text = result_text("result", result)
        await self._check()
        if call_id in self._taken_back:
            return
        if call_id not in self._calls:
            raise LocalProtocolError(f"no tool call {call_id!r} is open")
        self._calls.discard(call_id)
        self.results[call_id] = text
        self._record("result", call_id, text)

    async def update_instructions(self, instructions: str) -> None:
        """Note it, if the session can change its instructions."""
        await self._note("instructions", instructions, needs="update_instructions")

    async def aclose(self) -> None:
        """End with `SessionEnded("closed")`."""
        self.closed = True
        self.feed(SessionEnded("closed"))

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _note(self, *command: object, needs: str = "") -> None:
        await self._check()
        if needs and not getattr(self.capabilities, needs):
            raise LocalProtocolError(f"this session cannot {command[0]}")
        self._record(*command)

    def _record(self, *command: object) -> None:
        self.commands.append(command)
        self.heard_before.append(self.heard_bytes)
        self._notify()

    async def _check(self) -> None:
        await anyio.lowlevel.checkpoint()
        while self.blocked is not None and not (self.blocked.is_set() or self._over):
            async with anyio.create_task_group() as tasks:  # whichever comes first
                for change in (self.blocked.wait, self._ended.wait):
                    tasks.start_soon(_then_cancel, change, tasks.cancel_scope)
        if self._over:
            raise SessionClosed(vendor="fake")

    def _notify(self) -> None:
        """Wake everybody who waits for the next command or the next audio."""
        self._news.set()
        self._news = anyio.Event()

    def _free(self) -> None:
        self._feed.close()
        self._events.close()


async def _then_cancel(wait: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
    await wait()
    scope.cancel()


class FakeProvider(StreamContract):
    """Gives fake sessions, or fails to.

    Args:
        name: What it is called.
        capabilities: What its sessions can do; `BAREST` or `FULL` or your own.
        input_format: What the sessions take, and `output_format` what they give, whatever was asked for.
        output_format: See `input_format`.
        script: Plays the vendor in each session, in a task of its own that ends with it.
        failures: What opening a session raises, one for each time; None in it is a success, as is everything after it.
        keep_audio: Whether sessions keep the caller's audio.
        life: Seconds after which sessions say they will end; None where they say nothing of it.
        clock: What `ending_at` is measured by.

    Attributes:
        sessions: The last sessions, oldest first.
        attempts: How often opening one was tried.
        opened: How many were opened in all, `running` how many are open.
        closed: How often `aclose` was called.
        hangs: While True, opening a session never ends.
        gate: While this is an event that is not set, opening a session waits for it.
    """

    def __init__(
        self,
        *,
        name: str = "fake",
        capabilities: Capabilities = BAREST,
        input_format: AudioFormat = INPUT,
        output_format: AudioFormat = OUTPUT,
        script: Script | None = None,
        failures: Iterable[Exception | None] = (),
        keep_audio: bool = True,
        life: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.input_format = input_format
        self.output_format = output_format
        self.failures = deque(failures)
        self.sessions: deque[FakeSession] = deque(maxlen=KEPT_SESSIONS)
        self.opened = self.running = self.closed = 0
        self.attempts = 0
        self.hangs = False
        self.gate: anyio.Event | None = None
        self.life = life
        self.clock = clock
        self._script = script
        self._keep_audio = keep_audio

    @property
    def session(self) -> FakeSession:
        """The last session."""
        return self.sessions[-1]

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[FakeSession]:
        """Open a session; a session that must not interrupt itself does not, and says so."""
        self.attempts += 1
        await anyio.lowlevel.checkpoint()
        if self.hangs:
            await anyio.sleep_forever()
        if self.gate is not None:
            await self.gate.wait()
        failure = self.failures.popleft() if self.failures else None
        if failure is not None:
            raise failure
        if config.resume_handle is not None and not self.capabilities.resume:
            raise InvalidConfig("resume_handle", "this provider takes no session up again")
        interrupts = self.capabilities.interrupts_itself and config.allow_interruption
        self.opened += 1
        session = FakeSession(
            self.opened,
            config,
            replace(self.capabilities, interrupts_itself=interrupts),
            (self.input_format, self.output_format),
            keep_audio=self._keep_audio,
            ending_at=None if self.life is None else self.clock.now() + self.life,
        )
        self.sessions.append(session)
        self.running += 1
        failed: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                if self._script is not None:
                    tasks.start_soon(self._script, session, name="fake vendor")
                try:
                    yield session
                except Exception as error:  # noqa: BLE001 - raised below, where no task group wraps it
                    failed = error
                tasks.cancel_scope.cancel()
        finally:
            self.running -= 1
            await session.aclose()
            session._free()  # noqa: SLF001 - its own session
        if failed is not None:
            raise failed

    async def aclose(self) -> None:
        """Note that it was called."""
        self.closed += 1

    close = aclose
