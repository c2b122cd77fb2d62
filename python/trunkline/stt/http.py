"""Whole utterances over HTTP: one request, tried again where that helps, and errors by their class."""

import ssl
from collections.abc import Sequence
from functools import partial

from trunkline.clock import Clock
from trunkline.errors import (
    ConnectionFailed,
    HandshakeRejected,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    TransportError,
)
from trunkline.transport.backoff import Backoff
from trunkline.transport.endpoint import http_base
from trunkline.transport.error_map import ConnectionErrors
from trunkline.transport.http.client import HttpClient, Part
from trunkline.transport.websocket.client import retry_after

ATTEMPTS = 3
LONGEST_WAIT = 4.0
"""Seconds: a caller is waiting; where the vendor asks for more, there is no use in trying again."""

_BACKOFF = Backoff(first=0.5)


class VendorHttp:
    """A vendor's HTTP interface.

    Args:
        base_url: Where it is.
        headers: Sent with each request, the key among them.
        errors: Makes errors of what goes wrong.
        timeout: Seconds for one attempt.
        tls: What to trust.
        proxy: See `HttpClient`.
        clock: Where time comes from.
    """

    def __init__(
        self,
        base_url: str,
        *,
        headers: Sequence[tuple[str, str]],
        errors: ConnectionErrors,
        timeout: float,
        tls: ssl.SSLContext | None,
        proxy: str | None,
        clock: Clock,
    ) -> None:
        base = http_base(base_url)
        self._make_client = partial(HttpClient, base_url=base, timeout=timeout, tls=tls, proxy=proxy, clock=clock)
        self._client: HttpClient | None = None
        self._headers = headers
        self._errors = errors
        self._clock = clock

    async def post(self, path: str, parts: Sequence[Part]) -> bytes:
        """Send parts and return the body of the answer.

        Raises:
            ProviderError: The vendor refused, or was not there at any attempt.
        """
        delays = _BACKOFF.delays()
        for attempt in range(1, ATTEMPTS + 1):
            await self._clock.sleep_until(self._clock.now() + next(delays))
            outcome = await self._attempt(path, parts)
            if not isinstance(outcome, ProviderError):
                return outcome
            wait = outcome.retry_after or 0.0
            may_help = (
                isinstance(outcome, RateLimited | ProviderUnavailable | ConnectionFailed) and not outcome.is_permanent
            )
            if attempt == ATTEMPTS or not may_help or wait > LONGEST_WAIT:
                raise outcome
            await self._clock.sleep_until(self._clock.now() + wait)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, path: str, parts: Sequence[Part]) -> bytes | ProviderError:
        if self._client is None:
            self._client = await self._make_client().__aenter__()
        try:
            response = await self._client.request("POST", path, headers=self._headers, parts=parts)
        except TransportError as error:
            return self._errors.refused(error)
        if response.status < 300:
            return response.body
        seconds = retry_after(response.headers.get("retry-after", ""), clock=self._clock)
        request_id = response.headers.get("x-request-id") or response.headers.get("request-id")
        refused = HandshakeRejected(
            response.status, body=response.text[:4096], retry_after=seconds, request_id=request_id
        )
        return self._errors.refused(refused)

    async def aclose(self) -> None:
        """Close the connections; any number of times."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
