"""Whatever gives an awaitable is awaited in the event loop, on both backends; what is plain runs in a thread."""

import functools
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from tests.tools.phone import WEATHER, Phone, advance
from trunkline.clock import ManualClock
from trunkline.tools import CompiledTools, ToolDispatcher, call
from trunkline.tools.calling import TooManyThreads, WorkerThreads


async def lookup(city: str) -> str:
    """The weather."""
    await anyio.lowlevel.checkpoint()
    return f"sunny in {city}"


class Stock:
    async def __call__(self, city: str) -> str:
        return await lookup(city)

    async def method(self, city: str) -> str:
        return await lookup(city)

    def plain_method(self, city: str) -> Any:
        return lookup(city)

    @classmethod
    async def of_class(cls, city: str) -> str:
        return await lookup(city)


class PlainCall:
    def __call__(self, city: str) -> Any:
        return lookup(city)


class Awaitable:
    def __init__(self, city: str) -> None:
        self.city = city

    def __await__(self) -> Any:
        return lookup(self.city).__await__()


def plain_wrapper(city: str) -> Any:
    return lookup(city)


@functools.wraps(lookup)
def named_wrapper(*args: Any, **kwargs: Any) -> Any:
    return lookup(*args, **kwargs)


FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "async function": lookup,
    "object with async __call__": Stock(),
    "object with plain __call__": PlainCall(),
    "async method": Stock().method,
    "plain method": Stock().plain_method,
    "class method": Stock.of_class,
    "lambda": lambda city: lookup(city=city),
    "partial": functools.partial(lookup),
    "partial of an object": functools.partial(Stock()),
    "partial of a wrapper": functools.partial(functools.partial(plain_wrapper)),
    "plain wrapper": plain_wrapper,
    "wrapper with functools.wraps": named_wrapper,
    "class of awaitables": Awaitable,
}


@pytest.mark.parametrize("kind", FUNCTIONS)
async def test_call_of_any_kind_awaits_what_it_gives(kind: str) -> None:
    assert await call(FUNCTIONS[kind], "Rome") == "sunny in Rome"


@pytest.mark.parametrize("kind", FUNCTIONS)
async def test_handler_of_any_kind_answers(kind: str) -> None:
    compiled = CompiledTools([WEATHER], {"get_weather": lambda arguments: FUNCTIONS[kind](arguments["city"])})
    assert (await ToolDispatcher(compiled).run("c", "get_weather", '{"city": "Rome"}')).result == "sunny in Rome"
    compiled = CompiledTools([WEATHER], {"get_weather": FUNCTIONS[kind]})
    assert not (await ToolDispatcher(compiled).run("c", "get_weather", '{"city": "Rome"}')).error
    compiled = CompiledTools([WEATHER], on_function_call=lambda _id, _name, arguments: FUNCTIONS[kind](arguments))
    assert "sunny in" in (await ToolDispatcher(compiled).run("c", "get_weather", '{"city": "Rome"}')).result


async def test_plain_function_runs_in_a_thread() -> None:
    async def thread_of_the_loop() -> int:
        return threading.get_ident()

    assert await call(threading.get_ident) != threading.get_ident()
    assert await call(thread_of_the_loop) == threading.get_ident()


async def test_error_of_a_thread_is_raised_as_it_is() -> None:
    def fails() -> None:
        raise LookupError("no such city")

    with pytest.raises(LookupError, match="no such city"):
        await call(fails)

    def stops() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError):
        await call(stops)


async def test_abandoned_threads_are_counted_until_they_end() -> None:
    release, ended = threading.Event(), threading.Semaphore(0)

    def hangs() -> None:
        release.wait(10)
        ended.release()

    threads = WorkerThreads(2)
    for number in range(2):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(threads.run, hangs)
                while threads.running <= number:
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        assert threads.abandoned == number + 1
    with pytest.raises(TooManyThreads):
        await threads.run(hangs)
    release.set()
    for _ in range(2):
        assert await anyio.to_thread.run_sync(ended.acquire, True, 10)
    while threads.abandoned:
        await anyio.lowlevel.checkpoint()
    assert await threads.run(lambda: "free again") == "free again"


async def test_tools_that_never_return_hold_no_more_threads_than_the_limit() -> None:
    release, began = threading.Event(), []

    def blocks(_: object) -> None:
        began.append(threading.get_ident())
        release.wait(10)

    clock = ManualClock()
    tools = ToolDispatcher(CompiledTools([WEATHER], {"get_weather": blocks}), limit=2, max_rounds=100, clock=clock)
    async with anyio.create_task_group() as tasks:
        phone = Phone(tools, tasks)
        for number in range(6):
            await phone.request(str(number))
            while len(began) < min(number + 1, 2):
                await anyio.lowlevel.checkpoint()
            await advance(clock, 21)
        assert len(began) == 2
        assert [phone.told[str(number)]["error"] for number in (1, 2)] == [
            "Tool get_weather: no answer within 20 s",
            "Tool get_weather: failed",
        ]
        release.set()


async def test_coroutine_of_an_abandoned_thread_is_closed() -> None:
    release = threading.Event()

    def blocks() -> Any:
        release.wait(10)
        return lookup("Rome")  # a warning, which is an error here, if nobody awaits or closes it

    threads = WorkerThreads(1)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(threads.run, blocks)
            while not threads.running:
                await anyio.lowlevel.checkpoint()
            scope.cancel()
    release.set()
    while threads.abandoned:
        await anyio.lowlevel.checkpoint()
