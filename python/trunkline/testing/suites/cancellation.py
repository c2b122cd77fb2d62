"""Cutting a piece of work at a chosen await, on either event loop."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any

import anyio


async def cut_at(step: int, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
    """Run `work` and cancel it when it waits for the `step`-th time, counted from 1; whether it was still running then.

    Only the waits of this task count, and only those that give control away. Call it with 1, 2, 3 … until it says False: then every
    place at which the work can be cancelled has been tried.
    """
    with anyio.CancelScope() as scope:
        await _counted(work(), step, scope.cancel)
    return scope.cancelled_caught


@coroutine
def _stepped(work: Coroutine[Any, Any, object], step: int, cut: Callable[[], object]) -> Generator[Any, Any, None]:
    """Hand on what the work waits for, and what that gives or raises."""
    waits = 0
    resume: Callable[[Any], Any] = work.send
    given: Any = None
    while True:
        try:
            awaited = resume(given)
        except StopIteration:
            return
        waits += 1
        if waits == step:
            cut()
        try:
            given = yield awaited
            resume = work.send
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the work's to handle
            given = error
            resume = work.throw


def _counted(work: Coroutine[Any, Any, object], step: int, cut: Callable[[], object]) -> Awaitable[None]:
    return _stepped(work, step, cut)
