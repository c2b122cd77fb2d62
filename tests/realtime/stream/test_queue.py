"""A bounded queue with an end: nothing is lost, and the error of the end comes once."""

import anyio
import anyio.lowlevel
import pytest

from trunkline.realtime.stream.queue import BoundedQueue


async def test_put_waits_for_the_reader_while_the_queue_is_full() -> None:
    queue: BoundedQueue[bytes] = BoundedQueue(limit=3, weigh=len)
    put: list[bytes] = []

    async def write() -> None:
        for item in (b"ab", b"cd", b"e"):
            await queue.put(item)
            put.append(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        assert (put, queue.full) == ([b"ab", b"cd"], True)
        assert await anext(queue) == b"ab"
        await anyio.wait_all_tasks_blocked()
        assert put[2:] == [b"e"]
        queue.end()
        assert [item async for item in queue] == [b"cd", b"e"]


async def test_end_with_an_error_is_raised_once_after_all_items() -> None:
    queue: BoundedQueue[int] = BoundedQueue()
    queue.put_nowait(1)
    queue.end(KeyError("first"))
    queue.end(KeyError("second"))
    queue.put_nowait(2)
    assert await anext(queue) == 1
    with pytest.raises(KeyError, match="first"):
        await anext(queue)
    with pytest.raises(StopAsyncIteration):
        await anext(queue)


async def test_end_frees_a_writer_that_waits() -> None:
    queue: BoundedQueue[int] = BoundedQueue(limit=1)
    queue.put_nowait(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(queue.put, 2)
        await anyio.wait_all_tasks_blocked()
        queue.end()
    assert [item async for item in queue] == [1]


async def test_drop_removes_unread_items_and_makes_room() -> None:
    queue: BoundedQueue[int] = BoundedQueue(limit=2)
    queue.put_nowait(1)
    queue.put_nowait(2)
    assert queue.drop(lambda item: item == 1) == [1]
    assert not queue.full
    queue.end()
    assert [item async for item in queue] == [2]


async def test_reader_that_is_cancelled_loses_nothing() -> None:
    queue: BoundedQueue[int] = BoundedQueue()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(queue.__anext__)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    queue.put_nowait(1)
    assert await anext(queue) == 1
