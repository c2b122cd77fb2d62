"""Conversations that end: by an error, by closing, by cancellation."""

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from tests.realtime.reconnect.conversation import ABLE, GONE, HOUR, POLICY, conversation, telephone
from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.errors import (
    AuthFailed,
    LocalProtocolError,
    ToolError,
)
from trunkline.realtime import RealtimeClient
from trunkline.realtime.events import (
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionRotated,
    ToolCallRequested,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.fake_provider import FakeProvider

pytestmark = pytest.mark.anyio


async def test_a_conversation_that_cannot_begin_raises_what_the_provider_raised() -> None:
    with pytest.raises(AuthFailed) as caught:
        async with conversation(telephone(failures=[AuthFailed("no")])):
            raise AssertionError("there is no session")
    assert caught.value.__cause__ is None


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    vendor = telephone()
    with pytest.raises(KeyError):
        async with RealtimeClient(vendor).connect(ProcessConfig()):
            raise KeyError("mine")
    assert (vendor.opened, vendor.running) == (1, 0)


@pytest.mark.parametrize("state", ["serving", "rotating", "waiting", "connecting"])
async def test_it_can_be_closed_in_every_state_and_twice(state: str) -> None:
    failures = [None, GONE] if state == "waiting" else []
    async with conversation(telephone(life=HOUR, failures=failures), reconnect=POLICY) as call:
        if state in {"rotating", "connecting"}:
            call.vendor.gate = anyio.Event()
        if state == "rotating":
            await call.pass_(3420)
        if state in {"waiting", "connecting"}:
            call.last.die()
            await call.pass_(0.5)
        await call.session.aclose()
        await call.session.aclose()
        await call.settle()
        assert call.seen[-1] == SessionEnded("closed")
        assert call.vendor.running == 0
    assert call.of(SessionRotated) == []


@pytest.mark.parametrize("steps", range(12))
async def test_cancelled_at_any_moment_nothing_is_left(steps: int) -> None:
    vendor = telephone(failures=[None, GONE])
    clock = ManualClock()

    async def talk() -> None:
        async with RealtimeClient(vendor, clock=clock, reconnect=POLICY).connect(ProcessConfig()) as session:
            vendor.session.die()
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
    assert vendor.running == 0


async def test_it_has_the_stream_contract_of_every_provider() -> None:
    vendor = telephone()

    async def caller() -> AsyncIterator[bytes]:
        yield b"hello"
        while not (vendor.sessions and vendor.session.heard):
            await anyio.lowlevel.checkpoint()
        vendor.session.die()
        while len(vendor.sessions) < 2:
            await anyio.lowlevel.checkpoint()
        yield b" there"

    with anyio.fail_after(5):
        config = ProcessConfig(input_format=TWILIO)
        async with RealtimeClient(vendor).process_audio_stream(caller(), config, drain_timeout=0.5) as stream:
            assert [chunk async for chunk in stream.audio] == []
    assert vendor.session.heard.startswith(b"hello there")


async def test_the_session_tells_the_capabilities_of_the_present_one() -> None:
    one, two = telephone("one"), FakeProvider(name="two")
    async with conversation(one, two) as call:
        assert (call.session.capabilities, call.session.ending_at) == (ABLE, None)
        one.session.die()
        await call.pass_(0)
        assert call.session.capabilities == two.session.capabilities
        assert not call.session.capabilities.reports_speech


@pytest.mark.parametrize("command", ["cancel_response", "commit_audio", "clear_audio"])
async def test_a_command_that_the_present_session_cannot_do_is_refused(command: str) -> None:
    async with conversation(FakeProvider()) as call:
        with pytest.raises(LocalProtocolError):
            await getattr(call.session, command)()
        with pytest.raises(LocalProtocolError):
            await call.session.create_response("Be brief.")
        with pytest.raises(LocalProtocolError):
            await call.session.truncate("a1", heard_ms=0)
        assert call.last.commands == []


async def test_a_result_that_is_not_json_is_refused_and_the_call_stays_open() -> None:
    async with conversation() as call:
        call.last.feed(ToolCallRequested("c1", "f", "{}", "r1"))
        await call.settle()
        with pytest.raises(ToolError):
            await call.session.send_tool_result("c1", object())
        await call.session.send_tool_result("c1", {"sky": "clear"})
        assert call.last.results == {"c1": '{"sky":"clear"}'}


async def test_a_result_for_a_session_that_knows_no_calls_of_others_reaches_it_as_text() -> None:
    one, two = telephone("one"), FakeProvider(name="two")
    async with conversation(one, two) as call:
        one.session.feed(ResponseStarted("r1"), ToolCallRequested("c1", "f", "{}", "r1"), ResponseFinished("r1"))
        await call.settle()
        one.session.die()
        await call.pass_(0)
        await call.session.send_tool_result("c1", "42")
        two.session.feed(ToolCallRequested("c2", "f", "{}", "r2"))
        await call.settle()
        await call.session.send_tool_result("c2", "43")
        assert two.session.commands == [("text", "The result of the tool call c1: 42"), ("result", "c2", "43")]
