"""Every kind of poller, on whatever system the tests run."""

import select
import selectors
from collections.abc import Callable

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.transport.poller import Poller, SelectorPoller, TaskPoller


class SplitSelector(selectors.SelectSelector):
    """`select`, with the habits of a kqueue: it can be waited for, and tells reading and writing apart."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def register(self, fileobj, events, data=None):  # type: ignore[no-untyped-def]
        self._epoll.register(fileobj, events_of(events))
        return super().register(fileobj, events, data)

    def unregister(self, fileobj):  # type: ignore[no-untyped-def]
        self._epoll.unregister(fileobj)
        return super().unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return [
            (key, event)
            for key, events in super().select(timeout)
            for event in (selectors.EVENT_READ, selectors.EVENT_WRITE)
            if events & event
        ]

    def close(self) -> None:
        self._epoll.close()
        super().close()


def events_of(events: int) -> int:
    return (select.EPOLLIN if events & selectors.EVENT_READ else 0) | (
        select.EPOLLOUT if events & selectors.EVENT_WRITE else 0
    )


def selector_poller(*, clock: Clock = SYSTEM_CLOCK) -> Poller:
    return SelectorPoller(clock=clock)


def split_poller(*, clock: Clock = SYSTEM_CLOCK) -> Poller:
    return SelectorPoller(clock=clock, selector=SplitSelector)


def task_poller(*, clock: Clock = SYSTEM_CLOCK) -> Poller:
    return TaskPoller(clock=clock)


MakePoller = Callable[..., Poller]
POLLERS: dict[str, MakePoller] = {"selector": selector_poller, "select": split_poller, "tasks": task_poller}
