"""Peers that behave badly on real sockets, and a count of what is left behind."""

import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import SocketAttribute, SocketStream
from websockets.utils import accept_key

from trunkline.transport import MessageStream, Request, Route, Server, Upgrade, WebSocketConnection

Behaviour = Callable[[SocketStream], Awaitable[None]]
RudeServer = Callable[[Behaviour], AbstractAsyncContextManager[str]]


async def read_head(stream: SocketStream) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive()
    return head


async def shake_hands(stream: SocketStream) -> None:
    """Accept a WebSocket by hand."""
    key = re.search(rb"sec-websocket-key: (\S+)", await read_head(stream), re.IGNORECASE)
    assert key is not None
    accept = f"Sec-WebSocket-Accept: {accept_key(key[1].decode())}"
    answer = f"HTTP/1.1 101 Fine\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accept}\r\n\r\n"
    await stream.send(answer.encode())


@pytest.fixture
def rude_server() -> RudeServer:
    """A listener whose every connection is given to one function, until the block ends."""

    @asynccontextmanager
    async def serve(behave: Behaviour) -> AsyncIterator[str]:
        async def behave_and_close(stream: SocketStream) -> None:
            async with stream:
                await behave(stream)

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, behave_and_close)
            yield f"ws://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/path?key=SECRET"
            group.cancel_scope.cancel()

    return serve


@pytest.fixture
def rude_websocket(rude_server: RudeServer) -> Callable[[Behaviour], AbstractAsyncContextManager[str]]:
    """The same, once the WebSocket is open."""

    def serve(behave: Behaviour) -> AbstractAsyncContextManager[str]:
        async def upgraded(stream: SocketStream) -> None:
            await shake_hands(stream)
            await behave(stream)

        return rude_server(upgraded)

    return serve


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many file descriptors this process has open."""
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


async def echo(connection: WebSocketConnection) -> None:
    await echo_stream(connection)


async def echo_stream(stream: MessageStream) -> None:
    while True:
        await stream.send(await stream.receive())


async def accept_echo(request: Request) -> Upgrade:
    return Upgrade(echo, max_size=2**21)


@pytest.fixture
async def echo_server() -> AsyncIterator[Server]:
    async with Server([Route("GET", "/echo", accept_echo)], grace=1.0) as server:
        yield server


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
