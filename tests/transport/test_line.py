"""A socket on a poller: writing never waits, and whatever goes wrong ends this line alone."""

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest

from tests.transport.pollers import POLLERS
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, DeadlineExceeded
from trunkline.transport.line import Line
from trunkline.transport.poller import Poller
from trunkline.transport.tls import TlsCodec

pytestmark = pytest.mark.anyio


class Peer:
    """A line, the other end of its socket, and what the line's owner is told."""

    def __init__(self, poller: Poller, **options: object) -> None:
        own, self.socket = socket.socketpair()
        self.socket.setblocking(False)
        for end in (own, self.socket):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.heard = bytearray()
        self.lost = 0
        self.line = Line(own, poller, on_lost=self._lose, **options)  # type: ignore[arg-type]
        self.line.attach(self.heard.extend)

    def _lose(self) -> None:
        self.lost += 1

    async def until(self, true: Callable[[], bool]) -> None:
        with anyio.fail_after(5):
            while not true():
                await anyio.lowlevel.checkpoint()

    async def read(self, size: int) -> bytes:
        """So many bytes of what the line wrote."""
        data = bytearray()
        with anyio.fail_after(5):
            while len(data) < size:
                try:
                    data += self.socket.recv(size - len(data))
                except BlockingIOError:
                    await anyio.wait_readable(self.socket)
        return bytes(data)

    def close(self) -> None:
        self.line.close()
        self.socket.close()


@pytest.fixture(params=POLLERS)
async def poller(request: pytest.FixtureRequest) -> AsyncIterator[Poller]:
    async with POLLERS[request.param]() as poller:
        yield poller


@pytest.fixture
async def peer(poller: Poller) -> AsyncIterator[Peer]:
    peer = Peer(poller, max_unsent=100_000)
    yield peer
    peer.close()
    assert (poller.sources, poller.timers) == ([], 0)


async def test_bytes_go_both_ways(peer: Peer) -> None:
    peer.socket.send(b"there")
    await peer.until(lambda: peer.heard == b"there")
    peer.line.write(b"and back")
    assert await peer.read(8) == b"and back"


async def test_what_the_network_does_not_take_waits_and_arrives_in_order(peer: Peer) -> None:
    pieces = [bytes([number]) * 3000 for number in range(30)]
    for piece in pieces:
        peer.line.write(piece)
    assert peer.line.unsent > 0
    assert await peer.read(90_000) == b"".join(pieces)
    await peer.until(lambda: not peer.line.unsent)
    assert not peer.line.wants_write


async def test_one_who_does_not_read_loses_the_line_above_the_bound(peer: Peer) -> None:
    for _ in range(200):
        peer.line.write(bytes(10_000))
    assert peer.lost == 1
    assert isinstance(peer.line.error, ConnectionLost)
    assert "does not read" in str(peer.line.error)
    assert peer.line.unsent < 120_000


async def test_a_writer_who_waits_for_room_may_exceed_the_bound_once(peer: Peer) -> None:
    peer.line.write(bytes(500_000), is_bounded=False)
    peer.line.write(b"more")
    assert not peer.line.is_lost
    assert len(await peer.read(500_004)) == 500_004


async def test_one_who_takes_nothing_for_too_long_loses_the_line() -> None:
    clock = ManualClock()
    async with POLLERS["selector"](clock=clock) as poller:
        peer = Peer(poller, clock=clock, send_timeout=3.0)
        peer.line.write(bytes(200_000))
        await clock.advance(2)
        await peer.read(50_000)
        await clock.advance(2)
        assert not peer.line.is_lost  # some of it moved meanwhile
        await clock.advance(3)
        assert isinstance(peer.line.error, DeadlineExceeded)
        peer.close()
        assert poller.timers == 0


async def test_the_other_sides_end_is_told_once_behind_all_it_said(peer: Peer) -> None:
    peer.socket.send(b"last words")
    peer.socket.close()
    await peer.until(lambda: peer.line.is_lost)
    assert (bytes(peer.heard), peer.lost, peer.line.error) == (b"last words", 1, None)
    peer.line.write(b"to nobody")
    assert peer.lost == 1


async def test_a_reset_is_an_error(poller: Poller) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    far = socket.create_connection(listening.getsockname())
    own, _ = listening.accept()
    lost: list[bool] = []
    line = Line(own, poller, on_lost=lambda: lost.append(True))
    line.attach(lambda _: None)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    far.close()
    with anyio.fail_after(5):
        while not lost:
            await anyio.lowlevel.checkpoint()
    assert isinstance(line.error, ConnectionLost)
    line.close()
    listening.close()


async def test_what_a_sink_raises_ends_its_line_and_no_other(poller: Poller) -> None:
    def raise_on_purpose(data: bytes) -> None:
        raise ValueError("broken on purpose")

    bad, good = Peer(poller), Peer(poller)
    bad.line.attach(raise_on_purpose)
    for peer in (bad, good):
        peer.socket.send(b"x")
    await good.until(lambda: good.heard == b"x")
    await bad.until(lambda: bad.line.is_lost)
    assert isinstance(bad.line.error, ValueError)
    good.socket.send(b"y")
    await good.until(lambda: good.heard == b"xy")
    for peer in (bad, good):
        peer.close()


async def test_what_a_timer_raises_ends_its_line(peer: Peer) -> None:
    def raise_on_purpose() -> None:
        raise IndexError

    peer.line.at(0.0, raise_on_purpose)
    await peer.until(lambda: peer.line.is_lost)
    assert isinstance(peer.line.error, IndexError)


async def test_reading_rests_until_all_who_paused_have_resumed(peer: Peer) -> None:
    peer.line.pause("a")
    peer.line.pause("b")
    peer.socket.send(b"x")
    peer.line.resume("a")
    await anyio.wait_all_tasks_blocked()
    assert not peer.heard
    peer.line.resume("b")
    await peer.until(lambda: peer.heard == b"x")


async def test_a_closed_line_calls_nobody_back(poller: Poller, open_files: Callable[[], int]) -> None:
    before = open_files()
    called: list[str] = []
    peer = Peer(poller)
    peer.line.attach(lambda _: called.append("sink"))
    for _ in range(40):
        peer.line.at(0.0, lambda: called.append("timer"))
    peer.line.write(bytes(200_000))
    peer.socket.send(b"x")
    peer.line.close()
    peer.line.at(0.0, lambda: called.append("late timer"))
    peer.line.close()
    assert (poller.sources, poller.timers) == ([], 0)
    await anyio.wait_all_tasks_blocked()
    peer.socket.close()
    assert (called, peer.lost, open_files()) == ([], 0, before)


async def test_last_words_are_sent_before_closing(poller: Poller) -> None:
    peer = Peer(poller)
    peer.line.fail(ValueError("on this side"))
    peer.line.close(b"goodbye")
    assert await peer.read(7) == b"goodbye"
    assert peer.socket.recv(1) == b""
    peer.socket.close()


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def secured(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> tuple[TlsCodec, TlsCodec]:
    """A client and a server that have shaken hands."""
    client, server = TlsCodec(client_tls, hostname="localhost"), TlsCodec(server_tls, server_side=True)
    to_client = b""
    done = {client: False, server: False}
    while not all(done.values()):
        done[client] = client.shake_hands(to_client)
        done[server] = server.shake_hands(client.take())
        to_client = server.take()
    assert client.open(to_client) == b""  # tickets
    return client, server


async def test_tls_is_spoken_both_ways(poller: Poller, secured: tuple[TlsCodec, TlsCodec]) -> None:
    client, server = secured
    peer = Peer(poller, tls=client)
    message = bytes(range(256)) * 400
    sealed = server.seal(message)
    for start in range(0, len(sealed), 7000):
        await anyio.wait_writable(peer.socket)
        peer.socket.send(sealed[start : start + 7000])
        await anyio.wait_all_tasks_blocked()
    await peer.until(lambda: len(peer.heard) == len(message))
    assert peer.heard == message

    peer.line.write(message)
    received = b""
    while len(received) < len(message):
        await anyio.wait_readable(peer.socket)
        received += server.open(peer.socket.recv(65_536))
    assert received == message
    peer.close()


async def test_the_goodbye_of_tls_is_an_end(poller: Poller, secured: tuple[TlsCodec, TlsCodec]) -> None:
    client, server = secured
    peer = Peer(poller, tls=client)
    last = server.seal(b"last words")
    with suppress(ssl.SSLWantReadError):
        server._object.unwrap()
    peer.socket.send(last + server.take())
    await peer.until(lambda: peer.line.is_lost)
    assert (bytes(peer.heard), peer.lost, peer.line.error) == (b"last words", 1, None)
    peer.close()


async def test_what_was_changed_on_the_way_loses_the_line(poller: Poller, secured: tuple[TlsCodec, TlsCodec]) -> None:
    client, server = secured
    peer = Peer(poller, tls=client)
    sealed = bytearray(server.seal(b"secret"))
    sealed[-1] ^= 1
    peer.socket.send(sealed)
    await peer.until(lambda: peer.line.is_lost)
    assert isinstance(peer.line.error, ConnectionLost)
    assert not peer.heard
    peer.close()
