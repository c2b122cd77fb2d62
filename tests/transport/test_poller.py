"""Sockets served by plain functions."""

import logging
import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import anyio.lowlevel
import pytest

from tests.transport.pollers import POLLERS, MakePoller
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, InvalidConfig, LocalProtocolError
from trunkline.transport.poller import Poller, open_poller

pytestmark = pytest.mark.anyio


class Probe:
    """One end of a pair of sockets, which notes what it is called for."""

    def __init__(self, on_read: Callable[["Probe"], None] | None = None) -> None:
        self.socket, self.other = socket.socketpair()
        for end in (self.socket, self.other):
            end.setblocking(False)
        self.number = self.socket.fileno()
        self.wants_read = True
        self.wants_write = False
        self.heard = bytearray()
        self.writes = 0
        self.errors: list[Exception] = []
        self.changed = anyio.Event()
        self._on_read = on_read

    def readable(self) -> None:
        try:
            self.heard += self.socket.recv(1000)
        except BlockingIOError:
            return
        self.changed.set()
        if self._on_read is not None:
            self._on_read(self)

    def writable(self) -> None:
        self.writes += 1
        self.changed.set()

    def fail(self, error: Exception) -> None:
        self.errors.append(error)
        self.changed.set()

    async def change(self) -> None:
        with anyio.fail_after(5):
            await self.changed.wait()
        self.changed = anyio.Event()

    def close(self) -> None:
        self.socket.close()
        self.other.close()


@pytest.fixture(params=POLLERS)
def make_poller(request: pytest.FixtureRequest) -> MakePoller:
    return POLLERS[request.param]


@pytest.fixture
async def poller(make_poller: MakePoller) -> AsyncIterator[Poller]:
    async with make_poller() as poller:
        yield poller


@pytest.fixture
def probes() -> Iterator[Callable[..., Probe]]:
    made: list[Probe] = []

    def make(on_read: Callable[[Probe], None] | None = None) -> Probe:
        made.append(Probe(on_read))
        return made[-1]

    yield make
    for probe in made:
        probe.close()


# ── sockets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_comes_is_read_as_often_as_it_comes(poller: Poller, probes: Callable[..., Probe]) -> None:
    probe = probes()
    poller.add(probe)
    for piece in (b"a", b"b"):
        probe.other.send(piece)
        await probe.change()
    assert probe.heard == b"ab"
    poller.drop(probe)


async def test_writing_is_served_while_it_is_wanted(poller: Poller, probes: Callable[..., Probe]) -> None:
    probe = probes()
    poller.add(probe)
    probe.wants_write = True
    poller.update(probe)
    await probe.change()
    probe.wants_write = False
    poller.update(probe)
    probe.other.send(b"and reading goes on")
    await probe.change()
    writes = probe.writes
    await anyio.wait_all_tasks_blocked()
    assert (probe.writes, bytes(probe.heard)) == (writes, b"and reading goes on")
    poller.drop(probe)


async def test_a_paused_source_is_not_read_until_it_wants_to(poller: Poller, probes: Callable[..., Probe]) -> None:
    probe, other = probes(), probes()
    for source in (probe, other):
        poller.add(source)
    probe.wants_read = False
    poller.update(probe)
    for source in (probe, other):
        source.other.send(b"x")
    await other.change()
    await anyio.wait_all_tasks_blocked()
    assert not probe.heard
    probe.wants_read = True
    poller.update(probe)
    await probe.change()
    assert probe.heard == b"x"
    for source in (probe, other):
        poller.drop(source)


async def test_an_error_is_its_sources_alone(poller: Poller, probes: Callable[..., Probe]) -> None:
    def break_down(probe: Probe) -> None:
        raise ValueError("broken on purpose")

    bad, good = probes(break_down), probes()
    for source in (bad, good):
        poller.add(source)
        source.other.send(b"x")
    await bad.change()
    await good.change()
    assert [type(error) for error in bad.errors] == [ValueError]
    assert not good.errors
    for source in (bad, good):
        poller.drop(source)


async def test_a_dropped_source_is_not_called_even_if_it_was_ready(
    poller: Poller, probes: Callable[..., Probe]
) -> None:
    def drop_the_other(probe: Probe) -> None:
        poller.drop(second if probe is first else first)

    first, second = probes(drop_the_other), probes(drop_the_other)
    for source in (first, second):
        source.other.send(b"x")
    for source in (first, second):
        poller.add(source)
    with anyio.fail_after(5):
        while not (first.heard or second.heard):
            await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
    assert bytes(first.heard + second.heard) == b"x"
    assert len(poller.sources) == 1
    for source in (first, second):
        poller.drop(source)


async def test_the_number_of_a_closed_socket_may_come_again(poller: Poller, probes: Callable[..., Probe]) -> None:
    old = probes()
    poller.add(old)
    await anyio.wait_all_tasks_blocked()
    poller.drop(old)
    old.socket.close()
    new = probes()
    assert new.number == old.number
    poller.add(new)
    new.other.send(b"mine")
    await new.change()
    assert (bytes(old.heard), bytes(new.heard)) == (b"", b"mine")
    poller.drop(new)


async def test_one_who_sends_without_end_leaves_others_their_turns(
    poller: Poller, probes: Callable[..., Probe]
) -> None:
    def send_again(probe: Probe) -> None:
        time.sleep(0.0005)
        probe.other.send(b"x" * 10)

    flooding, quiet = probes(send_again), probes()
    for source in (flooding, quiet):
        poller.add(source)
    flooding.other.send(b"x")
    await flooding.change()
    quiet.other.send(b"me too")
    with anyio.fail_after(2):
        await quiet.change()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
    for source in (flooding, quiet):
        poller.drop(source)


# ── timers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_timers_call_back_in_the_order_of_their_times(make_poller: MakePoller) -> None:
    clock = ManualClock()
    called: list[tuple[str, float]] = []
    async with make_poller(clock=clock) as poller:
        poller.at(3, lambda: called.append(("late", clock.now())))
        await clock.advance(0)
        poller.at(1, lambda: called.append(("early", clock.now())))  # before what is waited for
        cancelled = poller.at(2, lambda: called.append(("never", clock.now())))
        cancelled.cancel()
        assert poller.timers == 2
        await clock.advance(5)
        poller.at(4, lambda: called.append(("at once", clock.now())))
        await clock.advance(0)
        assert poller.timers == 0
    assert called == [("early", 1), ("late", 3), ("at once", 5)]


async def test_a_timer_that_raises_is_logged_and_the_next_one_fires(
    make_poller: MakePoller, caplog: pytest.LogCaptureFixture
) -> None:
    clock, called = ManualClock(), []
    with caplog.at_level(logging.ERROR):
        async with make_poller(clock=clock) as poller:
            poller.at(1, lambda: called.append(1 // 0))
            poller.at(2, lambda: called.append(2))
            await clock.advance(3)
    assert called == [2]
    assert "timer" in caplog.text


async def test_timers_that_set_timers_leave_others_their_turns(poller: Poller) -> None:
    def again() -> None:
        poller.at(0, again)

    again()
    with anyio.fail_after(2):
        for _ in range(10):
            await anyio.lowlevel.checkpoint()


# ── lifetime ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_left_when_it_stops_fails_and_is_forgotten(
    make_poller: MakePoller, probes: Callable[..., Probe], open_files: Callable[[], int]
) -> None:
    probe = probes()
    before = open_files()
    async with make_poller() as poller:
        poller.add(probe)
        poller.at(math.inf, lambda: None)
        await anyio.wait_all_tasks_blocked()
    assert [type(error) for error in probe.errors] == [ConnectionLost]
    assert (poller.sources, poller.timers, open_files()) == ([], 0, before)
    with pytest.raises(LocalProtocolError):
        poller.add(probe)


@pytest.mark.parametrize("steps", range(6))
async def test_cancelled_at_any_moment_it_leaves_nothing(
    make_poller: MakePoller, probes: Callable[..., Probe], open_files: Callable[[], int], steps: int
) -> None:
    probe = probes()
    before = open_files()
    poller = make_poller()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:

            async def use() -> None:
                async with poller:
                    poller.add(probe)
                    await anyio.sleep_forever()

            tasks.start_soon(use)
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert (poller.sources, poller.timers, open_files()) == ([], 0, before)


async def test_it_starts_once_and_in_a_task_group(make_poller: MakePoller) -> None:
    poller = make_poller()
    await poller.aclose()
    with pytest.raises(InvalidConfig, match="async with"):
        await poller.start()
    async with anyio.create_task_group() as tasks:
        await poller.start(tasks)
        with pytest.raises(InvalidConfig, match="once"):
            await poller.start(tasks)
        await poller.aclose()
        await poller.aclose()


async def test_this_system_gets_a_poller_that_works(probes: Callable[..., Probe]) -> None:
    probe = probes()
    async with open_poller() as poller:
        poller.add(probe)
        probe.other.send(b"x")
        await probe.change()
        poller.drop(probe)
