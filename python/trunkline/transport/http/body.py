"""The body of a request, as httpx wants it."""

from typing import Self

import httpx


class WholeBody(httpx.AsyncByteStream):
    """Bytes that are sent at once.

    httpx's own is a generator, which is left unfinished where sending is cancelled, and trio complains of it.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._unsent = [content] if content else []

    def __aiter__(self) -> Self:
        self._unsent = [self._content] if self._content else []
        return self

    async def __anext__(self) -> bytes:
        if not self._unsent:
            raise StopAsyncIteration
        return self._unsent.pop()
