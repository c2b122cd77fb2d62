"""An iterator of any kind, read without holding up the event loop."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Final

import anyio

from trunkline.tools import call

CLOSE_TIMEOUT: Final = 2.0


class _End:
    """Stands behind the last piece."""


class Pieces:
    """Reads an async iterator in the event loop and a plain one in worker threads, one piece at a time.

    You must close it. A plain iterator that is in the middle of a piece when it is given up goes on in its thread until that piece is
    there; nobody waits for it.
    """

    END: Final = _End()
    """What `next` gives when there is no more."""

    def __init__(self, pieces: Any) -> None:
        self._async: AsyncIterator[Any] | None = aiter(pieces) if hasattr(pieces, "__aiter__") else None
        self._plain: Iterator[Any] | None = None if self._async is not None else iter(pieces)
        self._source = pieces

    async def next(self) -> Any:
        """The next piece, or `END`."""
        if self._async is not None:
            return await anext(self._async, self.END)
        if isinstance(self._plain, type(iter([]))):
            return next(self._plain, self.END)
        return await call(next, self._plain, self.END)

    async def aclose(self) -> None:
        """Let the iterator end, and what it holds be released; any number of times."""
        sources = [self._async or self._plain]
        if self._source is not sources[0]:
            sources.append(self._source)
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            for source in sources:
                await _close(source)


async def _close(source: Any) -> None:
    """Close a generator or an official client's stream."""
    if (aclose := getattr(source, "aclose", None)) is not None:
        await aclose()
    elif (close := getattr(source, "close", None)) is not None:
        with suppress(ValueError):  # a plain generator that a thread is still in
            await call(close)
