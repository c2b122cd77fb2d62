"""A connection that a poller serves: the same as before, and a sink that takes what comes."""

import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketStream
from websockets.frames import Close, Frame, Opcode

from tests.transport.pollers import POLLERS
from trunkline.errors import ConnectionLost, LocalProtocolError, MessageTooLarge, RemoteProtocolError
from trunkline.transport import Request, Route, Server, Upgrade, WebSocketConnection, connect_websocket
from trunkline.transport.poller import Poller
from trunkline.transport.websocket.state import Message

pytestmark = pytest.mark.anyio
RudeWebSocket = Callable[[Callable[[SocketStream], Awaitable[None]]], AbstractAsyncContextManager[str]]


@pytest.fixture(params=POLLERS)
async def poller(request: pytest.FixtureRequest) -> AsyncIterator[Poller]:
    async with POLLERS[request.param]() as poller:
        yield poller
        assert (poller.sources, poller.timers) == ([], 0)


@asynccontextmanager
async def on_a_line(url: str, poller: Poller, **options: object) -> AsyncIterator[WebSocketConnection]:
    async with connect_websocket(url, **options) as connection:  # type: ignore[arg-type]
        await connection.move_to(poller)
        yield connection


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


class Sink:
    """Takes text that begins with "a" by itself, as a link takes audio, handles "h", and leaves the rest."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self.taken: list[str | bytes] = []
        self._codec = connection.codec
        self._rest: list[Message] = []

    def feed(self, data: bytes) -> Message | None:
        self._rest += self._codec.feed(data)
        return self.resume()

    def resume(self) -> Message | None:
        while self._rest:
            message = self._rest.pop(0)
            if not (isinstance(message, str) and message.startswith("a")):
                return message
            self.taken.append(message)
        return None

    def handle(self, message: str | bytes) -> bool:
        if isinstance(message, str) and message.startswith(("a", "h")):
            self.taken.append(message)
            return True
        return False


# ── as before ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "message", ["", "hé…🎧", b"\x00\xff", "x" * 70_000, b"y" * 2_000_000], ids=lambda message: str(len(message))
)
async def test_a_message_comes_back_as_it_was_sent(echo_server: Server, poller: Poller, message: str | bytes) -> None:
    async with on_a_line(f"{echo_server.url}/echo", poller) as connection:
        for _ in range(3):
            await connection.send(message)
        for _ in range(3):
            assert await connection.receive() == message


async def test_the_server_can_be_on_a_line_over_tls(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, poller: Poller
) -> None:
    async def echo(connection: WebSocketConnection) -> None:
        await connection.move_to(poller)
        while True:
            await connection.send(await connection.receive())

    async def upgrade(_: Request) -> Upgrade:
        return Upgrade(echo)

    async with Server([Route("GET", "/", upgrade)], tls=server_tls) as server:
        async with on_a_line(server.url, poller, tls=client_tls) as connection:
            for message in ("x" * 50_000, b"y"):
                await connection.send(message)
                assert await connection.receive() == message
            await connection.aclose(4000, "enough")
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert (caught.value.code, caught.value.reason) == (4000, "enough")


async def test_a_receive_that_waits_goes_on_over_the_line(echo_server: Server, poller: Poller) -> None:
    async with connect_websocket(f"{echo_server.url}/echo") as connection, anyio.create_task_group() as tasks:
        heard: list[str | bytes] = []

        async def listen() -> None:
            heard.append(await connection.receive())

        tasks.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        await connection.move_to(poller)
        await connection.send("here")
        with anyio.fail_after(5):
            while not heard:
                await anyio.lowlevel.checkpoint()
        assert heard == ["here"]


@pytest.mark.parametrize(
    ("said", "error", "code"),
    [
        (b"\xff\xff\xff\xff", RemoteProtocolError, 1002),
        (frame(Opcode.TEXT, b"\xff\xfe"), RemoteProtocolError, 1007),
        (frame(Opcode.BINARY, b"z" * 1001), MessageTooLarge, 1009),
    ],
    ids=["reserved bits", "text that is no UTF-8", "too large"],
)
@pytest.mark.parametrize("has_sink", [False, True])
async def test_whatever_breaks_the_protocol_is_a_typed_error_once(
    rude_websocket: RudeWebSocket,
    poller: Poller,
    said: bytes,
    error: type[Exception],
    code: int,
    has_sink: bool,
) -> None:
    heard = bytearray()

    async def speak(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(frame(Opcode.TEXT, b"good") + said)
        async for data in stream:
            heard.extend(data)

    async with (
        rude_websocket(speak) as url,
        on_a_line(url, poller, max_size=1000, close_timeout=0.05) as connection,
    ):
        if has_sink:
            connection.attach(Sink(connection))
        await connection.send("begin")
        assert await connection.receive() == "good"
        with pytest.raises(error):
            await connection.receive()
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert caught.value.code == code
        with pytest.raises(ConnectionLost):
            await connection.send("late")
    assert heard[0] == 0x80 | Opcode.CLOSE
    assert bytes(a ^ b for a, b in zip(heard[6:8], heard[2:6], strict=False)) == code.to_bytes(2)


async def test_pings_are_answered_although_nobody_receives(rude_websocket: RudeWebSocket, poller: Poller) -> None:
    answered = anyio.Event()

    async def ask(stream: SocketStream) -> None:
        await stream.send(frame(Opcode.PING, b"there?"))
        heard = b""
        while len(heard) < 12:
            heard += await stream.receive()
        assert heard[0] == 0x80 | Opcode.PONG
        answered.set()
        await stream.send(frame(Opcode.CLOSE, Close(1000, "").serialize()))

    async with rude_websocket(ask) as url, on_a_line(url, poller):
        with anyio.fail_after(5):
            await answered.wait()


async def test_a_half_open_peer_is_found_by_a_ping(rude_websocket: RudeWebSocket, poller: Poller) -> None:
    async def never(stream: SocketStream) -> None:
        await anyio.sleep(math.inf)

    async with (
        rude_websocket(never) as url,
        on_a_line(url, poller, ping_interval=0.05, ping_timeout=0.05) as connection,
    ):
        with anyio.fail_after(5), pytest.raises(ConnectionLost, match="no answer to ping"):
            await connection.receive()


async def test_a_peer_that_dies_without_a_close_frame_is_1006(rude_websocket: RudeWebSocket, poller: Poller) -> None:
    async def die(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(b"\x81\x05hal")

    async with rude_websocket(die) as url, on_a_line(url, poller) as connection:
        await connection.send("begin")
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert caught.value.code == 1006


async def test_a_peer_that_does_not_read_makes_senders_wait(rude_websocket: RudeWebSocket, poller: Poller) -> None:
    async def never(stream: SocketStream) -> None:
        await anyio.sleep(math.inf)

    async def flood(connection: WebSocketConnection) -> None:
        while True:
            await connection.send("x" * 2**20)

    async with (
        rude_websocket(never) as url,
        on_a_line(url, poller, send_timeout=0.3, close_timeout=0.05) as connection,
    ):
        with anyio.fail_after(5), pytest.raises((ConnectionLost, TimeoutError, Exception)) as caught:
            await flood(connection)
        assert type(caught.value).__name__ in {"DeadlineExceeded", "ConnectionLost"}
        assert connection.line is not None
        assert connection.line.unsent < 2**21


async def test_a_receiver_that_rests_pauses_the_line(rude_websocket: RudeWebSocket, poller: Poller) -> None:
    async def speak(stream: SocketStream) -> None:
        await stream.receive()
        for number in range(200):
            await stream.send(frame(Opcode.TEXT, b"x" * 1000) * 20 + frame(Opcode.TEXT, str(number).encode()))
        await stream.receive()

    async with rude_websocket(speak) as url, on_a_line(url, poller) as connection:
        await connection.send("begin")
        with anyio.fail_after(5):
            while not (connection.line and connection.line.is_paused):
                await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        received = [await connection.receive() for _ in range(200 * 21)]
        assert received[20::21] == [str(number) for number in range(200)]


# ── a sink ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_sink_takes_over_in_the_middle_of_a_message_and_in_order(
    rude_websocket: RudeWebSocket, poller: Poller
) -> None:
    go_on = anyio.Event()

    async def speak(stream: SocketStream) -> None:
        text = [frame(Opcode.TEXT, said) for said in (b"first", b"a1", b"h2", b"left", b"a3", b"a4", b"left too")]
        await stream.send(b"".join(text[:4]) + text[4][:3])
        await go_on.wait()
        await stream.send(text[4][3:] + frame(Opcode.PING) + b"".join(text[5:]))
        await stream.receive()

    async with rude_websocket(speak) as url, on_a_line(url, poller) as connection:
        assert await connection.receive() == "first"
        sink = Sink(connection)
        connection.attach(sink)
        go_on.set()
        assert [await connection.receive(), await connection.receive()] == ["left", "left too"]
        assert sink.taken == ["a1", "h2", "a3", "a4"]
        with pytest.raises(LocalProtocolError):
            connection.attach(sink)


async def test_a_sink_that_lets_go_leaves_what_follows_to_receive(echo_server: Server, poller: Poller) -> None:
    class OneOnly(Sink):
        def handle(self, message: str | bytes) -> bool:
            connection.detach()
            return super().handle(message)

    async with on_a_line(f"{echo_server.url}/echo", poller) as connection:
        sink = OneOnly(connection)
        connection.attach(sink)
        await connection.send("a")
        await connection.send("h")
        with anyio.fail_after(5):
            while sink.taken != ["a", "h"]:
                await anyio.lowlevel.checkpoint()
        await connection.send("a again")
        assert await connection.receive() == "a again"


async def test_what_a_sink_raises_comes_back_from_receive(echo_server: Server, poller: Poller) -> None:
    class Broken(Sink):
        def handle(self, message: str | bytes) -> bool:
            raise ValueError("broken on purpose")

    async with (
        on_a_line(f"{echo_server.url}/echo", poller) as bad,
        on_a_line(f"{echo_server.url}/echo", poller) as good,
    ):
        bad.attach(Broken(bad))
        await bad.send("h")
        with pytest.raises(ValueError, match="on purpose"):
            await bad.receive()
        with pytest.raises(ConnectionLost):
            await bad.receive()
        await good.send("still here")
        assert await good.receive() == "still here"


async def test_media_cost_the_receiver_no_turn(echo_server: Server, poller: Poller) -> None:
    async with on_a_line(f"{echo_server.url}/echo", poller) as connection, anyio.create_task_group() as tasks:
        sink = Sink(connection)
        connection.attach(sink)
        woken = 0
        receive = connection._read

        async def count() -> None:
            nonlocal woken
            woken += 1
            await receive()

        connection._read = count  # type: ignore[method-assign]
        tasks.start_soon(connection.receive)
        await anyio.wait_all_tasks_blocked()
        for _ in range(20):
            await connection.send("a")
        with anyio.fail_after(5):
            while len(sink.taken) < 20:
                await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert woken == 1
        tasks.cancel_scope.cancel()


# ── lifetime ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_moving_needs_a_poller_that_runs_and_happens_once(echo_server: Server, poller: Poller) -> None:
    stopped = POLLERS["selector"]()
    async with connect_websocket(f"{echo_server.url}/echo") as connection:
        with pytest.raises(LocalProtocolError):
            await connection.move_to(stopped)
        with pytest.raises(LocalProtocolError):
            connection.attach(Sink(connection))
        await connection.send("still here")
        assert await connection.receive() == "still here"
        assert connection.can_move
        await connection.move_to(poller)
        with pytest.raises(LocalProtocolError):
            await connection.move_to(poller)


async def test_a_poller_that_stops_ends_its_connections(echo_server: Server) -> None:
    async with POLLERS["selector"]() as poller, on_a_line(f"{echo_server.url}/echo", poller) as connection:
        await poller.aclose()
        with pytest.raises(ConnectionLost, match="poller has stopped"):
            await connection.receive()


@pytest.mark.parametrize("steps", range(0, 60, 3))
async def test_cancelled_at_any_moment_it_leaves_nothing(
    echo_server: Server, open_files: Callable[[], int], poller: Poller, steps: int
) -> None:
    called: list[str] = []
    connections: list[WebSocketConnection] = []

    async def call() -> None:
        async with on_a_line(f"{echo_server.url}/echo", poller, close_timeout=0.2) as connection:
            connections.append(connection)
            sink = Sink(connection)
            connection.attach(sink)
            assert connection.line is not None
            connection.line.at(math.inf, lambda: called.append("timer"))
            for number in range(1000):
                await connection.send(f"a{number}")
                await anyio.lowlevel.checkpoint()
            await connection.receive()

    before = open_files()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        while echo_server.connections:
            await anyio.lowlevel.checkpoint()
    assert (poller.sources, poller.timers, called) == ([], 0, [])
    assert open_files() == before
