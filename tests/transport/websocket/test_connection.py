"""An open WebSocket, whatever the other side does."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import ByteStream, SocketStream
from websockets.frames import Close, Frame, Opcode

from trunkline._native._rust import WebSocketCodec
from trunkline.clock import ManualClock
from trunkline.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    MessageTooLarge,
    RemoteProtocolError,
)
from trunkline.transport import Request, Route, Server, Upgrade, WebSocketConnection, connect_websocket

pytestmark = pytest.mark.anyio
RudeWebSocket = Callable[[Callable[[SocketStream], Awaitable[None]]], AbstractAsyncContextManager[str]]


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(Opcode.CLOSE, Close(code, reason).serialize())


async def never(stream: SocketStream) -> None:
    await anyio.sleep(math.inf)


async def flood(connection: WebSocketConnection) -> None:
    while True:
        await connection.send("x" * 2**20)


@asynccontextmanager
async def talking_to(rude: RudeWebSocket, *says: bytes, stay: bool = True) -> AsyncIterator[WebSocketConnection]:
    """A connection to a peer that says this and then listens, or hangs up."""

    async def speak(stream: SocketStream) -> None:
        for said in says:
            await stream.send(said)
        while stay:
            try:
                await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async with rude(speak) as url, connect_websocket(url, max_size=1000, close_timeout=0.05) as connection:
        yield connection


@pytest.mark.parametrize(
    "message",
    ["", "hé…🎧", b"", b"\x00\xff", "x" * 70_000, b"y" * 2_000_000],
    ids=lambda message: f"{type(message).__name__}{len(message)}",
)
async def test_a_message_comes_back_as_it_was_sent(echo_server: Server, message: str | bytes) -> None:
    async with connect_websocket(f"{echo_server.url}/echo") as connection:
        await connection.send(message)
        assert await connection.receive() == message


async def test_fragments_are_joined_around_control_frames(rude_websocket: RudeWebSocket) -> None:
    pieces = [
        frame(Opcode.TEXT, b"h", fin=False),
        frame(Opcode.PING, b"?"),
        frame(Opcode.CONT, "é".encode()[:1], fin=False),
        frame(Opcode.CONT, "é".encode()[1:]),
        frame(Opcode.BINARY, b"", fin=False) + frame(Opcode.CONT, b"\xff"),
    ]
    async with talking_to(rude_websocket, *pieces) as connection:
        assert await connection.receive() == "hé"
        assert await connection.receive() == b"\xff"


async def test_messages_before_the_close_frame_still_arrive(rude_websocket: RudeWebSocket) -> None:
    async with talking_to(
        rude_websocket, frame(Opcode.TEXT, b"1") + frame(Opcode.TEXT, b"2") + close_frame(4001, "enough")
    ) as connection:
        assert [await connection.receive(), await connection.receive()] == ["1", "2"]
        for _ in range(2):
            with pytest.raises(ConnectionLost) as caught:
                await connection.receive()
            assert (caught.value.code, caught.value.reason) == (4001, "enough")
        with pytest.raises(ConnectionLost) as caught:
            await connection.send("late")
        assert caught.value.code == 4001


async def test_pings_are_answered_while_receiving(rude_websocket: RudeWebSocket) -> None:
    heard = bytearray()

    async def ask(stream: SocketStream) -> None:
        await stream.send(frame(Opcode.PING, b"there?"))
        while len(heard) < 12:
            heard.extend(await stream.receive())
        await stream.send(close_frame(1000))

    async with rude_websocket(ask) as url, connect_websocket(url) as connection:
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
    assert caught.value.clean
    assert heard[0] == 0x80 | Opcode.PONG
    assert bytes(a ^ b for a, b in zip(heard[6:12], heard[2:6] * 2, strict=False)) == b"there?"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"\xff\xff\xff\xff", RemoteProtocolError),
        (frame(Opcode.TEXT, b"\xff\xfe"), RemoteProtocolError),
        (frame(Opcode.CONT, b"of nothing"), RemoteProtocolError),
        (frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.TEXT, b"b"), RemoteProtocolError),
        (Frame(Opcode.TEXT, b"masked").serialize(mask=True), RemoteProtocolError),
        (frame(Opcode.CLOSE, b"\x00"), RemoteProtocolError),
        (frame(Opcode.CLOSE, b"\x03\xe8\xff"), RemoteProtocolError),
        (frame(Opcode.BINARY, b"z" * 1001), MessageTooLarge),
        (frame(Opcode.BINARY, b"z" * 600, fin=False) + frame(Opcode.CONT, b"z" * 401), MessageTooLarge),
        (b"\x82\x7f" + b"\x7f" * 8, MessageTooLarge),
    ],
    ids=[
        "reserved bits",
        "text that is no UTF-8",
        "continuation of nothing",
        "text inside a text",
        "masked",
        "close code of one byte",
        "close reason that is no UTF-8",
        "one frame too large",
        "two frames too large",
        "length too large",
    ],
)
async def test_whatever_breaks_the_protocol_is_a_typed_error_once(
    rude_websocket: RudeWebSocket, said: bytes, error: type[Exception]
) -> None:
    async with talking_to(rude_websocket, frame(Opcode.TEXT, b"good") + said) as connection:
        assert await connection.receive() == "good"
        with pytest.raises(error) as first:
            await connection.receive()
        assert getattr(first.value, "limit", 1000) == 1000
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert caught.value.code in {1002, 1007, 1009}
        with pytest.raises(ConnectionLost):
            await connection.send("late")


async def test_the_limit_is_told_and_the_other_side_hears_1009(echo_server: Server) -> None:
    async with connect_websocket(f"{echo_server.url}/echo") as connection:
        await connection.send(b"z" * (2**21 + 1))
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
    assert caught.value.code == 1009


async def test_a_peer_that_dies_without_a_close_frame_is_1006(rude_websocket: RudeWebSocket) -> None:
    async with talking_to(rude_websocket, b"\x81\x05hal", stay=False) as connection:
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
        assert caught.value.code == 1006
        assert not caught.value.clean


async def test_many_messages_at_once_leave_others_their_turns(rude_websocket: RudeWebSocket) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with (
        talking_to(rude_websocket, frame(Opcode.TEXT, b"x") * 1000) as connection,
        anyio.create_task_group() as group,
    ):
        assert await connection.receive() == "x"
        group.start_soon(count)
        for _ in range(999):
            await connection.receive()
        assert turns >= 10
        group.cancel_scope.cancel()


class Stuck(ByteStream):
    """A stream that takes nothing and sets no time."""

    async def send(self, item: bytes) -> None:
        await anyio.sleep_forever()

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        raise AssertionError(max_bytes)

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...


async def test_waiting_for_ones_turn_to_send_has_a_deadline() -> None:
    clock, codec = ManualClock(), WebSocketCodec(is_client=True, max_size=1)
    connection = WebSocketConnection(Stuck(), codec, send_timeout=3, close_timeout=0, clock=clock)
    late: list[DeadlineExceeded] = []

    async def wait_in_vain() -> None:
        with pytest.raises(DeadlineExceeded) as caught:
            await connection.send("second")
        late.append(caught.value)

    async with anyio.create_task_group() as group:
        group.start_soon(connection.send, "first")
        await clock.advance(1)
        group.start_soon(wait_in_vain)
        await clock.advance(2.9)
        assert not late
        await clock.advance(0.2)
        assert [error.seconds for error in late] == [3]
        group.cancel_scope.cancel()


async def test_concurrent_senders_do_not_mix_their_frames(echo_server: Server) -> None:
    messages = {f"{n}" * 40_000 for n in range(8)}
    async with connect_websocket(f"{echo_server.url}/echo") as connection, anyio.create_task_group() as group:
        for message in messages:
            group.start_soon(connection.send, message)
        assert {await connection.receive() for _ in messages} == messages


async def test_a_consumer_that_does_not_read_meets_the_deadline(rude_websocket: RudeWebSocket) -> None:
    async with rude_websocket(never) as url, connect_websocket(url, send_timeout=0.2, close_timeout=0.1) as connection:
        with anyio.fail_after(10):
            with pytest.raises(DeadlineExceeded):
                await flood(connection)
            with pytest.raises(ConnectionLost):
                await connection.send("more")
            with pytest.raises(ConnectionLost):
                await connection.receive()


async def test_a_send_cancelled_half_way_breaks_the_connection(rude_websocket: RudeWebSocket) -> None:
    async with rude_websocket(never) as url, connect_websocket(url, close_timeout=0.1) as connection:
        with anyio.move_on_after(0.1) as scope:
            await flood(connection)
        assert scope.cancelled_caught
        with pytest.raises(ConnectionLost, match="half-way"):
            await connection.send("more")
        with pytest.raises(ConnectionLost, match="half-way"):
            await connection.receive()


async def test_a_cancelled_task_still_sends_what_need_not_wait(echo_server: Server) -> None:
    async with connect_websocket(f"{echo_server.url}/echo") as connection:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await connection.send("last words")
        assert await connection.receive() == "last words"


async def test_a_send_cancelled_before_its_turn_breaks_nothing(rude_websocket: RudeWebSocket) -> None:
    heard = bytearray()
    long, short, close = 14 + 2**23, 6 + len("yes"), 6 + 2  # bytes of frames, with their heads and masks

    async def listen_late(stream: SocketStream) -> None:
        await first_is_stuck.wait()
        while len(heard) < long + short + close:
            heard.extend(await stream.receive())

    first_is_stuck = anyio.Event()
    async with rude_websocket(listen_late) as url, connect_websocket(url, close_timeout=0.1) as connection:
        async with anyio.create_task_group() as group:
            group.start_soon(connection.send, b"x" * 2**23)
            await anyio.wait_all_tasks_blocked()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await connection.send("never")
            first_is_stuck.set()
        await connection.send("yes")
    assert len(heard) == long + short + close


@pytest.mark.parametrize("steps", range(6))
async def test_a_send_cancelled_at_any_moment_is_whole_or_not_at_all(echo_server: Server, steps: int) -> None:
    async with connect_websocket(f"{echo_server.url}/echo") as connection:
        async with anyio.create_task_group() as group:
            group.start_soon(connection.send, "perhaps")
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        await connection.send("surely")
        received = await connection.receive()
        if received == "perhaps":
            received = await connection.receive()
        assert received == "surely"


async def test_a_cancelled_receive_loses_nothing(echo_server: Server) -> None:
    async with connect_websocket(f"{echo_server.url}/echo") as connection:
        for n in range(20):
            await connection.send(f"{n}")
        got: list[str | bytes] = []
        while len(got) < 20:
            with anyio.move_on_after(0.0005):
                got.append(await connection.receive())
        assert got == [f"{n}" for n in range(20)]


async def test_two_receivers_at_once_are_refused(echo_server: Server) -> None:
    async with connect_websocket(f"{echo_server.url}/echo") as connection, anyio.create_task_group() as group:
        group.start_soon(anyio.lowlevel.checkpoint)

        async def wait_for_one() -> None:
            assert await connection.receive() == "one"

        group.start_soon(wait_for_one)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(LocalProtocolError):
            await connection.receive()
        await connection.send("one")


async def test_closing_ends_a_receive_in_another_task(echo_server: Server) -> None:
    caught: list[ConnectionLost] = []

    async def receive() -> None:
        with pytest.raises(ConnectionLost) as lost:
            await connection.receive()
        caught.append(lost.value)

    async with connect_websocket(f"{echo_server.url}/echo") as connection, anyio.create_task_group() as group:
        group.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            group.start_soon(connection.aclose, 4000, "done")
    assert [(lost.code, lost.reason) for lost in caught] == [(4000, "done")]
    await connection.aclose()
    with pytest.raises(ConnectionLost):
        await connection.send("late")


@pytest.mark.parametrize("receiving", [True, False])
async def test_closing_is_bounded_when_nobody_answers(rude_websocket: RudeWebSocket, receiving: bool) -> None:
    async def receive() -> None:
        with pytest.raises(ConnectionLost):
            await connection.receive()

    async with rude_websocket(never) as url, connect_websocket(url, close_timeout=0.2) as connection:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                if receiving:
                    group.start_soon(receive)
                    await anyio.wait_all_tasks_blocked()
                await connection.aclose()
        with pytest.raises(ConnectionLost):
            await connection.receive()


async def test_closing_is_bounded_while_a_send_hangs(rude_websocket: RudeWebSocket) -> None:
    async def send_more_than_any_buffer_holds() -> None:
        with pytest.raises(ConnectionLost):
            await connection.send(bytes(2**26))

    async with rude_websocket(never) as url, connect_websocket(url, close_timeout=0.2) as connection:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(send_more_than_any_buffer_holds)
                await anyio.wait_all_tasks_blocked()
                await connection.aclose()


async def test_a_cancelled_block_still_says_goodbye(rude_websocket: RudeWebSocket) -> None:
    heard = bytearray()

    async def listen(stream: SocketStream) -> None:
        async for data in stream:
            heard.extend(data)

    async with rude_websocket(listen) as url:
        with anyio.CancelScope() as scope:
            async with connect_websocket(url, close_timeout=0.1):
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
    assert heard[0] == 0x80 | Opcode.CLOSE


async def test_after_closing_nothing_is_received(rude_websocket: RudeWebSocket) -> None:
    async with talking_to(rude_websocket, frame(Opcode.TEXT, b"1") + frame(Opcode.TEXT, b"2")) as connection:
        assert await connection.receive() == "1"
        await connection.aclose()
        with pytest.raises(ConnectionLost):
            await connection.receive()


async def test_a_cancelled_close_still_gives_the_socket_back(
    rude_websocket: RudeWebSocket, open_files: Callable[[], int]
) -> None:
    async with rude_websocket(never) as url:
        before = open_files()
        with anyio.fail_after(5), anyio.CancelScope() as scope:
            async with connect_websocket(url, close_timeout=0.2):
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert open_files() <= before + 1  # the peer's own end


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000])
async def test_a_code_that_no_frame_may_carry_is_refused(echo_server: Server, code: int) -> None:
    async with connect_websocket(f"{echo_server.url}/echo") as connection:
        with pytest.raises(LocalProtocolError):
            await connection.aclose(code)
        await connection.send("still open")


async def test_a_long_reason_is_cut_between_characters(rude_websocket: RudeWebSocket) -> None:
    heard = bytearray()

    async def listen(stream: SocketStream) -> None:
        while len(heard) < 8:
            heard.extend(await stream.receive())
        await stream.send(close_frame(1000))

    async with rude_websocket(listen) as url, connect_websocket(url) as connection:
        await connection.aclose(4000, "…" * 100)
    assert heard[1] & 0x7F == 2 + 41 * 3


async def test_an_aborted_connection_ends_without_a_close_frame() -> None:
    ended: list[int] = []
    gone = anyio.Event()

    async def wait_for_end(connection: WebSocketConnection) -> None:
        with pytest.raises(ConnectionLost) as lost:
            await connection.receive()
        ended.append(lost.value.code)
        gone.set()

    async def upgrade(_: Request) -> Upgrade:
        return Upgrade(wait_for_end)

    async with Server([Route("GET", "/", upgrade)]) as server, connect_websocket(server.url) as client:
        await client.abort()
        with pytest.raises(ConnectionLost) as lost:
            await client.receive()
        with anyio.fail_after(5):
            await gone.wait()
    assert (lost.value.code, ended) == (1006, [1006])
