"""Connecting: every way a server can answer, or not."""

import math
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketStream
from websockets.frames import Frame, Opcode
from websockets.sync.server import ServerConnection, serve

from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, DeadlineExceeded, HandshakeRejected, InvalidConfig, RemoteProtocolError
from trunkline.transport import Request, Response, Route, Server, Upgrade, WebSocketConnection, connect_websocket
from trunkline.transport.websocket.client import retry_after

pytestmark = pytest.mark.anyio
RudeServer = Callable[[Callable[[SocketStream], Awaitable[None]]], AbstractAsyncContextManager[str]]


async def connect_to(url: str, *, timeout: float = 5.0) -> None:
    async with connect_websocket(url, connect_timeout=timeout):
        pytest.fail("the handshake should not have worked")


def saying(answer: bytes, *, hang_up: bool = True) -> Callable[[SocketStream], Awaitable[None]]:
    async def behave(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(answer)
        if not hang_up:
            await anyio.sleep(math.inf)

    return behave


async def never(stream: SocketStream) -> None:
    await anyio.sleep(math.inf)


@pytest.mark.parametrize(
    ("answer", "hang_up", "body"),
    [
        (b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 3\r\n\r\nno!", False, "no!"),
        (b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n", False, "no!"),
        (b"HTTP/1.1 429 No\r\nRetry-After: 7\r\n\r\nuntil the end", True, "until the end"),
        (b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nhalf", True, "half"),
        (b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nstall", False, "stall"),
        (b"HTTP/1.1 429 No\r\nRetry-After: 7\r\n\r\n" + b"x" * 9000, False, "x" * 4096),
        (b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", False, ""),
    ],
    ids=["sized", "chunked", "to the end", "cut off", "stalled", "endless", "after hints"],
)
async def test_a_refusal_tells_status_body_and_patience(
    rude_server: RudeServer, answer: bytes, hang_up: bool, body: str
) -> None:
    async with rude_server(saying(answer, hang_up=hang_up)) as url:
        with pytest.raises(HandshakeRejected) as caught:
            await connect_to(url, timeout=0.5)
    assert (caught.value.status, caught.value.body, caught.value.retry_after) == (429, body, 7.0)


@pytest.mark.parametrize(
    "answer",
    [
        b"220 mail.example.com ESMTP\r\n\r\n",
        b"HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 Fine\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 70_000,
    ],
    ids=["not HTTP", "wrong key", "wrong upgrade", "endless header"],
)
async def test_what_is_not_a_websocket_server_is_a_protocol_error(rude_server: RudeServer, answer: bytes) -> None:
    async with rude_server(saying(answer, hang_up=False)) as url:
        with pytest.raises(RemoteProtocolError) as caught:
            await connect_to(url)
    assert caught.value.vendor == "websocket"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 101 Fi"])
async def test_a_server_that_hangs_up_during_the_handshake(rude_server: RudeServer, answer: bytes) -> None:
    async with rude_server(saying(answer)) as url:
        with pytest.raises((ConnectionLost, RemoteProtocolError)):
            await connect_to(url)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_server_that_never_answers_meets_the_deadline(
    rude_server: RudeServer, open_files: Callable[[], int], scheme: str
) -> None:
    async with rude_server(never) as url:
        before = open_files()
        with pytest.raises(DeadlineExceeded) as caught:
            await connect_to(url.replace("ws", scheme), timeout=0.1)
        await anyio.wait_all_tasks_blocked()
        assert open_files() <= before + 1  # the peer's own end
    assert "SECRET" not in str(caught.value)
    assert caught.value.seconds == 0.1


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_connecting_can_be_cancelled_at_any_moment(
    rude_server: RudeServer, open_files: Callable[[], int], scheme: str
) -> None:
    before = open_files()
    async with rude_server(never) as url:
        for steps in range(12):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(connect_to, url.replace("ws", scheme))
                    for _ in range(steps):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
        await anyio.wait_all_tasks_blocked()
    await anyio.wait_all_tasks_blocked()
    assert open_files() == before


async def test_a_refused_port_is_a_connection_lost() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    await listener.aclose()
    with pytest.raises(ConnectionLost) as caught:
        await connect_to(f"ws://127.0.0.1:{port}/token?key=SECRET")
    assert caught.value.code == 1006
    assert (
        str(caught.value)
        == f"the connection ended with code 1006: ws://127.0.0.1:{port} cannot be reached: Connection refused"
    )


async def test_a_name_that_does_not_exist_is_a_connection_lost() -> None:
    with pytest.raises(ConnectionLost, match=r"ws://nobody\.invalid:80 cannot be reached"):
        await connect_to("ws://nobody.invalid/?key=SECRET")


@pytest.mark.parametrize(
    "url", ["ftp://host/?SECRET", "nonsense SECRET", "ws://", "ws://host:port/SECRET", "ws://host/#SECRET"]
)
async def test_an_address_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        await connect_to(url)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_header_cannot_smuggle_another() -> None:
    with pytest.raises(InvalidConfig) as caught:
        async with connect_websocket("ws://127.0.0.1:1", headers=[("Authorization", "SECRET\r\nX: y")]):
            pass
    assert "SECRET" not in str(caught.value)


async def test_headers_and_subprotocol_reach_the_server() -> None:
    seen: list[Request] = []

    async def accept(request: Request) -> Upgrade:
        async def run(connection: WebSocketConnection) -> None:
            await connection.send(connection.subprotocol or "")

        seen.append(request)
        return Upgrade(run, subprotocol="realtime")

    async with (
        Server([Route("GET", "/v1/{room}", accept)]) as server,
        connect_websocket(
            f"{server.url}/v1/a?model=m",
            headers=[("Authorization", "Bearer k"), ("user-agent", "me")],
            subprotocols=["x", "realtime"],
        ) as connection,
    ):
        assert await connection.receive() == "realtime"
        assert connection.subprotocol == "realtime"
    assert seen[0].headers.get("AUTHORIZATION") == "Bearer k"
    assert seen[0].headers.get_all("User-Agent") == ["me"]
    assert "sec-websocket-extensions" not in seen[0].headers
    assert seen[0].target == "/v1/a?model=m"


async def test_a_frame_in_the_same_packet_as_the_handshake_is_not_lost(rude_server: RudeServer) -> None:
    import re

    from websockets.utils import accept_key

    async def behave(stream: SocketStream) -> None:
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", await stream.receive())
        assert key is not None
        await stream.send(
            b"HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept_key(key[1].decode()).encode()
            + b"\r\n\r\n"
            + Frame(Opcode.TEXT, b"early").serialize(mask=False)
        )
        await anyio.sleep(math.inf)

    async with rude_server(behave) as url, connect_websocket(url, close_timeout=0.1) as connection:
        assert await connection.receive() == "early"


async def test_an_error_in_the_block_comes_out_as_it_is(echo_server: Server) -> None:
    with pytest.raises(KeyError):
        async with connect_websocket(f"{echo_server.url}/echo"):
            raise KeyError


async def test_over_tls(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def accept(request: Request) -> Upgrade:
        async def echo(connection: WebSocketConnection) -> None:
            while True:
                await connection.send(await connection.receive())

        return Upgrade(echo, max_size=2**22)

    async with Server([Route("GET", "/echo", accept)], tls=server_tls) as server:
        assert server.url.startswith("https://")
        with anyio.fail_after(5):
            async with connect_websocket(f"{server.url}/echo", tls=client_tls) as connection:
                for message in ("hello", b"x" * 2**21):
                    await connection.send(message)
                    assert await connection.receive() == message


async def test_a_server_that_is_not_trusted_is_1015(server_tls: ssl.SSLContext) -> None:
    async with Server([], tls=server_tls) as server:
        with pytest.raises(ConnectionLost, match="certificate verification failed") as caught:
            await connect_to(f"{server.url}/?key=SECRET")
        assert caught.value.code == 1015
        assert server.failures == 0


async def test_tls_with_a_server_that_speaks_plainly_is_1015(echo_server: Server) -> None:
    with pytest.raises(ConnectionLost) as caught:
        await connect_to(echo_server.url.replace("http", "wss"))
    assert caught.value.code == 1015


async def test_with_the_server_of_another_library() -> None:
    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send([message[:3], message[3:]] if isinstance(message, str) else message)

    with serve(echo, "127.0.0.1", 0) as server:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, server.serve_forever)
            url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
            async with connect_websocket(url) as connection:
                for message in ("fragmented é", b"\x00\x01", "y" * 500_000):
                    await connection.send(message)
                    assert await connection.receive() == message
                await connection.aclose(1000, "thanks")
                with pytest.raises(ConnectionLost) as caught:
                    await connection.receive()
                assert caught.value.code == 1000
            await anyio.to_thread.run_sync(server.shutdown)


async def test_a_refused_upgrade_says_what_the_handler_said() -> None:
    async def refuse(request: Request) -> Response:
        return Response(403, "no token", headers=[("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")])

    async with Server([Route("GET", "/ws", refuse)]) as server:
        with pytest.raises(HandshakeRejected) as caught:
            await connect_to(f"{server.url}/ws?token=SECRET")
    assert (caught.value.status, caught.value.body, caught.value.retry_after) == (403, "no token", 0.0)


def test_retry_after_is_seconds_or_a_date() -> None:
    clock = ManualClock()
    assert retry_after("12") == 12.0
    assert retry_after("") is None
    assert retry_after("soon") is None
    later = datetime.fromtimestamp(clock.wall().timestamp() + 90, UTC)
    assert retry_after(later.strftime("%a, %d %b %Y %H:%M:%S GMT"), clock=clock) == pytest.approx(90, abs=1)
