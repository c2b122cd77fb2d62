"""An answer over HTTP that is read as it comes."""

import logging
import math
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from trunkline.clock import Clock
from trunkline.errors import ConnectionLost, DeadlineExceeded, MessageTooLarge
from trunkline.transport.http.headers import Headers

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("trunkline.transport")

CLOSE_TIMEOUT = 2.0


class HttpStream:
    """The answer to one request: status and headers, and a body that is still coming. One task reads it.

    You must close it (`async with`). A body that was not read to its end costs the connection, by which the server sees that nobody
    listens any more.

    Attributes:
        status: The HTTP status.
        headers: The answer's headers.
    """

    def __init__(self, response: "httpx.Response", where: str, *, max_body: int, clock: Clock) -> None:
        self.status = response.status_code
        self.headers = Headers(response.headers.multi_items())
        self._response = response
        self._where = where
        self._max_body = max_body
        self._clock = clock
        self._chunks: AsyncIterator[bytes] | None = response.aiter_bytes()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def receive(self, *, timeout: float = math.inf) -> bytes:
        """The next bytes of the body; none when it is complete.

        Raises:
            ConnectionLost: The connection broke, or the server ended it in the middle of the body.
            DeadlineExceeded: Nothing came within so many seconds. The body cannot be read on.
        """
        import httpx

        if self._chunks is None:
            return b""
        data: bytes | None = None
        try:
            with self._clock.move_on_after(timeout):
                data = await anext(self._chunks, b"")
        except (httpx.HTTPError, httpx.StreamError) as error:
            self._chunks = None
            raise ConnectionLost(1006, f"{self._where}: {innermost(error)}") from error
        if not data:
            self._chunks = None  # it is at its end, or the cancelled read has unwound it
        if data is None:
            raise DeadlineExceeded(f"reading from {self._where}", timeout)
        return data

    async def read(self) -> bytes:
        """The whole body, or what is left of it.

        Raises:
            ConnectionLost: As `receive`.
            MessageTooLarge: It is larger than the client allows.
        """
        body = bytearray()
        while data := await self.receive():
            body += data
            if len(body) > self._max_body:
                raise MessageTooLarge(self._max_body)
        return bytes(body)

    async def aclose(self) -> None:
        """Stop reading; any number of times."""
        if self._closed:
            return
        self._closed = True
        with self._clock.move_on_after(CLOSE_TIMEOUT, shield=True):
            chunks, self._chunks = self._chunks, None
            if chunks is not None:
                await unwind(chunks)
            await self._response.aclose()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


async def unwind(chunks: AsyncIterator[object]) -> None:
    """End nested generators, which would be left unfinished otherwise: a cancelled read ends all of them."""
    with anyio.CancelScope() as reading:
        reading.cancel()
        try:
            while await anext(chunks, None):
                pass
        except Exception as error:  # noqa: BLE001 - nobody wants any more of it, whatever becomes of it
            log.debug("what was left unread ended with %s", type(error).__name__)


def innermost(error: BaseException) -> str:
    """The innermost reason: httpx and httpcore wrap it twice."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__
