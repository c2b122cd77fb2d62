"""From start to stop: who ends a gateway, and what is left to the calls and their observers."""

import os
import signal
import threading

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.gateway.conftest import AUTH_TOKEN, StageFactory
from trunkline.errors import InvalidConfig
from trunkline.gateway import CallInfo, CallSession, EventType
from trunkline.gateway.twilio import TwilioGateway
from trunkline.realtime import OpenAIRealtimeProvider
from trunkline.testing import Say, ScriptedBrain


def gateway(listen_addr: str = "127.0.0.1:0") -> TwilioGateway:
    provider = OpenAIRealtimeProvider(api_key="sk-test")
    return TwilioGateway(auth_token=AUTH_TOKEN, listen_addr=listen_addr, realtime_provider=provider)


async def running(door: TwilioGateway) -> str:
    with anyio.fail_after(10):
        while True:
            try:
                return door.url
            except InvalidConfig:
                await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("how", ["stop", "SIGTERM", "cancellation"])
async def test_it_serves_until_it_is_told_not_to(how: str) -> None:
    door = gateway()
    ended = anyio.Event()

    async def serve() -> None:
        try:
            await door.start()
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks, httpx.AsyncClient() as http:
        tasks.start_soon(serve)
        url = await running(door)
        assert (await http.get(f"{url}/health")).text == "ok\n"
        await anyio.wait_all_tasks_blocked()
        if how == "stop":
            await door.stop()
        elif how == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(10):
            await ended.wait()
            with pytest.raises(httpx.ConnectError):
                await http.get(f"{url}/health")


async def test_it_serves_in_a_thread_other_than_the_main_one(anyio_backend_name: str) -> None:
    """Signals cannot be received there; that must not keep it from serving."""
    door = gateway()
    begun = threading.Event()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(door.start)
            await running(door)
            begun.set()
            await door.stop()

    await anyio.to_thread.run_sync(lambda: anyio.run(main, backend=anyio_backend_name))
    assert begun.is_set()


async def test_a_port_that_is_taken_is_told_as_such() -> None:
    async with gateway() as first:
        with pytest.raises(InvalidConfig, match="cannot listen"):
            await gateway(first.url.removeprefix("http://")).start()


async def test_it_may_be_entered_again_after_its_end(stage: StageFactory) -> None:
    async with stage() as on:
        await on.gateway.__aexit__(None, None, None)
        async with on.gateway:
            async with on.caller() as call:
                assert call.refused is None
                await on.until(EventType.SESSION_STARTED)
                await call.hang_up()
            with pytest.raises(InvalidConfig, match="is running already"):
                await on.gateway.__aenter__()


async def test_it_may_be_entered_again_after_it_was_cancelled() -> None:
    door = gateway()
    for _ in range(2):
        with anyio.CancelScope() as scope:
            async with door:
                scope.cancel()
                await anyio.sleep_forever()
    with pytest.raises(InvalidConfig, match="is not running"):
        _ = door.url


async def test_an_error_of_the_block_stays_what_it_is() -> None:
    with pytest.raises(LookupError):
        async with gateway():
            raise LookupError


async def test_an_observer_may_finish_within_its_grace(stage: StageFactory) -> None:
    """The grace is measured by the gateway's clock."""
    finished: list[str] = []
    async with stage() as on:

        @on.gateway.on_session
        async def note(session: CallSession) -> None:
            on.sessions.append(session)
            await session.wait_closed()
            await on.clock.sleep_until(on.clock.now() + 2)
            finished.append("in time")
            try:
                await on.clock.sleep_until(on.clock.now() + 60)
            finally:
                finished.append(f"cut {on.clock.now() - began < 30}")

        began = on.clock.now()
        async with on.caller() as call:
            while not on.sessions:
                await anyio.wait_all_tasks_blocked()
            await call.hang_up()
        with anyio.fail_after(10):
            while len(finished) < 2:
                await anyio.wait_all_tasks_blocked()
    assert finished == ["in time", "cut True"]


async def test_an_observer_that_fails_does_not_end_the_call(
    stage: StageFactory, caplog: pytest.LogCaptureFixture
) -> None:
    brain = ScriptedBrain(answers=[[Say("Hello.")]])
    async with stage(brain, greeting="Hello.") as on:

        @on.gateway.on_session
        async def fails(session: CallSession) -> None:
            on.sessions.append(session)
            raise RuntimeError("the database is down")

        async with on.caller() as call:
            await call.agent_started()
            assert on.sessions[0].is_active
            await call.hang_up()
    assert "the on_session handler failed" in caplog.text


async def test_a_handler_that_hangs_in_a_thread_does_not_keep_the_gateway_from_stopping(stage: StageFactory) -> None:
    release = threading.Event()
    entered = threading.Event()
    async with stage(stop_timeout=0.1) as on:

        @on.gateway.on_call
        def hangs(_: CallInfo) -> None:
            entered.set()
            release.wait(20)

        info = CallInfo(call_id="CA1", from_="", to="", direction="inbound", start_time=on.clock.wall())
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(on.gateway.admit, info)
                await anyio.to_thread.run_sync(entered.wait)
                tasks.cancel_scope.cancel()
        assert not release.is_set()
    release.set()
