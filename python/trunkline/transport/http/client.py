"""An HTTP client for the vendors' REST interfaces: one deadline, bounded bodies, retries, typed errors.

httpx is imported when it is first used.
"""

import json as json_module
import ssl
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode, urljoin, urlsplit

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidConfig,
    MessageTooLarge,
    RemoteProtocolError,
)
from trunkline.transport.backoff import Backoff
from trunkline.transport.http.headers import Headers
from trunkline.transport.proxy import ENVIRONMENT, Proxy, proxy_to
from trunkline.transport.tls import system_trust
from trunkline.transport.websocket.client import retry_after

if TYPE_CHECKING:
    import httpx

REFUSED_FOR_NOW: Final = frozenset({429, 503})
"""The server did not take the request: it may be sent again, whatever it asks for."""

FAILED: Final = frozenset({500, 502, 504})
"""The server failed, perhaps after it did what was asked: only what may be done twice is sent again."""

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""Methods that may be sent twice (RFC 9110 section 9.2.2)."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What the server said, read to its end, whatever the status."""

    status: int
    headers: Headers
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            RemoteProtocolError: It is not JSON.
        """
        try:
            return json_module.loads(self.body)
        except ValueError as error:
            raise RemoteProtocolError("http", "a body that is not JSON") from error


class HttpClient:
    """Keeps connections to one or several hosts; use it in `async with`.

    It follows no redirects and keeps no cookies. Of an address only scheme and host are ever told in an
    error, and nothing is logged, since keys travel in paths and queries.

    Args:
        base_url: What a relative URL is relative to.
        auth: User and password (HTTP Basic) for the requests to `base_url`; they are shown nowhere.
        timeout: Seconds for a whole request, from connecting to the last byte.
        tls: What to trust; the system's certificates if None.
        proxy: The address of an HTTP proxy to go through, with user and password if it needs them; "environment" goes by the usual
            variables, as model providers do (`transport.proxy`); None goes directly.
        max_body: Bytes that an answer may have.
        retries: How many more times a request is sent that the server refused for now (429 or 503) or, if it is idempotent, failed on
            (500, 502, 504, a lost connection). Between two attempts as long as the server's `Retry-After` says, at least as long as
            `backoff`; an answer for whose repetition the timeout leaves no time is returned as it is.
        backoff: How long to wait where the server does not say.
        clock: Where time comes from.
    """

    def __init__(
        self,
        *,
        base_url: str = "",
        auth: tuple[str, str] | None = None,
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = ENVIRONMENT,
        max_body: int = 16 * 2**20,
        retries: int = 0,
        backoff: Backoff | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._base_url = base_url if not base_url or base_url.endswith("/") else f"{base_url}/"
        self._authorization = "" if auth is None else f"Basic {b64encode(':'.join(auth).encode()).decode('ascii')}"
        self._timeout = timeout
        self._tls = tls
        self._max_body = max_body
        self._retries = retries
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._proxy = proxy
        self._open = False
        self._transports: dict[Proxy | None, httpx.AsyncHTTPTransport] = {}

    async def __aenter__(self) -> Self:
        self._open = True
        return self

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        form: Iterable[tuple[str, str]] | None = None,
        json: Any = None,
        content: bytes | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
    ) -> HttpResponse:
        """Send one request and read the whole answer.

        Args:
            method: As in HTTP.
            url: Absolute, or relative to `base_url`.
            headers: Besides those that the body needs.
            form: Pairs, sent as a form in their order; at most one of `form`, `json` and `content`.
            json: Anything that JSON can hold.
            content: Bytes as they are.
            timeout: Seconds, in place of the client's; for all attempts together.
            idempotent: Whether it may be done twice; None goes by the method.

        Raises:
            InvalidConfig: The URL, or the proxy's address, cannot be used.
            ConnectionLost: The host or the proxy cannot be reached, the proxy refused, or the connection broke.
            MessageTooLarge: The answer is larger than `max_body`.
            DeadlineExceeded: It took longer than the timeout.
        """
        import httpx

        if not self._open:
            raise InvalidConfig("http", "the client is not open; use `async with HttpClient(…) as http`")
        sent = list(headers)
        if form is not None:
            content = urlencode(list(form)).encode()
            sent.append(("Content-Type", "application/x-www-form-urlencoded"))
        whole = urljoin(self._base_url, url)
        if self._authorization and self._base_url and whole.startswith(self._base_url):
            sent.append(("Authorization", self._authorization))
        try:
            request = httpx.Request(method, whole, headers=sent, content=content, json=json)
            where = _origin(whole)
        except (httpx.InvalidURL, ValueError):
            raise InvalidConfig("url", "not an address of the form https://host/path") from None
        seconds = self._timeout if timeout is None else timeout
        response: HttpResponse | None = None
        deadline = self._clock.now() + seconds
        twice = request.method in IDEMPOTENT if idempotent is None else idempotent
        with self._clock.move_on_after(seconds):
            response = await self._attempts(self._transport_to(whole), request, where, twice=twice, deadline=deadline)
        if response is None:
            raise DeadlineExceeded(f"{method} {where}", seconds)
        return response

    def _transport_to(self, url: str) -> "httpx.AsyncHTTPTransport":
        """What reaches a host: connections of its own for each proxy, and for the direct way."""
        import httpx

        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        proxy = proxy_to(parts.hostname or "", port, secure=secure, proxy=self._proxy)
        if proxy not in self._transports:
            through = None
            if proxy is not None:
                headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else None
                through = httpx.Proxy(str(proxy), headers=headers, ssl_context=system_trust() if proxy.secure else None)
            # The transport alone: httpx's own client writes whole addresses, keys and all, into its log.
            self._transports[proxy] = httpx.AsyncHTTPTransport(
                verify=self._tls or system_trust(), trust_env=False, proxy=through
            )
        return self._transports[proxy]

    async def _attempts(
        self,
        transport: "httpx.AsyncHTTPTransport",
        request: "httpx.Request",
        where: str,
        *,
        twice: bool,
        deadline: float,
    ) -> HttpResponse:
        """Send the request until it is answered for good; `twice` tells whether it may be done twice."""
        delays = self._backoff.delays()
        next(delays)  # that of the first attempt
        for delay, _ in zip(delays, range(self._retries), strict=False):
            wait = delay
            try:
                response = await self._exchange(transport, request, where)
            except ConnectionLost:
                if not twice or self._clock.now() + wait >= deadline:
                    raise
            else:
                if response.status not in REFUSED_FOR_NOW and not (twice and response.status in FAILED):
                    return response
                wait = max(wait, retry_after(response.headers.get("Retry-After", ""), clock=self._clock) or 0.0)
                if self._clock.now() + wait >= deadline:
                    return response
            await self._clock.sleep_until(self._clock.now() + wait)
        return await self._exchange(transport, request, where)

    async def _exchange(
        self, transport: "httpx.AsyncHTTPTransport", request: "httpx.Request", where: str
    ) -> HttpResponse:
        import httpx

        try:
            response = await transport.handle_async_request(request)
            try:
                body = bytearray()
                # Leaving the loop would leave httpcore's nested generators unfinished; a cancelled read unwinds them all.
                with anyio.CancelScope() as reading:
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > self._max_body:
                            reading.cancel()
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ConnectionLost(1006, f"{where}: {_cause(error)}") from error
        if len(body) > self._max_body:
            raise MessageTooLarge(self._max_body)
        return HttpResponse(response.status_code, Headers(response.headers.multi_items()), bytes(body))

    async def aclose(self) -> None:
        """Close what is open; any number of times."""
        self._open = False
        while self._transports:
            await self._transports.popitem()[1].aclose()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def _cause(error: BaseException) -> str:
    """The innermost reason: httpx and httpcore wrap it twice."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__
