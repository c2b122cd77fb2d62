"""An iterator of any kind, read without holding up the event loop."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Final

import anyio
import anyio.lowlevel

from trunkline.tools import call
from trunkline.transport.http.streaming import unwind

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
        self._async: AsyncIterator[Any] | None = None
        self._plain: Iterator[Any] | None = None
        if hasattr(pieces, "__aiter__"):
            # An official client's stream iterates by a generator of its own around it, which would hide the stream.
            self._async = pieces if hasattr(pieces, "__anext__") else aiter(pieces)
        else:
            self._plain = pieces if hasattr(pieces, "__next__") else iter(pieces)
        self._source = pieces

    async def next(self) -> Any:
        """The next piece, or `END`."""
        if self._async is not None:
            await anyio.lowlevel.checkpoint()  # a generator that waits for nothing must not hold up the calls
            return await anext(self._async, self.END)
        return await call(next, self._plain, self.END)

    async def drain(self, seconds: float) -> None:
        """Read to the end, if it comes soon."""
        with anyio.move_on_after(seconds):
            while await self.next() is not self.END:
                pass

    async def aclose(self) -> None:
        """Let the iterator end, and what it holds be released; any number of times."""
        with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
            if self._async is not None and hasattr(self._async, "aclose"):
                await self._async.aclose()
            elif self._async is not None:
                await unwind(self._async)
            if (close := getattr(self._source, "close", None)) is not None:
                with suppress(ValueError):  # a plain generator that a thread is still in
                    await call(close)
