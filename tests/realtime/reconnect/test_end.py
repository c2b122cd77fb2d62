"""Conversations that end: by an error, by closing, by cancellation."""

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from tests.realtime.reconnect.vendor import CAPABILITIES, MemoryVendor, conversation
from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    InvalidConfig,
)
from trunkline.realtime.events import (
    SessionEnded,
    SessionRotated,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.reconnect import LastingProvider, ReconnectPolicy, Watchdog
from trunkline.transport.backoff import Backoff

pytestmark = pytest.mark.anyio

POLICY = ReconnectPolicy(attempts=4, backoff=Backoff(first=1, jitter=0))
GONE = ConnectionFailed("gone", vendor="memory")


async def test_a_conversation_that_cannot_begin_raises_what_the_provider_raised() -> None:
    with pytest.raises(AuthFailed) as caught:
        async with conversation(MemoryVendor(failures=[AuthFailed("no")])):
            raise AssertionError("there is no session")
    assert caught.value.__cause__ is None


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    vendor = MemoryVendor()
    with pytest.raises(KeyError):
        async with LastingProvider(vendor).connect(ProcessConfig()):
            raise KeyError("mine")
    assert vendor.left == 1


@pytest.mark.parametrize("state", ["serving", "rotating", "waiting", "connecting"])
async def test_it_can_be_closed_in_every_state_and_twice(state: str) -> None:
    failures = [None, GONE] if state == "waiting" else []
    async with conversation(MemoryVendor(failures=failures), reconnect=POLICY) as call:  # type: ignore[arg-type]
        if state in {"rotating", "connecting"}:
            call.vendor.hold = anyio.Event()
        if state == "rotating":
            await call.pass_(3420)
        if state in {"waiting", "connecting"}:
            call.vendor.last.breaks()
            await call.pass_(0.5)
        await call.session.aclose()
        await call.session.aclose()
        await call.settle()
        assert call.seen[-1] == SessionEnded("closed")
        assert call.vendor.left == len(call.vendor.sessions)
    assert call.of(SessionRotated) == []


@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_at_any_moment_nothing_is_left(steps: int) -> None:
    vendor = MemoryVendor(failures=[None, GONE])
    clock = ManualClock()

    async def talk() -> None:
        async with LastingProvider(vendor, clock=clock, reconnect=POLICY).connect(ProcessConfig()) as session:
            vendor.last.breaks()
            async with anyio.create_task_group() as more:
                more.start_soon(clock.advance, 2)
                async for event in session:
                    await session.send_audio(b"audio")
                    if isinstance(event, SessionRotated):
                        await session.send_text("Hello?")
                        await anyio.sleep_forever()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert vendor.left == len(vendor.sessions)


async def test_closing_the_provider_closes_the_one_in_it() -> None:
    vendor = MemoryVendor()
    await LastingProvider(vendor).close()
    assert vendor.closed


async def test_it_has_the_stream_contract_of_every_provider() -> None:
    vendor = MemoryVendor()

    async def caller() -> AsyncIterator[bytes]:
        yield b"hello"
        while not (vendor.sessions and vendor.last.heard):
            await anyio.lowlevel.checkpoint()
        vendor.last.breaks()
        while len(vendor.sessions) < 2:
            await anyio.lowlevel.checkpoint()
        yield b" there"

    with anyio.fail_after(5):
        config = ProcessConfig(input_format=TWILIO)
        async with LastingProvider(vendor).process_audio_stream(caller(), config, drain_timeout=0.5) as stream:
            assert [chunk async for chunk in stream.audio] == []
    assert vendor.last.heard.startswith(b"hello there")


def test_it_is_a_provider_of_sessions_without_a_limit() -> None:
    lasting = LastingProvider(MemoryVendor())
    assert lasting.name == "memory"
    assert (lasting.capabilities.resume, lasting.capabilities.session_limit) == (True, None)
    assert CAPABILITIES.session_limit is not None


@pytest.mark.parametrize("wrong", ["attempts", "longest_wait", "steady_after", "connect_timeout"])
def test_numbers_that_make_no_sense(wrong: str) -> None:
    with pytest.raises(InvalidConfig, match=wrong):
        ReconnectPolicy(**{wrong: -1})  # type: ignore[arg-type]
    for option in ("rotate_after", "replay_seconds"):
        with pytest.raises(InvalidConfig, match=option):
            LastingProvider(MemoryVendor(), **{option: 0})  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match="patience"):
        Watchdog(patience=0)
