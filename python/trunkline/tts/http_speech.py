"""Requests that are answered with speech, over connections that are kept."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

from trunkline.clock import Clock
from trunkline.errors import ConnectionLost, RemoteProtocolError, TransportError
from trunkline.transport import HttpClient, HttpStream
from trunkline.transport.error_map import ConnectionErrors, VendorErrors
from trunkline.transport.websocket.client import retry_after

_KEEP_ALIVE = 300.0  # seconds: a connection outlasts a long turn of the caller's

_LONGEST_REFUSAL = 4096  # bytes of a refusal that are read for the error

Headers = Sequence[tuple[str, str]]


class SpeechRequests:
    """Sends texts, gives speech as it comes.

    Args:
        errors: Makes errors of broken connections.
        words: How the vendor's refusals are understood.
        tls: What to trust; the system's certificates if None.
        proxy: The address of an HTTP proxy, None or "environment".
        connect_timeout: Seconds for the connection, on top of `patience`.
        patience: Seconds that the vendor may take until the first byte, and between two.
        clock: Where time comes from.
    """

    def __init__(
        self,
        errors: ConnectionErrors,
        words: VendorErrors,
        *,
        tls: ssl.SSLContext | None,
        proxy: str | None,
        connect_timeout: float,
        patience: float,
        clock: Clock,
    ) -> None:
        self._errors = errors
        self._words = words
        self._http = HttpClient(tls=tls, proxy=proxy, keep_alive=_KEEP_ALIVE, clock=clock)
        self._first = connect_timeout + patience
        self._patience = patience
        self._clock = clock
        self._open = False

    async def audio(self, url: str, headers: Headers, body: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """The bytes of the answer.

        Raises:
            ProviderError: The vendor refused, could not be reached, fell silent or broke off.
        """
        try:
            async with self._answer(url, headers, body) as stream:
                while chunk := await stream.receive(timeout=self._patience):
                    yield chunk
        except (TransportError, RemoteProtocolError) as cause:
            raise self._errors.refused(cause) from cause

    async def lines(self, url: str, headers: Headers, body: Mapping[str, Any]) -> AsyncGenerator[bytes]:
        """The lines of the answer that are not empty; raises likewise."""
        rest = bytearray()
        async with aclosing(self.audio(url, headers, body)) as chunks:
            async for chunk in chunks:
                rest += chunk
                if b"\n" in chunk:
                    *lines, tail = rest.split(b"\n")
                    rest = bytearray(tail)
                    for line in filter(bytes.strip, map(bytes, lines)):
                        yield line
        if rest.strip():
            yield bytes(rest)

    async def aclose(self) -> None:
        """Close what is kept; any number of times."""
        self._open = False
        await self._http.aclose()

    @asynccontextmanager
    async def _answer(self, url: str, headers: Headers, body: Mapping[str, Any]) -> AsyncIterator[HttpStream]:
        if not self._open:
            self._open = True
            await self._http.__aenter__()
        answered = False
        for is_last in (False, True):
            try:
                async with await self._http.stream(
                    "POST", url, headers=headers, json=body, timeout=self._first
                ) as stream:
                    answered = True
                    if stream.status != 200:
                        await self._refuse(stream)
                    yield stream
                    return
            except ConnectionLost:
                # A connection that was kept may have been closed by the other side; nothing was answered on it.
                if answered or is_last:
                    raise

    async def _refuse(self, stream: HttpStream) -> None:
        said = bytearray()
        try:
            while len(said) < _LONGEST_REFUSAL and (chunk := await stream.receive(timeout=self._patience)):
                said += chunk
        except TransportError:
            pass  # the status alone says enough
        names = ("x-request-id", "request-id", "dg-request-id")
        raise self._words.error_from_status(
            stream.status,
            self._errors.hidden(said[:_LONGEST_REFUSAL].decode(errors="replace")),
            retry_after=retry_after(stream.headers.get("retry-after", ""), clock=self._clock),
            request_id=next((stream.headers.get(name) for name in names if name in stream.headers), None),
        )
