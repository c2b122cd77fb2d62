"""From start to stop: who ends a gateway, and what is left to the calls and their observers."""

import json
import os
import signal
import socket
import threading
from contextlib import AsyncExitStack

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
from trunkline.transport import connect_websocket


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


async def test_there_are_connections_for_all_calls_that_are_allowed(stage: StageFactory) -> None:
    async with stage(max_concurrent_calls=3000) as on:
        assert on.gateway._server is not None
        assert on.gateway._server._limits.connections >= 6000


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
            began = on.clock.now()
            await on.clock.sleep_until(on.clock.now() + 2)
            finished.append("in time")
            try:
                await anyio.sleep_forever()
            finally:
                finished.append("cut" if on.clock.now() - began < 22 else "cut by another clock")

        async with on.caller() as call:
            while not on.sessions:
                await anyio.wait_all_tasks_blocked()
            await call.hang_up()
        with anyio.fail_after(20):
            while len(finished) < 2:
                await anyio.wait_all_tasks_blocked()
    assert finished == ["in time", "cut"]


async def test_the_line_is_closed_before_the_observer_has_finished(stage: StageFactory) -> None:
    """The caller must not listen to silence while the application writes to its database."""
    async with stage() as on:
        release = anyio.Event()

        @on.gateway.on_session
        async def lingers(session: CallSession) -> None:
            await session.close()
            try:
                await release.wait()
            finally:
                on.sessions.append(session)

        async with on.caller() as call:
            await call.wait_for("completed", timeout=4)
            assert on.sessions == []
            release.set()


async def test_the_new_stream_of_a_redirected_call_outlives_the_old_one(stage: StageFactory) -> None:
    async with stage(verify_signatures=False) as on:
        info = CallInfo(call_id="CA1", from_="", to="", direction="inbound", start_time=on.clock.wall())
        details = {
            "streamSid": "MZ1",
            "callSid": "CA1",
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        start = json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": details})
        async with AsyncExitStack() as streams:
            sockets = []
            for count in (1, 2):
                path = await on.gateway.admit(info)
                sockets.append(await streams.enter_async_context(connect_websocket(on.gateway.url + path)))
                await sockets[-1].send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
                await sockets[-1].send(start)
                await on.until(EventType.SESSION_STARTED, count=count)
            old, new = on.sessions
            assert on.gateway.get_session("CA1") is new
            await sockets[0].aclose()
            await on.until(EventType.SESSION_ENDED)
            with anyio.fail_after(10):
                while old in on.gateway._sessions.values() or old.is_active:
                    await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()
            assert on.gateway.list_sessions() == [new]


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


async def test_all_addresses_are_those_of_both_families() -> None:
    provider = OpenAIRealtimeProvider(api_key="sk-test")
    public = "https://agent.example.com"
    async with (
        TwilioGateway(auth_token="t", public_url=public, listen_addr=":0", realtime_provider=provider) as door,
        httpx.AsyncClient() as http,
    ):
        port = door.url.rpartition(":")[2]
        hosts = ["127.0.0.1", "[::1]"] if socket.has_ipv6 and has_loopback_of_ipv6() else ["127.0.0.1"]
        for host in hosts:
            assert (await http.get(f"http://{host}:{port}/health")).status_code == 200


def has_loopback_of_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True
