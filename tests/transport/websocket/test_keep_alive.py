"""Who says nothing is asked, and given up if no answer comes."""

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketStream

from trunkline.clock import ManualClock, ScaledClock
from trunkline.errors import ConnectionLost, InvalidConfig
from trunkline.transport import Server, Upgrade, WebSocketConnection, connect_websocket

pytestmark = pytest.mark.anyio
RudeWebSocket = Callable[[Callable[[SocketStream], Awaitable[None]]], AbstractAsyncContextManager[str]]


async def never(stream: SocketStream) -> None:
    await anyio.sleep(math.inf)


async def receive_in_short_waits(connection: WebSocketConnection, clock: ScaledClock) -> None:
    while True:
        with clock.move_on_after(15):
            await connection.receive()


async def test_silence_is_asked_and_then_ends_the_connection(rude_websocket: RudeWebSocket) -> None:
    clock = ScaledClock(200)
    async with (
        rude_websocket(never) as url,
        connect_websocket(url, clock=clock, connect_timeout=1000, send_timeout=1000, close_timeout=10) as connection,
    ):
        began = clock.now()
        with pytest.raises(ConnectionLost) as caught:
            await connection.receive()
    assert (caught.value.code, caught.value.reason) == (1006, "no answer to ping")
    assert clock.now() - began >= 40


async def test_silence_adds_up_over_short_waits(rude_websocket: RudeWebSocket) -> None:
    clock = ScaledClock(200)
    async with (
        rude_websocket(never) as url,
        connect_websocket(url, clock=clock, connect_timeout=1000, send_timeout=1000, close_timeout=10) as connection,
    ):
        with anyio.fail_after(5), pytest.raises(ConnectionLost, match="no answer to ping"):
            await receive_in_short_waits(connection, clock)


async def test_a_peer_that_answers_pings_is_kept_however_short_the_waits(echo_server: Server) -> None:
    clock = ScaledClock(100)
    async with connect_websocket(
        f"{echo_server.url}/echo", clock=clock, connect_timeout=1000, send_timeout=1000, close_timeout=1000
    ) as connection:
        end = clock.now() + 90
        while clock.now() < end:
            with clock.move_on_after(15):
                await connection.receive()
        await connection.send("still here")
        assert await connection.receive() == "still here"


class Stalling(ManualClock):
    """A clock whose program can stall: time passes and nobody runs meanwhile."""

    def stall(self, seconds: float) -> None:
        self._now += seconds
        self._alarms = sorted((max(moment, self._now), order, ring) for moment, order, ring in self._alarms)


async def test_a_stall_of_the_program_kills_nobody(echo_server: Server) -> None:
    """Silence that nobody could hear, as the program was busy, is followed by a ping and all the time to answer it."""
    clock = Stalling()
    async with (
        connect_websocket(f"{echo_server.url}/echo", clock=clock, ping_interval=10, ping_timeout=10) as connection,
        anyio.create_task_group() as group,
    ):
        heard: list[str | bytes] = []

        async def listen() -> None:
            heard.append(await connection.receive())

        group.start_soon(listen)
        await clock.advance(0)
        clock.stall(40)
        await clock.advance(9)
        await connection.send("still here")
        with anyio.fail_after(5):
            while not heard:
                await anyio.lowlevel.checkpoint()
        assert heard == ["still here"]


class Oversleeping(ManualClock):
    """Wakes everybody 20 s late, as a program does that was stopped for so long."""

    async def sleep_until(self, moment: float) -> None:
        await super().sleep_until(moment + 20)


async def test_the_time_to_answer_a_ping_begins_with_it(rude_websocket: RudeWebSocket) -> None:
    """However late the ping was."""
    clock = Oversleeping()
    pinged = anyio.Event()

    async def note_ping(stream: SocketStream) -> None:
        await stream.receive()
        pinged.set()
        await anyio.sleep_forever()

    async with (
        rude_websocket(note_ping) as url,
        connect_websocket(url, clock=clock, ping_interval=10, ping_timeout=5, close_timeout=0.1) as connection,
        anyio.create_task_group() as group,
    ):
        group.start_soon(lost, connection)
        await clock.advance(30.1)
        with anyio.fail_after(5):
            await pinged.wait()
        await clock.advance(19.4)  # it was sent after 25 s or 30, as it had been noticed that somebody listens
        await connection.send("not given up yet")
        await clock.advance(6)
        with pytest.raises(ConnectionLost, match="no answer to ping"):
            await connection.send("given up")
        group.start_soon(clock.advance, 1)


async def lost(connection: WebSocketConnection) -> None:
    with pytest.raises(ConnectionLost):
        await connection.receive()


@pytest.mark.parametrize("began", [120.2, 236.9, 241.9])
async def test_times_that_do_not_add_up_to_the_bit_are_no_reason_to_spin(began: float, echo_server: Server) -> None:
    clock = ManualClock()
    await clock.advance(began)
    async with (
        connect_websocket(f"{echo_server.url}/echo", clock=clock) as connection,
        anyio.create_task_group() as group,
    ):
        group.start_soon(lost, connection)
        with anyio.fail_after(5):
            await clock.advance(19.9)
            await clock.advance(0.2)
        await connection.aclose()


@pytest.mark.parametrize("seconds", [0, -1.0, math.nan])
async def test_a_ping_needs_a_time_above_0(seconds: float) -> None:
    async def run(connection: WebSocketConnection) -> None:
        raise AssertionError(connection)

    with pytest.raises(InvalidConfig, match="ping_interval"):
        async with connect_websocket("ws://localhost:1", ping_interval=seconds):
            pass
    with pytest.raises(InvalidConfig, match="ping_timeout"):
        Upgrade(run, ping_timeout=seconds)


async def test_no_pings_are_sent_when_switched_off(rude_websocket: RudeWebSocket) -> None:
    heard: list[bytes] = []

    async def listen(stream: SocketStream) -> None:
        heard.append(await stream.receive())

    clock = ScaledClock(200)
    async with (
        rude_websocket(listen) as url,
        connect_websocket(
            url, clock=clock, connect_timeout=1000, send_timeout=1000, ping_interval=None, close_timeout=10
        ) as connection,
    ):
        with clock.move_on_after(100):
            await connection.receive()
        assert heard == []
