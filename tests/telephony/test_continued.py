"""A line that begins later and moves from socket to socket, while whoever uses it notices nothing but a pause."""

from collections import deque

import anyio
import pytest

from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, LocalProtocolError
from trunkline.telephony.continued import REOPENED_WITHIN, ContinuedLine
from trunkline.telephony.line import LineTraits
from trunkline.wire.telephony.events import DtmfReceived, MarkReceived, MediaReceived, StreamEvent, StreamStopped

pytestmark = pytest.mark.anyio

TRAITS = LineTraits(format=TWILIO)


class Wire:
    """A line that gives what it is told to, and keeps what it is given; it is over once it gave `StreamStopped`."""

    traits = TRAITS

    def __init__(self, *events: StreamEvent) -> None:
        self.events = deque(events)
        self.sent: list[object] = []
        self.over = False
        self.news = anyio.Event()

    def give(self, event: StreamEvent) -> None:
        self.events.append(event)
        self.news.set()
        self.news = anyio.Event()

    async def receive(self) -> StreamEvent:
        while not self.events:
            self._check()
            await self.news.wait()
        event = self.events.popleft()
        self.over = isinstance(event, StreamStopped)
        return event

    async def send_media(self, payload: bytes) -> None:
        self._check()
        self.sent.append(payload)

    async def send_mark(self, name: str) -> None:
        self._check()
        self.sent.append(name)

    async def clear(self) -> None:
        self._check()
        self.sent.append(None)

    async def aclose(self) -> None:
        self.over = True
        self.news.set()

    def _check(self) -> None:
        if self.over:
            raise ConnectionLost(1000)


def media(ms: int) -> MediaReceived:
    return MediaReceived(b"\xff" * 160, ms, 1)


async def test_line_waits_for_its_first_line() -> None:
    clock = ManualClock()
    line = ContinuedLine(TRAITS, clock=clock)
    assert line.expects_line
    assert not line.has_begun
    with pytest.raises(LocalProtocolError):
        await line.receive()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(line.carry_on, Wire(DtmfReceived("5")))
        await line.wait_line()
        assert await line.receive() == DtmfReceived("5")
        assert not line.expects_line
        with pytest.raises(LocalProtocolError, match="already"):
            await line.carry_on(Wire())
        await line.aclose()


async def test_end_of_the_line_is_its_end_unless_a_command_was_sent() -> None:
    clock = ManualClock()
    line = ContinuedLine(TRAITS, clock=clock, line=Wire(StreamStopped()))
    assert await line.receive() == StreamStopped()
    with pytest.raises(ConnectionLost):
        await line.send_media(b"late")


@pytest.mark.parametrize("ends", ["stopped", "lost"])
async def test_line_goes_on_over_the_next_socket(ends: str) -> None:
    clock = ManualClock()
    first, second = Wire(media(0)), Wire(media(0))
    line = ContinuedLine(TRAITS, clock=clock, line=first)
    assert await line.receive() == media(0)
    await line.send_media(b"heard")
    await line.send_mark("a")
    await line.send_mark("b")
    first.give(MarkReceived("a"))
    assert await line.receive() == MarkReceived("a")
    await clock.advance(3)
    with line.interruption():
        if ends == "stopped":
            first.give(StreamStopped())
        else:
            await first.aclose()
    got: list[StreamEvent] = []

    async def receive() -> None:
        got.extend([await line.receive(), await line.receive()])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()  # it has read the end of the first line, which takes nothing from then on
        tasks.start_soon(line.send_media, b"between")
        await anyio.wait_all_tasks_blocked()
        assert got == []
        await clock.advance(2)
        tasks.start_soon(line.carry_on, second)
        await anyio.wait_all_tasks_blocked()
        assert got == [MarkReceived("b"), media(5000)]  # the mark is dropped, and the time goes on
        assert second.sent == [b"between"]
        await line.clear()
        assert second.sent == [b"between", None]
        await line.aclose()
    assert first.over
    assert second.over


async def test_line_that_does_not_come_back_ends() -> None:
    clock = ManualClock()
    first = Wire(StreamStopped())
    line = ContinuedLine(TRAITS, clock=clock, line=first)
    got: list[StreamEvent] = []

    async def receive() -> None:
        got.append(await line.receive())

    with line.interruption(2):
        pass
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receive)
        await clock.advance(REOPENED_WITHIN + 1.9)
        assert got == []
        await clock.advance(0.2)
        assert got == [StreamStopped()]
    assert not line.expects_line


async def test_command_that_fails_lets_the_line_end_as_before() -> None:
    line = ContinuedLine(TRAITS, clock=ManualClock(), line=Wire(StreamStopped()))
    with pytest.raises(ZeroDivisionError), line.interruption():
        raise ZeroDivisionError
    assert await line.receive() == StreamStopped()


async def test_line_that_is_closed_while_it_waits_ends_at_once() -> None:
    clock = ManualClock()
    line = ContinuedLine(TRAITS, clock=clock, line=Wire(StreamStopped()))
    with line.interruption():
        pass
    async with anyio.create_task_group() as tasks:

        async def receive() -> None:
            assert await line.receive() == StreamStopped()

        async def send() -> None:
            with pytest.raises(ConnectionLost):
                await line.send_media(b"x")

        tasks.start_soon(receive)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(send)
        tasks.start_soon(line.wait_line)
        await anyio.wait_all_tasks_blocked()
        await line.aclose()
    await line.aclose()
