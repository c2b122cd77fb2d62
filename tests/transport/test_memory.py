"""The stream in memory keeps the promises of a WebSocket."""

import anyio
import pytest

from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError
from trunkline.transport import MessageStream, memory_pair

pytestmark = pytest.mark.anyio


async def test_messages_arrive_in_order_both_ways() -> None:
    here, there = memory_pair()
    streams: tuple[MessageStream, MessageStream] = (here, there)
    await streams[0].send("a")
    await here.send(b"b")
    await there.send("c")
    assert [await there.receive(), await there.receive(), await here.receive()] == ["a", b"b", "c"]


async def test_what_was_sent_arrives_before_the_close_code() -> None:
    here, there = memory_pair()
    await here.send("last")
    await here.aclose(4001, "enough")
    await here.aclose(4002, "too late")
    assert await there.receive() == "last"
    for act in (there.receive(), there.send("x"), here.receive(), here.send("x")):
        with pytest.raises(ConnectionLost) as caught:
            await act
        assert (caught.value.code, caught.value.reason) == (4001, "enough")


async def test_after_closing_nothing_is_received() -> None:
    here, there = memory_pair()
    await there.send("unread")
    await here.aclose()
    with pytest.raises(ConnectionLost):
        await here.receive()


async def test_a_full_stream_makes_the_sender_wait_until_one_is_read() -> None:
    here, there = memory_pair(max_buffered=1)
    await here.send("1")
    async with anyio.create_task_group() as group:
        group.start_soon(here.send, "2")
        await anyio.wait_all_tasks_blocked()
        assert await there.receive() == "1"
    assert await there.receive() == "2"


async def test_a_reader_that_stays_away_meets_the_deadline() -> None:
    clock = ManualClock()
    here, there = memory_pair(max_buffered=0, send_timeout=3.0, clock=clock)

    async def send() -> None:
        with pytest.raises(DeadlineExceeded):
            await here.send("1")

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        await clock.advance(3.0)
    with pytest.raises(ConnectionLost) as caught:
        await there.receive()
    assert caught.value.code == 1006


@pytest.mark.parametrize("closer", [0, 1])
async def test_closing_wakes_whoever_waits(closer: int) -> None:
    pair = memory_pair(max_buffered=0)

    async def lost(act: object) -> None:
        with pytest.raises(ConnectionLost):
            await act()  # type: ignore[operator]

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(lost, pair[0].receive)
            group.start_soon(lost, pair[1].receive)
            group.start_soon(lost, lambda: pair[0].send("x"))
            await anyio.wait_all_tasks_blocked()
            await pair[closer].aclose()


async def test_a_cancelled_receive_loses_nothing_and_frees_the_stream() -> None:
    here, there = memory_pair()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await there.receive()
    await here.send("kept")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await there.receive()
    assert await there.receive() == "kept"


async def test_two_receivers_at_once_are_refused() -> None:
    here, there = memory_pair()
    async with anyio.create_task_group() as group:
        group.start_soon(there.receive)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(LocalProtocolError):
            await there.receive()
        await here.send("x")
