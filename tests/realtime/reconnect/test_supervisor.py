"""When sessions are replaced, where the parts of it meet."""

import anyio
import pytest

from tests.realtime.reconnect.conversation import GONE, HOUR, LATE, POLICY, QuickClock, conversation, telephone
from trunkline.audio import OPENAI
from trunkline.errors import ConnectionFailed, RateLimited
from trunkline.realtime import ProcessConfig, RealtimeClient
from trunkline.realtime.events import ErrorReported, ResponseStarted, SessionEnded, SessionReady, SessionRotated
from trunkline.testing.fake_provider import FakeProvider


async def test_a_session_that_accepts_nothing_while_another_is_connected_is_given_up() -> None:
    async with conversation(connect_timeout=1000) as call, anyio.create_task_group() as tasks:
        call.vendor.gate = anyio.Event()
        await call.pass_(LATE)
        call.last.blocked = anyio.Event()
        tasks.start_soon(call.session.send_audio, b"hello")
        await call.pass_(30)
        assert [event.error.code for event in call.of(ErrorReported)] == ["stalled"]
        call.vendor.gate.set()
        await call.settle()
        assert call.last.heard == b"hello"


async def test_all_providers_that_ask_to_be_left_alone_are_waited_for_as_long_as_the_first_of_them() -> None:
    one = telephone("one", failures=[None, RateLimited("later", retry_after=12)])
    two = telephone("two", failures=[RateLimited("later", retry_after=5)])
    async with conversation(one, two, reconnect=POLICY) as call:
        one.session.die(GONE)
        await call.pass_(4.9)
        assert call.rotations == []
        await call.pass_(0.2)
        assert call.rotations == [("two", "reconnect")]
        assert len(call.of(ErrorReported)) == 3, "the break, and each failed attempt"


async def test_a_word_to_come_again_that_is_too_far_ends_the_conversation_at_once() -> None:
    limited = RateLimited("tomorrow", retry_after=86_400)
    async with conversation(telephone(failures=[None, limited])) as call:
        call.last.die(GONE)
        await call.pass_(0)
        assert call.seen[-1] == SessionEnded("failed", limited)


async def test_a_spare_that_dies_before_it_serves_is_made_anew() -> None:
    async with conversation() as call:
        call.vendor.gate = anyio.Event()
        await call.pass_(LATE)
        call.last.feed(ResponseStarted("r1"))  # so that the spare cannot serve, and is thrown away
        call.vendor.gate.set()
        await call.settle()
        assert (call.vendor.running, call.rotations) == (1, [])


async def test_a_client_in_a_client_changes_its_formats_and_the_outer_session_follows() -> None:
    one = FakeProvider(name="one", input_format=OPENAI, output_format=OPENAI)
    two = FakeProvider(name="two")
    clock = QuickClock()
    inner = RealtimeClient(one, two, clock=clock)
    async with RealtimeClient(inner, clock=clock).connect(ProcessConfig()) as session:
        assert isinstance(await anext(session), SessionReady)
        one.session.die(GONE)
        await clock.advance(3)
        assert await anext(session) == ErrorReported(GONE)
        rotated = await anext(session)
        assert isinstance(rotated, SessionRotated)
        assert (rotated.provider, session.input_format) == ("two", two.input_format)
        await session.send_audio(b"\x01\x02" * 160)
        assert two.session.heard == b"\x01\x02" * 160


@pytest.mark.parametrize("seconds", [1, 100])
async def test_attempts_are_counted_anew_only_after_a_session_that_was_sound(seconds: float) -> None:
    vendor = telephone(life=HOUR, failures=[None, *[ConnectionFailed("down")] * 3, None, ConnectionFailed("down")])
    async with conversation(vendor, reconnect=POLICY) as call:
        vendor.session.die(GONE)
        await call.pass_(8)
        assert vendor.opened == 2
        await call.pass_(seconds)
        vendor.session.die(GONE)
        await call.pass_(8)
        assert isinstance(call.seen[-1], SessionEnded if seconds == 1 else SessionRotated | ErrorReported)
