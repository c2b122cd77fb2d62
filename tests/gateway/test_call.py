"""A call in progress: its members, who ends it, and that nobody waits for what need not be waited for."""

import gc
import logging
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest

from tests.gateway.carrier import FRAME, PlainGateway, fake, until_lost
from trunkline.clock import ScaledClock
from trunkline.errors import AuthFailed
from trunkline.gateway import CallSession, EventType
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.fake_provider import FULL, FakeProvider, FakeSession

pytestmark = pytest.mark.anyio


async def test_members_tell_the_call() -> None:
    async with PlainGateway() as gateway, gateway.phone("C7"):
        await gateway.until("session_started")
        (session,) = gateway.sessions
        assert (session.id, session.from_, session.to, session.direction) == ("C7", "+1", "+2", "inbound")
        assert timedelta(0) < gateway.clock.wall() - session.start_time < timedelta(seconds=10)
        assert timedelta(0) <= session.duration < timedelta(seconds=10)
        assert session.is_active
        assert session.metrics().error_count == 0
        assert session.transcript() == ()
        await session.close()
        assert not session.is_active


async def test_text_and_interruption_reach_the_session() -> None:
    provider = fake()
    async with PlainGateway(realtime_provider=provider) as gateway, gateway.phone() as phone:
        await gateway.until("session_started")
        (session,) = gateway.sessions
        await session.send_text("what is the time?")
        await provider.session.wait_command("text", "what is the time?")
        provider.session.answer("It is noon.", audio_ms=5000)
        await gateway.until("agent_speech_start")
        await session.interrupt()
        with anyio.fail_after(5):
            while await phone.receive() != "clear":
                pass
        assert session.metrics().interruption_count == 1


async def test_audio_events_come_for_who_asks() -> None:
    provider = fake()
    kinds: list[EventType] = []
    async with PlainGateway(realtime_provider=provider) as gateway:

        @gateway.on_session
        async def listen(session: CallSession) -> None:
            async for event in session.events(audio=True):
                kinds.append(event.type)  # noqa: PERF401 - they are looked at before the end

        async with gateway.phone() as phone:
            await phone.send(FRAME)
            with anyio.fail_after(10):
                while "session_started" not in kinds:
                    await anyio.wait_all_tasks_blocked()
            provider.session.answer("Hello.", audio_ms=40)
            with anyio.fail_after(10):
                while not {"audio_received", "audio_sent"} <= set(kinds):
                    await phone.send(FRAME)
                    await anyio.wait_all_tasks_blocked()


async def test_keys_are_told() -> None:
    async with PlainGateway() as gateway, gateway.phone() as phone:
        await phone.send("key 5")
        await gateway.until("dtmf")
        assert [event.data for event in gateway.events if event.type == "dtmf"] == [{"digit": "5"}]


# ── who ends it ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("code", "reason"), [(1000, "caller_hung_up"), (1001, "caller_hung_up"), (1011, "line_lost")])
async def test_line_that_is_closed_in_order_is_a_caller_who_hung_up(code: int, reason: str) -> None:
    async with PlainGateway() as gateway:
        async with gateway.phone() as phone:
            await gateway.until("session_started")
            await phone.aclose(code)
        await gateway.until("session_ended")
    assert gateway.reasons() == [reason]


async def test_stop_that_was_read_is_a_hang_up_though_a_write_fails_behind_it() -> None:
    """The carrier says `stop` and closes at once, while audio is on its way to the caller."""
    calls = 40

    async def talk(session: FakeSession) -> None:
        while True:
            session.answer("Hello.", audio_ms=200)
            await anyio.sleep(0.002)

    async with PlainGateway(realtime_provider=fake(script=talk)) as gateway:

        async def one(number: int) -> None:
            async with gateway.phone(f"C{number}") as phone:
                for _ in range(number % 8):
                    await phone.receive()
                await phone.send("stop")

        for first in range(0, calls, 8):
            async with anyio.create_task_group() as tasks:
                for number in range(first, first + 8):
                    tasks.start_soon(one, number)
        await gateway.until("session_ended", calls)
    assert gateway.reasons() == ["caller_hung_up"] * calls


@pytest.mark.parametrize("how", ["application", "longest duration", "provider"])
async def test_caller_does_not_wait_for_the_provider_to_close(how: str) -> None:
    release = anyio.Event()

    class SlowToClose(FakeProvider):
        @asynccontextmanager
        async def connect(self, config: ProcessConfig) -> AsyncIterator[FakeSession]:
            async with super().connect(config) as session:
                try:
                    yield session
                finally:
                    with anyio.CancelScope(shield=True):
                        await release.wait()

    provider = SlowToClose(capabilities=FULL)
    longest = 0.3 if how == "longest duration" else 1000
    async with PlainGateway(realtime_provider=provider, max_session_duration=longest) as gateway:
        async with gateway.phone() as phone, anyio.create_task_group() as tasks:
            await gateway.until("session_started")
            if how == "application":
                tasks.start_soon(gateway.sessions[0].close)
            elif how == "provider":
                provider.session.die(
                    AuthFailed("the key was withdrawn", vendor="fake")
                )  # what no other session would change
            assert await until_lost(phone) == 1000
            assert provider.running == 1, "the provider is still closing"
            release.set()
        await gateway.until_empty()
        assert provider.running == 0


async def test_observer_is_not_waited_for_before_the_hang_up() -> None:
    release = anyio.Event()
    async with PlainGateway() as gateway:

        @gateway.on_session
        async def lingers(session: CallSession) -> None:
            await session.close()
            await release.wait()

        async with gateway.phone() as phone:
            assert await until_lost(phone) == 1000
            release.set()


async def test_observer_has_some_seconds_after_the_call() -> None:
    """By the gateway's clock."""
    clock = ScaledClock(20)
    finished: list[str] = []
    async with PlainGateway(clock=clock) as gateway:

        @gateway.on_session
        async def note(session: CallSession) -> None:
            await session.wait_closed()
            began = clock.now()
            await clock.sleep_until(began + 2)
            finished.append("in time")
            try:
                await anyio.sleep_forever()
            finally:
                finished.append("cut" if clock.now() - began < 60 else "cut by another clock")

        async with gateway.phone() as phone:
            await phone.send("stop")
        await gateway.until_empty()
    assert finished == ["in time", "cut"]


# ── from the inside ──────────────────────────────────────────────────────────────────────────────────────────────────


async def use(session: FakeSession) -> None:
    await session.call_tool("hang_up")


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_tool_that_hangs_up_does_not_wait_for_itself(kind: str) -> None:
    provider = fake(script=use)

    async def hang_up() -> str:
        await gateway.sessions[0].close("done")
        return "good-bye"

    def hang_up_in_a_thread() -> str:
        anyio.from_thread.run(gateway.sessions[0].close, "done")
        return "good-bye"

    hang_up_in_a_thread.__name__ = "hang_up"
    tool: Callable[..., Any] = hang_up if kind == "async" else hang_up_in_a_thread
    async with PlainGateway(realtime_provider=provider, tools=[tool]) as gateway:
        with anyio.fail_after(3):
            async with gateway.phone() as phone:
                assert await until_lost(phone) == 1000
            await gateway.until_empty()
        assert gateway.reasons() == ["done"]


async def test_observer_that_closes_waits_until_nothing_is_left() -> None:
    provider = fake()
    left: list[int] = []
    async with PlainGateway(realtime_provider=provider) as gateway:

        @gateway.on_session
        async def close(session: CallSession) -> None:
            async for event in session.events():
                if event.type == "session_started":
                    await session.close()
                    left.append(provider.running)

        async with gateway.phone() as phone:
            assert await until_lost(phone) == 1000
        await gateway.until_empty()
    assert left == [0]


async def test_first_reason_counts() -> None:
    async with PlainGateway() as gateway:
        async with gateway.phone() as phone:
            await gateway.until("session_started")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(until_lost, phone)
                await gateway.sessions[0].close("first")
                await gateway.sessions[0].close("second")
        await gateway.until_empty()
    assert gateway.reasons() == ["first"]


async def test_close_after_speech_lets_the_caller_hear_the_answer() -> None:
    provider = fake()
    async with PlainGateway(realtime_provider=provider) as gateway, gateway.phone() as phone:
        await gateway.until("session_started")
        provider.session.answer("Good-bye.", audio_ms=400)
        await gateway.until("agent_speech_start")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: gateway.sessions[0].close("done", after_speech=True))
            heard = 0
            with anyio.fail_after(5):
                while heard < 3200:
                    heard += len(await phone.receive())
            assert await until_lost(phone) == 1000
        assert heard == 3200


# ── nothing is left ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_call_leaves_no_task_no_place_and_no_session(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="trunkline.gateway")
    provider = fake()
    async with PlainGateway(realtime_provider=provider) as gateway:
        gateway.on_session(lambda session: sessions.append(weakref.ref(session)))
        sessions: list[weakref.ref[CallSession]] = []
        before: set[int] | None = None
        gc.disable()
        try:
            for number in range(3):
                async with gateway.phone(f"C{number}") as phone:
                    await phone.send(FRAME)
                    with anyio.fail_after(5):
                        while not sessions or number == len(sessions):
                            await anyio.wait_all_tasks_blocked()
                    await phone.send("stop")
                    await until_lost(phone)
                await gateway.until_empty()
                await anyio.wait_all_tasks_blocked()
                tasks = {task.id for task in anyio.get_running_tasks()}
                if before is not None:
                    assert tasks == before
                before = tasks
            assert gateway._sessions == {}
            assert gateway._admission._expected == {}
            assert provider.running == 0
            assert [ref() for ref in sessions[:-1]] == [None, None], "freed without the collector"
        finally:
            gc.enable()
    assert sum("is over after" in record.getMessage() for record in caplog.records) == 3
