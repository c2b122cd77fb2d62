"""Starting the tasks of a call."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.abc import TaskGroup


def start_task(
    tasks: TaskGroup, function: Callable[..., Coroutine[Any, Any, None]], *arguments: Any, name: str
) -> None:
    """Run a task that keeps nothing of the call alive once it is cancelled.

    On asyncio anyio keeps the cancellation of each task in a circle that only the garbage collector frees, and with its traceback all that
    the task's functions held: without this an ended call would stay in memory until then.
    """
    tasks.start_soon(_without_traceback, function, arguments, name=f"trunkline {name}")


async def _without_traceback(function: Callable[..., Coroutine[Any, Any, None]], arguments: tuple[Any, ...]) -> None:
    task = function(*arguments)
    del function, arguments
    try:
        await task
    except anyio.get_cancelled_exc_class() as cancelled:
        raise cancelled.with_traceback(None) from None
