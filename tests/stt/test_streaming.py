"""Deadlines of streaming sessions, on a clock that is moved by hand, over a codec that is told what to say."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio

from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionFailed, ConnectionLost
from trunkline.stt import SessionEnded, SttCapabilities, SttEvent, Transcript
from trunkline.stt.streaming import Connection, StreamingSession, open_session
from trunkline.transport.error_map import ConnectionErrors
from trunkline.wire.vendors import deepgram as words


class Vendor:
    """A message stream whose other end is the test."""

    def __init__(self) -> None:
        self.sent: list[str | bytes] = []
        self._put, self._messages = anyio.create_memory_object_stream[str](100)

    def say(self, message: str) -> None:
        self._put.send_nowait(message)

    async def send(self, message: str | bytes) -> None:
        self.sent.append(message)

    async def receive(self) -> str | bytes:
        try:
            return await self._messages.receive()
        except anyio.EndOfStream:
            raise ConnectionLost(1000) from None

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self._put.close()

    def close(self) -> None:
        self._put.close()
        self._messages.close()


class Codec:
    """A final transcript for each message that begins with a full stop, a partial one for the others."""

    vendor = "double"
    audio_format = TWILIO
    is_ready = True
    quiet_limit = 4.0

    def __init__(self) -> None:
        self.owes_final = False
        self._latest = ""

    def opening(self) -> Sequence[str | bytes]:
        return ()

    def audio(self, audio: bytes) -> Sequence[str | bytes]:
        return [audio]

    def finalize(self) -> Sequence[str | bytes]:
        self.owes_final = True
        return ["finalize"]

    def keep_alive(self) -> Sequence[str | bytes]:
        return ["keep alive"]

    def closing(self) -> Sequence[str | bytes]:
        return ["close"]

    def receive(self, message: str | bytes) -> Sequence[SttEvent]:
        assert isinstance(message, str)
        if message.startswith("."):
            self.owes_final, self._latest = False, ""
            return [Transcript(text=message[1:], is_final=True)]
        self._latest = message
        return [Transcript(text=message)]

    def flush(self) -> Sequence[SttEvent]:
        text, self._latest, self.owes_final = self._latest, "", False
        return [Transcript(text=text, is_final=True)] if text else ()


@asynccontextmanager
async def session_with(vendor: Vendor, codec: Codec, clock: ManualClock) -> AsyncIterator[StreamingSession]:
    @asynccontextmanager
    async def dial() -> AsyncIterator[Vendor]:
        yield vendor

    connection = Connection(
        dial=dial,
        codec=codec,
        audio_format=TWILIO,
        capabilities=SttCapabilities(),
        errors=ConnectionErrors("double", words),
        connect_timeout=5.0,
        clock=clock,
    )
    try:
        async with anyio.create_task_group() as tasks, open_session(connection) as session:
            yield session
            tasks.start_soon(session.aclose)
            await clock.advance(10)
    finally:
        vendor.close()


async def test_a_quiet_line_is_kept_alive_and_a_busy_one_is_left_alone() -> None:
    vendor, clock = Vendor(), ManualClock()
    async with session_with(vendor, Codec(), clock) as session:
        for _ in range(5):
            await session.send_audio(b"a")
            await clock.advance(2)
        assert "keep alive" not in vendor.sent
        await clock.advance(8)
        assert vendor.sent.count("keep alive") == 2


async def test_a_final_that_does_not_come_is_made_of_the_words_so_far() -> None:
    vendor, clock = Vendor(), ManualClock()
    async with session_with(vendor, Codec(), clock) as session:
        vendor.say("hello")
        await session.finalize()
        await clock.advance(3.1)
        assert (await anext(session), await anext(session)) == (
            Transcript(text="hello"),
            Transcript(text="hello", is_final=True),
        )


async def test_each_final_has_its_own_time() -> None:
    vendor, clock = Vendor(), ManualClock()
    async with session_with(vendor, Codec(), clock) as session:
        await session.finalize()
        await clock.advance(1)
        vendor.say(".one")
        await clock.advance(1.5)
        vendor.say("two")
        await session.finalize()
        await clock.advance(2)
        vendor.say(".two and more")
        await clock.advance(5)
        told = [await anext(session) for _ in range(3)]
        assert [event.text for event in told if isinstance(event, Transcript)] == ["one", "two", "two and more"]


async def test_the_words_so_far_are_not_lost_with_the_connection() -> None:
    vendor, clock = Vendor(), ManualClock()
    async with session_with(vendor, Codec(), clock) as session:
        vendor.say("hello")
        await clock.advance(0.1)
        vendor._put.close()
        events = [event async for event in session]
        assert events[1] == Transcript(text="hello", is_final=True)
        assert events[-1] == SessionEnded("closed_by_vendor")


async def test_a_vendor_that_says_nothing_before_it_is_ready_is_given_up() -> None:
    class Mute(Codec):
        is_ready = False

    vendor, clock = Vendor(), ManualClock()
    failures: list[ConnectionFailed] = []

    async def connect() -> None:
        try:
            async with session_with(vendor, Mute(), clock):
                raise AssertionError("the session is not ready")
        except* ConnectionFailed as group:
            failures.extend(error for error in group.exceptions if isinstance(error, ConnectionFailed))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connect)
        await clock.advance(5.1)
    assert [failure.code for failure in failures] == ["timeout"]
