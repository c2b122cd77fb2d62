"""HTTP as it is spoken on one connection to the server."""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketStream
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from trunkline.clock import ScaledClock
from trunkline.errors import ConnectionLost
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

pytestmark = pytest.mark.anyio
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
VERSION = "Sec-WebSocket-Version: 13\r\n"


async def tell(request: Request) -> Response:
    return Response(
        body=f"{request.method} {request.target} {dict(request.params)} {request.body!r}", media_type="text/x-told"
    )


async def fail(request: Request) -> Response:
    raise ValueError("broken on purpose")


async def hang(request: Request) -> Response:
    await anyio.sleep_forever()
    raise AssertionError


async def forget(request: Request) -> Any:
    return None


async def split(request: Request) -> Response:
    return Response(headers=[("X-Split", "a\r\nb")])


async def empty(request: Request) -> Response:
    return Response(204)


async def echo_once(request: Request) -> Upgrade:
    async def run(connection: WebSocketConnection) -> None:
        await connection.send(await connection.receive())

    return Upgrade(run, max_size=1000)


ROUTES = [
    Route("GET", "/told", tell),
    Route("POST", "/told", tell),
    Route("POST", "/told/{name}", tell),
    Route("GET", "/fail/{token}", fail),
    Route("GET", "/hang", hang),
    Route("GET", "/forget", forget),
    Route("GET", "/split", split),
    Route("GET", "/empty", empty),
    Route("GET", "/ws", echo_once),
]
LIMITS = ServerLimits(
    body=100,
    header=2000,
    header_timeout=0.15,
    body_timeout=0.15,
    handler_timeout=0.15,
    linger_timeout=0.15,
    close_timeout=60,
)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(ROUTES, limits=LIMITS, grace=0.5) as server:
        yield server


@asynccontextmanager
async def dialled(server: Server) -> AsyncIterator[SocketStream]:
    stream = await anyio.connect_tcp("127.0.0.1", server.port)
    async with stream:
        yield stream


async def hear(stream: SocketStream) -> bytes:
    """Everything until the server hangs up."""
    heard = b""
    with anyio.fail_after(5):
        async for data in stream:
            heard += data
    return heard


async def say(server: Server, *said: str | bytes) -> str:
    async with dialled(server) as stream:
        for part in said:
            await stream.send(part if isinstance(part, bytes) else part.encode())
        return (await hear(stream)).decode()


async def until_alone(server: Server) -> None:
    while server.connections:  # the server tells nobody
        await anyio.lowlevel.checkpoint()


def statuses(heard: str) -> list[int]:
    return [int(status) for status in re.findall(r"HTTP/1\.1 (\d+) ", heard)]


async def test_a_request_reaches_its_handler_as_it_was_written(server: Server) -> None:
    heard = await say(
        server, "POST /told/a%2Fb?x=%20&y HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
    )
    assert heard.endswith("POST /told/a%2Fb?x=%20&y {'name': 'a/b'} b'abc'")
    assert "Content-Type: text/x-told\r\n" in heard
    assert "Date: " in heard


async def test_the_absolute_form_is_the_same_request(server: Server) -> None:
    assert "GET /told?u=http://x {}" in await say(
        server, "GET http://h:1/told?u=http://x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )


async def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    heard = await say(
        server,
        "GET /told?1 HTTP/1.1\r\nHost: h\r\n\r\nGET /no HTTP/1.1\r\nHost: h\r\n\r\n"
        "POST /told HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        "GET /told?2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    )
    assert statuses(heard) == [200, 404, 200, 200]
    assert heard.index("/told?1") < heard.index("b'abc'") < heard.index("/told?2")


async def test_many_requests_at_once_leave_others_their_turns(server: Server) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count)
        one = "GET /told HTTP/1.1\r\nHost: h\r\n\r\n"
        heard = await say(server, one * 500 + one.replace("Host", "Connection: close\r\nHost"))
        assert statuses(heard) == [200] * 501
        assert turns > 500
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("pieces", [1, 7])
async def test_any_chopping_of_the_bytes_is_the_same_request(server: Server, pieces: int) -> None:
    whole = b"POST /told HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    assert "b'body'" in await say(server, *[whole[at : at + pieces] for at in range(0, len(whole), pieces)])


async def test_head_is_get_without_the_body(server: Server) -> None:
    heard = await say(
        server,
        "HEAD /told HTTP/1.1\r\nHost: h\r\n\r\nHEAD /no HTTP/1.1\r\nHost: h\r\n\r\n"
        "GET /empty HTTP/1.1\r\nHost: h\r\n\r\nHEAD /told HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    )
    assert statuses(heard) == [200, 404, 204, 200]
    assert heard.endswith("\r\n\r\n")
    assert "HEAD /told" not in heard
    assert heard.count("Content-Length: ") == 3


async def test_expect_100_continue_is_answered_before_the_body(server: Server) -> None:
    async with dialled(server) as stream:
        await stream.send(
            b"POST /told HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert (await stream.receive()).startswith(b"HTTP/1.1 100 ")
        await stream.send(b"ab")
        assert b"b'ab'" in await hear(stream)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("GET /no HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404),
        ("POST /told/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404),
        ("DELETE /told HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 405),
        ("POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n", 404),
        ("POST /told HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n", 413),
        ("POST /told HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (
            "POST /told HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + ("32\r\n" + "x" * 50 + "\r\n") * 9,
            413,
        ),
        ("POST /told HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n" + "x" * 10, 408),
        ("POST /told HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("GET /told HTTP/1.1\r\nHost: h\r\nX: " + "x" * 2000 + "\r\n\r\n", 431),
        ("GET /told HTTP/1.1\r\nX: " + "x" * 100_000, 431),
        ("GET /told HTTP/1.1\r\n\r\n", 400),
        ("\x16\x03\x01 not HTTP\r\n\r\n", 400),
        ("GET /told HT", 408),
        ("GET /fail/t HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 500),
        ("GET /forget HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 500),
        ("GET /split HTTP/1.1\r\nHost: h\r\n\r\n", 500),
        ("GET /hang HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 503),
        ("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 426),
        (f"GET /ws HTTP/1.1\r\nHost: h\r\n{UPGRADE}Sec-WebSocket-Version: 8\r\nConnection: close\r\n\r\n", 426),
        (f"GET /ws HTTP/1.1\r\nHost: h\r\n{UPGRADE.replace('==', '')}{VERSION}Connection: close\r\n\r\n", 400),
    ],
)
async def test_whatever_cannot_be_served_gets_a_short_answer(server: Server, said: str, status: int) -> None:
    heard = await say(server, said)
    assert statuses(heard) == [status]
    assert "onnection: close" in heard
    assert len(heard.partition("\r\n\r\n")[2]) < 100
    assert heard.endswith("\n")


async def test_405_names_the_methods_and_426_the_protocol(server: Server) -> None:
    assert "Allow: GET, HEAD, POST\r\n" in await say(
        server, "PUT /told HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )
    heard = await say(server, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert "Upgrade: websocket\r\n" in heard
    assert "Sec-WebSocket-Version: 13\r\n" in heard


async def test_a_refused_upload_is_read_to_its_end_so_that_the_refusal_arrives(server: Server) -> None:
    heard = await say(server, "POST /told HTTP/1.1\r\nHost: h\r\nContent-Length: 500000\r\n\r\n", "x" * 500_000)
    assert statuses(heard) == [413]


async def test_an_upgrade_that_is_not_granted_leaves_the_connection_usable(server: Server) -> None:
    heard = await say(
        server,
        f"GET /told?1 HTTP/1.1\r\nHost: h\r\n{UPGRADE}{VERSION}\r\n",
        "GET /told?2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    )
    assert statuses(heard) == [200, 200]


async def test_frames_right_behind_the_handshake_are_not_lost(server: Server) -> None:
    hello = b"\x81\x85\x00\x00\x00\x00hello"
    async with dialled(server) as stream:
        await stream.send(f"GET /ws HTTP/1.1\r\nHost: h\r\n{UPGRADE}{VERSION}\r\n".encode() + hello)
        heard = b""
        while b"hello" not in heard:
            heard += await stream.receive()
    assert b"101 Switching" in heard


async def test_frames_without_a_mask_are_refused(server: Server) -> None:
    async with dialled(server) as stream:
        await stream.send(f"GET /ws HTTP/1.1\r\nHost: h\r\n{UPGRADE}{VERSION}\r\n".encode() + b"\x81\x05hello")
        heard = await hear(stream)
    assert heard.partition(b"\r\n\r\n")[2].startswith(b"\x88")
    assert b"\x03\xea" in heard  # 1002


async def test_a_failing_handler_is_logged_without_the_token(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await say(
            server,
            "GET /fail/SECRET?key=SECRET HTTP/1.1\r\nHost: h\r\nAuthorization: SECRET\r\nConnection: close\r\n\r\n",
        )
    assert "the handler of GET /fail/{token} failed" in caplog.text
    assert "broken on purpose" in caplog.text
    assert "SECRET" not in caplog.text
    assert server.failures == 1


@pytest.mark.parametrize(("failure", "code"), [(None, 1000), (ValueError("x"), 1011), (ConnectionLost(1006), 1011)])
async def test_the_end_of_a_handler_closes_the_websocket(failure: Exception | None, code: int) -> None:
    async def accept(request: Request) -> Upgrade:
        async def run(connection: WebSocketConnection) -> None:
            async with anyio.create_task_group():
                if failure is not None:
                    raise failure

        return Upgrade(run)

    async with Server([Route("GET", "/ws", accept)]) as server, connect_websocket(f"{server.url}/ws") as connection:
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert caught.value.code == code
        await connection.aclose()
        await anyio.wait_all_tasks_blocked()
        assert server.failures == isinstance(failure, ValueError)


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    clock = ScaledClock(100)
    async with Server(ROUTES, clock=clock) as server, dialled(server) as stream:
        await stream.send(b"GET /told HTTP/1.1\r\nHost: h\r\n\r\n")
        assert statuses((await hear(stream)).decode()) == [200]
        assert clock.now() >= 29


async def test_connection_that_asks_nothing_is_closed_soon() -> None:
    clock = ScaledClock(100)
    limits = ServerLimits(first_timeout=5, idle_timeout=500)
    async with Server(ROUTES, limits=limits, clock=clock) as server, dialled(server) as stream:
        began = clock.now()
        with anyio.fail_after(3):  # 300 seconds of the server's clock
            assert await hear(stream) == b""
        assert clock.now() - began >= 4.9


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /told HTTP/1.0\r\nHost: h\r\n\r\nhello", 411),
        (b"POST /told HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
        (b"POST /told HTTP/1.0\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200),
        (b"GET /told HTTP/1.0\r\nHost: h\r\n\r\n", 200),
    ],
)
async def test_body_of_unknown_length_is_read_or_refused_and_never_empty(
    server: Server, request_: bytes, status: int
) -> None:
    async with dialled(server) as stream:
        await stream.send(request_.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"))
        answer = (await hear(stream)).decode()
    assert statuses(answer) == [status]
    assert ("b'hello'" in answer) == (status == 200 and request_.startswith(b"POST"))


async def test_a_client_that_does_not_read_its_answer_is_dropped() -> None:
    asked = anyio.Event()

    async def much(request: Request) -> Response:
        asked.set()
        return Response(body=b"x" * 20_000_000)

    async with (
        Server([Route("GET", "/", much)], limits=ServerLimits(write_timeout=0.2)) as server,
        dialled(server) as stream,
    ):
        await stream.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        with anyio.fail_after(5):
            await asked.wait()
            await until_alone(server)


async def test_with_the_client_of_another_library(server: Server) -> None:
    def talk() -> str | bytes:
        with connect(f"ws://127.0.0.1:{server.port}/ws", compression="deflate") as connection:
            connection.send(["frag", "mented é"])
            return connection.recv()

    assert await anyio.to_thread.run_sync(talk) == "fragmented é"

    def refused() -> int:
        with pytest.raises(InvalidStatus) as caught:
            connect(f"ws://127.0.0.1:{server.port}/no")
        return caught.value.response.status_code

    assert await anyio.to_thread.run_sync(refused) == 404
