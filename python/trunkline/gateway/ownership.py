"""Whether the running task is part of a call or a gateway. Such a task must not wait for the end of what it is part of.

The mark travels with the context: every task that is started from a marked one, and every worker thread called from it, has it too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_owners: ContextVar[frozenset[object]] = ContextVar("trunkline_owners", default=frozenset())


class Ownership:
    """Marks the tasks of one owner, a call or a gateway."""

    def __init__(self) -> None:
        self._mark = object()  # not the owner itself: an idle worker thread may keep the context of its last job

    @contextmanager
    def marking(self) -> Iterator[None]:
        """Every task that is started in this block belongs to the owner."""
        token = _owners.set(_owners.get() | {self._mark})
        try:
            yield
        finally:
            _owners.reset(token)

    @property
    def includes_caller(self) -> bool:
        """Whether whoever asks runs in a task of the owner."""
        return self._mark in _owners.get()
