"""From start to stop: who ends a gateway, and what is left to the calls and their observers."""

import os
import signal
import socket
import threading

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx
import pytest

from tests.gateway.carrier import PlainGateway, fake, until_lost
from trunkline.errors import InvalidConfig
from trunkline.gateway import CallInfo
from trunkline.testing.fake_provider import FakeSession
from trunkline.tools import ToolDefinition
from trunkline.transport import HttpClient, connect_websocket


def gateway(listen_addr: str = "127.0.0.1:0") -> PlainGateway:
    return PlainGateway(listen_addr=listen_addr)


async def running(door: PlainGateway) -> str:
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


async def test_there_are_connections_for_all_calls_that_are_allowed() -> None:
    async with PlainGateway(max_concurrent_calls=3000) as door:
        assert door._service is not None
        assert door._service._server._limits.connections >= 6000


async def test_it_may_be_entered_again_after_its_end() -> None:
    door = PlainGateway()
    for count in (1, 2):
        async with door:
            async with door.phone():
                await door.until("session_started", count)
            with pytest.raises(InvalidConfig, match="is running already"):
                await door.__aenter__()
        assert door.list_sessions() == []


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


async def test_a_handler_that_hangs_in_a_thread_does_not_keep_the_gateway_from_stopping() -> None:
    release = threading.Event()
    entered = threading.Event()
    async with PlainGateway(stop_timeout=0.1) as door:

        @door.on_call
        def hangs(_: CallInfo) -> None:
            entered.set()
            release.wait(20)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(door.admit, door.info())
                await anyio.to_thread.run_sync(entered.wait)
                tasks.cancel_scope.cancel()
        assert not release.is_set()
    release.set()


async def test_all_addresses_are_those_of_both_families() -> None:
    async with (
        PlainGateway(public_url="https://agent.example.com", listen_addr=":0") as door,
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


# ── how it stops ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["SIGTERM", "stop", "end of the block"])
async def test_stopping_waits_for_calls_that_were_accepted(how: str) -> None:
    """The carrier was given the address of the media and has not opened it yet; new calls are refused meanwhile."""
    door = PlainGateway(stop_timeout=20)
    over, leave = anyio.Event(), anyio.Event()

    async def serve() -> None:
        if how == "end of the block":
            async with door:
                await leave.wait()
        else:
            await door.start()
        over.set()

    async with anyio.create_task_group() as tasks, HttpClient() as http:
        tasks.start_soon(serve)
        url = await running(door)
        path = await door.announce()
        await anyio.wait_all_tasks_blocked()
        if how == "SIGTERM":
            os.kill(os.getpid(), signal.SIGTERM)
        elif how == "stop":
            tasks.start_soon(door.stop)
        else:
            leave.set()
        with anyio.fail_after(5):
            while (await http.request("GET", f"{url}/ready")).status != 503:
                await anyio.wait_all_tasks_blocked()
        assert await door.announce("C2") == "busy"
        async with connect_websocket(f"{url}{path}") as socket:
            await socket.send("start C1")
            await door.until("session_started")
            assert not over.is_set()
            await socket.send("stop")
        with anyio.fail_after(5):
            await over.wait()
    assert door.reasons() == ["caller_hung_up"]


async def test_call_that_does_not_end_in_time_is_ended() -> None:
    door = PlainGateway(stop_timeout=0.1)
    async with door, door.phone() as phone:
        await door.until("session_started")
        with anyio.fail_after(5):
            await door.stop()
            await door.stop()
        assert await until_lost(phone) in {1000, 1001}
    assert door.reasons() == ["shutdown"]


@pytest.mark.parametrize("where", ["tool", "session handler", "call handler", "plain call handler"])
async def test_stopping_from_the_inside_does_not_wait_for_itself(where: str) -> None:
    returned = anyio.Event()

    async def use(session: FakeSession) -> None:
        await session.call_tool("stop_all")

    async def stop_all(_: object = None) -> None:
        """Stop the gateway."""
        await door.stop()
        returned.set()

    def stop_all_in_a_thread(_: CallInfo) -> None:
        anyio.from_thread.run(stop_all)

    door = PlainGateway(
        stop_timeout=1.0,
        realtime_provider=fake(script=use if where == "tool" else None),
        tools=[ToolDefinition("stop_all")],
        tool_handlers={"stop_all": stop_all},
    )
    if where == "session handler":
        door.on_session(stop_all)
    elif where == "call handler":
        door.on_call(stop_all)
    elif where == "plain call handler":
        door.on_call(stop_all_in_a_thread)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.start)
        await running(door)
        with anyio.fail_after(4):
            if "call handler" in where:
                assert await door.announce() == "busy"
            else:
                async with door.phone() as phone:
                    await returned.wait()
                    await until_lost(phone)
            await returned.wait()
            while door._service is not None:
                await anyio.wait_all_tasks_blocked()
