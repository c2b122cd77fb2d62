"""The server as a whole: starting, barrier, limits, stopping, and nothing left behind."""

import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketStream

from trunkline.errors import ConnectionLost, HandshakeRejected, InvalidConfig
from trunkline.transport import (
    Request,
    Response,
    Route,
    Server,
    ServerLimits,
    Upgrade,
    WebSocketConnection,
    connect_websocket,
)
from trunkline.transport.http.server import REFUSING
from trunkline.transport.tcp import TcpListener, TcpStream

pytestmark = pytest.mark.anyio
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def answer(request: Request) -> Response:
    return Response(body="yes")


async def hold(request: Request) -> Upgrade:
    async def run(connection: WebSocketConnection) -> None:
        while True:
            await connection.receive()

    return Upgrade(run)


ROUTES = [Route("GET", "/", answer), Route("GET", "/hold", hold)]


@asynccontextmanager
async def dialled(server: Server) -> AsyncIterator[SocketStream]:
    stream = await anyio.connect_tcp("127.0.0.1", server.port)
    async with stream:
        yield stream


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(5):
        while not condition():  # the server tells nobody
            await anyio.lowlevel.checkpoint()


async def test_a_bare_start_says_what_it_needs() -> None:
    with pytest.raises(InvalidConfig, match=r"start\(task_group\)"):
        await Server(ROUTES).start()


def test_a_server_can_be_made_outside_the_event_loop() -> None:
    assert Server(ROUTES, host="::1", port=99).url == "http://[::1]:99"


async def test_a_server_starts_once_and_stops_any_number_of_times() -> None:
    server = Server(ROUTES)
    await server.aclose()
    async with anyio.create_task_group() as group:
        await server.start(group)
        async with dialled(server) as stream:
            await stream.send(GET)
            assert (await stream.receive()).startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(InvalidConfig):
            await server.start(group)
        for _ in range(3):
            group.start_soon(server.aclose)
    await server.aclose()
    with pytest.raises(OSError, match="connection"):
        await anyio.connect_tcp("127.0.0.1", server.port)


async def test_a_port_in_use_is_said() -> None:
    async with Server(ROUTES) as server:
        with pytest.raises(InvalidConfig, match=f"127.0.0.1:{server.port}: .*in use"):
            async with Server(ROUTES, port=server.port):
                pass


async def test_localhost_and_all_addresses_have_one_port() -> None:
    for host in ("localhost", ""):
        async with Server(ROUTES, host=host) as server, connect_websocket(f"{server.url}/hold") as connection:
            await connection.aclose()


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with Server(ROUTES) as server, connect_websocket(f"{server.url}/hold"):
            raise KeyError


async def test_connections_above_the_limit_are_told_so() -> None:
    async with Server(ROUTES, limits=ServerLimits(connections=2, linger_timeout=0.2), grace=0) as server:
        async with connect_websocket(f"{server.url}/hold"), connect_websocket(f"{server.url}/hold"):
            with pytest.raises(HandshakeRejected) as caught:
                async with connect_websocket(f"{server.url}/hold"):
                    pass
            assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
        await until(lambda: server.connections == 0)
        async with connect_websocket(f"{server.url}/hold"):
            pass


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost:", GET])
async def test_connections_that_wait_for_a_request_make_room_oldest_first(said: bytes) -> None:
    """Somebody who opens all connections there are and asks for nothing does not keep the carrier out."""
    async with Server(ROUTES, limits=ServerLimits(connections=3), grace=0) as server, AsyncExitStack() as stack:
        await stack.enter_async_context(connect_websocket(f"{server.url}/hold"))
        idle = [await stack.enter_async_context(dialled(server)) for _ in range(2)]
        for stream in idle:
            if said:
                await stream.send(said)
            if said == GET:
                await stream.receive()
        await until(lambda: server.connections == 3)
        await anyio.wait_all_tasks_blocked()
        call = await stack.enter_async_context(connect_websocket(f"{server.url}/hold"))
        with anyio.fail_after(5), suppress(anyio.BrokenResourceError):
            async for _ in idle[0]:  # what it is told before it is closed
                pass
        await until(lambda: server.connections == 3)
        await idle[1].send(b" h\r\n\r\n" if said.endswith(b":") else GET)
        assert b"200 OK" in await idle[1].receive()
        await call.send("still there")


async def test_far_above_the_limit_they_are_dropped() -> None:
    async with AsyncExitStack() as stack:
        limits = ServerLimits(connections=0, linger_timeout=60)
        server = await stack.enter_async_context(Server(ROUTES, limits=limits, grace=0))
        for _ in range(REFUSING):
            await stack.enter_async_context(dialled(server))
        await until(lambda: server.connections == REFUSING)
        stream = await stack.enter_async_context(dialled(server))
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)), anyio.fail_after(5):
            await stream.receive()


async def test_a_broken_connection_reaches_no_other(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with Server(ROUTES, tls=server_tls) as server:
        async with dialled(server) as stream:
            await stream.send(b"not TLS at all, not even close to it")
        async with dialled(server):
            pass
        async with connect_websocket(f"{server.url}/hold", tls=client_tls, close_timeout=0.1):
            await until(lambda: server.connections == 1)
        assert server.failures == 0


async def test_an_unforeseen_failure_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Server(ROUTES) as server:
        monkeypatch.setattr("trunkline.transport.http.connection.Exchange.serve", lambda _: 1 / 0)
        async with dialled(server) as stream:
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()
        monkeypatch.undo()
        async with dialled(server) as stream:
            await stream.send(GET)
            assert b"200" in await stream.receive()
        assert server.failures == 1
    assert "a connection failed" in caplog.text


async def test_an_accept_that_fails_does_not_end_the_listener(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept, failures = TcpListener.accept, iter([OSError(24, "Too many open files")])

    async def fail_first(self: TcpListener) -> TcpStream:
        for failure in failures:
            raise failure
        return await accept(self)

    monkeypatch.setattr(TcpListener, "accept", fail_first)
    async with Server(ROUTES) as server, dialled(server) as stream:
        await stream.send(GET)
        assert b"200" in await stream.receive()
    assert "Too many open files" in caplog.text


# ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_stopping_closes_idle_connections_at_once() -> None:
    async with Server(ROUTES, grace=60) as server, dialled(server) as used, dialled(server) as fresh:
        await used.send(GET)
        await used.receive()
        await until(lambda: server.connections == 2)
        with anyio.fail_after(5):
            await server.aclose()
        for stream in (used, fresh):
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()


async def test_stopping_lets_a_running_request_finish() -> None:
    started, go = anyio.Event(), anyio.Event()

    async def slow(request: Request) -> Response:
        started.set()
        await go.wait()
        return Response(body="done")

    limits = ServerLimits(linger_timeout=0.1)
    async with Server([Route("GET", "/", slow)], limits=limits, grace=60) as server, dialled(server) as stream:
        await stream.send(GET + GET)
        await started.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(server.aclose)
            await anyio.wait_all_tasks_blocked()
            go.set()
        heard = b"".join([data async for data in stream])
    assert heard.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in heard
    assert heard.endswith(b"done")


async def test_stopping_lets_a_call_finish_within_the_grace() -> None:
    async def accept(request: Request) -> Upgrade:
        async def run(connection: WebSocketConnection) -> None:
            await connection.send(await connection.receive())

        return Upgrade(run)

    async with (
        Server([Route("GET", "/ws", accept)], grace=60) as server,
        connect_websocket(f"{server.url}/ws") as connection,
        anyio.create_task_group() as group,
    ):
        group.start_soon(server.aclose)
        await anyio.wait_all_tasks_blocked()
        await connection.send("last words")
        assert await connection.receive() == "last words"
        await connection.aclose()


async def test_after_the_grace_calls_are_told_that_the_server_goes_away() -> None:
    async def stop(server: Server) -> None:
        await server.aclose(grace=0.1)

    async with Server(ROUTES) as server, connect_websocket(f"{server.url}/hold") as connection:
        async with anyio.create_task_group() as group:
            group.start_soon(stop, server)
            with pytest.raises(ConnectionLost) as caught, anyio.fail_after(5):
                await connection.receive()
        assert caught.value.code == 1001


async def test_a_handler_may_stop_its_server() -> None:
    stopped = anyio.Event()

    async def stop(request: Request) -> Response:
        async def close() -> None:
            await server.aclose(grace=5)
            stopped.set()

        group.start_soon(close)
        return Response(202)

    async with (
        anyio.create_task_group() as group,
        Server([Route("GET", "/", stop)]) as server,
        dialled(server) as stream,
    ):
        await stream.send(GET)
        with anyio.fail_after(4):
            assert b"202" in await stream.receive()
            await stopped.wait()


async def test_a_cancelled_stop_still_ends_everything(open_files: Callable[[], int]) -> None:
    before = open_files()
    limits = ServerLimits(close_timeout=0.1)
    async with (
        Server(ROUTES, limits=limits, grace=60) as server,
        connect_websocket(f"{server.url}/hold", close_timeout=0.2),
    ):
        with anyio.move_on_after(0.05) as scope:
            await server.aclose()
        assert scope.cancelled_caught
        assert server.connections == 0
    await anyio.wait_all_tasks_blocked()
    assert open_files() == before


@pytest.mark.parametrize("steps", range(8))
async def test_a_server_can_be_cancelled_at_any_moment(open_files: Callable[[], int], steps: int) -> None:
    async def serve() -> None:
        async with Server(ROUTES, grace=60) as server, connect_websocket(f"{server.url}/hold", close_timeout=0.2):
            await anyio.sleep_forever()

    await anyio.lowlevel.checkpoint()
    before = open_files()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            for _ in range(steps**2):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    await anyio.wait_all_tasks_blocked()
    assert open_files() == before


async def test_two_hundred_connections_leave_nothing_behind(
    open_files: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    async def accept(request: Request) -> Upgrade:
        async def run(connection: WebSocketConnection) -> None:
            await connection.send(await connection.receive())
            if request.params["end"] == "raise":
                raise ValueError
            if request.params["end"] == "stay":
                await connection.receive()

        return Upgrade(run)

    async def call(url: str) -> None:
        async with connect_websocket(url) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"

    def tasks() -> int:
        return len(anyio.get_running_tasks())

    async def connect_many(server: Server) -> None:
        for end in ("return", "raise", "stay", "stay"):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(call, f"{server.url}/{end}")

    caplog.set_level(logging.CRITICAL)
    before = open_files(), tasks()
    async with Server([Route("GET", "/{end}", accept)]) as server:
        idle = tasks()
        await connect_many(server)
        await until(lambda: server.connections == 0)
        await until(lambda: tasks() == idle)
        assert server.failures == 50
    await anyio.wait_all_tasks_blocked()
    assert (open_files(), tasks()) == before
