"""Byte streams over TCP: what was sent arrives, waits end, and every handle of a socket is given back."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from importlib.util import find_spec
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute

from trunkline.clock import ScaledClock
from trunkline.errors import DeadlineExceeded
from trunkline.transport import tcp
from trunkline.transport.tcp import TcpListener, TcpStream, connect_tcp, listen_tcp

pytestmark = pytest.mark.anyio
LARGE = bytes(range(256)) * 20_000  # more than the network takes at once


@pytest.fixture(params=["asyncio", "trio", *(["uvloop"] if find_spec("uvloop") else [])])
def anyio_backend(request: pytest.FixtureRequest) -> str | tuple[str, dict[str, bool]]:
    """Also uvloop, as this is what touches sockets by itself."""
    return ("asyncio", {"use_uvloop": True}) if request.param == "uvloop" else str(request.param)


@asynccontextmanager
async def joined(send_timeout: float | None = None) -> AsyncIterator[tuple[TcpStream, TcpStream]]:
    """Both ends of a connection."""
    [listener] = await listen_tcp("127.0.0.1", 0)
    try:
        near = await connect_tcp("127.0.0.1", listener.port, send_timeout=send_timeout, clock=ScaledClock(10))
        async with near, await listener.accept() as far:
            yield near, far
    finally:
        listener.close()


async def received(stream: TcpStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive(1000 if size < 10_000 else 100_000)
    return data


async def test_both_ends_hear_each_other_and_the_end() -> None:
    async with joined() as (near, far):
        await near.send(b"hello")
        assert await far.receive() == b"hello"
        await far.send(b"you too")
        assert await near.receive(3) == b"you"
        assert await near.receive() == b" too"
        await near.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await far.receive()
        await far.send(b"late")
        assert await near.receive() == b"late"


async def test_more_than_the_network_takes_at_once_arrives_whole() -> None:
    async with joined() as (near, far), anyio.create_task_group() as tasks:
        tasks.start_soon(near.send, LARGE)
        assert await received(far, len(LARGE)) == LARGE


async def test_a_send_that_is_taken_at_once_gives_way_to_nobody() -> None:
    turns: list[None] = []
    async with joined() as (near, _), anyio.create_task_group() as tasks:
        tasks.start_soon(other_task, turns)
        await near.send(b"hello")
        assert not turns
    assert turns


async def other_task(turns: list[None]) -> None:
    turns.append(None)


async def test_receiving_gives_way_although_there_is_something() -> None:
    """Else a peer that never stops would keep all others from being served."""
    turns: list[None] = []
    async with joined() as (near, far), anyio.create_task_group() as tasks:
        await far.send(bytes(50))
        tasks.start_soon(other_task, turns)
        for _ in range(50):
            await near.receive(1)
        assert turns


async def test_a_peer_that_does_not_read_meets_the_deadline() -> None:
    async with joined(send_timeout=1.0) as (near, _):
        with pytest.raises(DeadlineExceeded, match="sending did not finish within 1 s"):
            await near.send(LARGE)


@pytest.mark.parametrize(
    "wait", [lambda stream: stream.receive(), lambda stream: stream.send(LARGE)], ids=["in", "out"]
)
async def test_closing_ends_a_wait_in_another_task(wait: Callable[[TcpStream], Awaitable[object]]) -> None:
    ended = []

    async def hold(stream: TcpStream) -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await wait(stream)
        ended.append(True)

    async with joined() as (near, _), anyio.create_task_group() as tasks:
        tasks.start_soon(hold, near)
        await anyio.wait_all_tasks_blocked()
        await near.aclose()
        await near.aclose()
    assert ended


async def test_a_closed_stream_is_of_no_use() -> None:
    async with joined() as (near, _):
        await near.aclose()
        for use in (near.receive, lambda: near.send(b"x"), near.send_eof):
            with pytest.raises(anyio.ClosedResourceError):
                await use()


async def test_a_connection_that_was_reset_is_broken() -> None:
    async with joined() as (near, far):
        far._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
        await far.aclose()
        with pytest.raises(anyio.BrokenResourceError):
            await near.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await near.send(b"x")


async def test_a_cancelled_wait_loses_nothing() -> None:
    async with joined() as (near, far):
        with anyio.move_on_after(0):
            await near.receive()
        await far.send(b"x")
        assert await near.receive() == b"x"


async def test_the_other_sides_address_is_known() -> None:
    async with joined() as (near, far):
        assert far.extra(SocketAttribute.remote_address) == near._socket.getsockname()


async def dial(port: int) -> None:
    stream = await connect_tcp("localhost", port)
    await stream.aclose()


async def test_all_of_a_hosts_addresses_have_one_port(open_files: Callable[[], int]) -> None:
    before = None
    for _ in range(2):  # what the loop opens for itself, it opens the first time
        listeners = await listen_tcp("", 0)
        assert len({listener.port for listener in listeners}) == 1
        await dial(listeners[0].port)
        for listener in listeners:
            listener.close()
            listener.close()
        await anyio.lowlevel.checkpoint()
        assert before in {None, open_files()}
        before = open_files()


async def test_a_cancelled_dial_leaves_nothing_open(open_files: Callable[[], int]) -> None:
    [listener] = await listen_tcp("127.0.0.1", 0)
    with closing(listener):
        await dial(listener.port)
        await anyio.lowlevel.checkpoint()
        before = open_files()
        for steps in range(12):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cancel_after, scope, steps)
                    await dial(listener.port)
        with anyio.fail_after(5):
            while open_files() > before:
                await anyio.lowlevel.checkpoint()


async def cancel_after(scope: anyio.CancelScope, steps: int) -> None:
    for _ in range(steps):
        await anyio.lowlevel.checkpoint()
    scope.cancel()


async def test_the_next_address_is_tried_when_the_first_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    [listener] = await listen_tcp("127.0.0.1", 0)
    good, bad = ("127.0.0.1", listener.port), ("127.0.0.1", 1)
    monkeypatch.setattr(anyio, "getaddrinfo", resolved(bad, good))
    with closing(listener):
        stream = await connect_tcp("somewhere", 0)
        assert stream.extra(SocketAttribute.remote_address) == good
        await stream.aclose()
        monkeypatch.setattr(anyio, "getaddrinfo", resolved(bad, bad))
        with pytest.raises(ConnectionRefusedError):
            await connect_tcp("somewhere", 0)
        monkeypatch.setattr(anyio, "getaddrinfo", resolved())
        with pytest.raises(OSError, match="somewhere has no address"):
            await connect_tcp("somewhere", 0)


async def test_the_next_address_is_tried_while_the_first_hesitates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "HESITATION", 0.01)
    connected = tcp._connected

    async def slow_at_first(family: int, address: tuple[str, int]) -> socket.socket:
        if address[1] == 1:
            await anyio.sleep_forever()
        return await connected(family, address)

    monkeypatch.setattr(tcp, "_connected", slow_at_first)
    [listener] = await listen_tcp("127.0.0.1", 0)
    monkeypatch.setattr(anyio, "getaddrinfo", resolved(("127.0.0.1", 1), ("127.0.0.1", listener.port)))
    with closing(listener), anyio.fail_after(5):
        async with await connect_tcp("somewhere", 0) as near, await listener.accept() as far:
            await near.send(b"hello")
            assert await far.receive() == b"hello"


def resolved(*addresses: tuple[str, int]) -> Callable[..., Awaitable[list[tuple[Any, ...]]]]:
    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

    return getaddrinfo


def test_families_take_turns() -> None:
    assert tcp._in_turns([(6, "a"), (6, "b"), (6, "c"), (4, "d")]) == [(6, "a"), (4, "d"), (6, "b"), (6, "c")]


async def test_over_ipv6_the_address_is_a_host_and_a_port() -> None:
    [listener] = await listen_tcp("::1", 0)
    with closing(listener):
        async with await connect_tcp("::1", listener.port) as near, await listener.accept() as far:
            assert far.extra(SocketAttribute.remote_address) == near._socket.getsockname()[:2]


async def test_two_senders_at_once_are_refused_before_they_mix() -> None:
    async with joined() as (near, far), anyio.create_task_group() as tasks:
        tasks.start_soon(near.send, LARGE)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await near.send(b"!")
        assert await received(far, len(LARGE)) == LARGE


async def test_a_listener_that_was_closed_accepts_nothing() -> None:
    [listener] = await listen_tcp("127.0.0.1", 0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(refuse_to_accept, listener)
        await anyio.wait_all_tasks_blocked()
        listener.close()
    await refuse_to_accept(listener)


async def refuse_to_accept(listener: TcpListener) -> None:
    with pytest.raises(anyio.ClosedResourceError):
        await listener.accept()


async def test_a_port_that_is_taken_is_refused() -> None:
    [listener] = await listen_tcp("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await listen_tcp("127.0.0.1", listener.port)
    listener.close()
