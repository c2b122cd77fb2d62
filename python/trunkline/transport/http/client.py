"""An HTTP client for the vendors' REST interfaces: deadlines, bounded or streamed bodies, retries, typed errors.

httpx is imported when it is first used.
"""

import json as json_module
import ssl
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode, urljoin, urlsplit

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidConfig,
    RemoteProtocolError,
)
from trunkline.transport.backoff import Backoff
from trunkline.transport.http.headers import Headers
from trunkline.transport.http.streaming import HttpStream, innermost
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


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a `multipart/form-data` body: a field, or with a `filename` a file."""

    name: str
    content: str | bytes = field(repr=False)
    filename: str | None = None
    media_type: str | None = None


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
        keep_alive: Seconds that a connection is kept after a request.
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
        keep_alive: float = 5.0,
        retries: int = 0,
        backoff: Backoff | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._base_url = base_url if not base_url or base_url.endswith("/") else f"{base_url}/"
        self._authorization = "" if auth is None else f"Basic {b64encode(':'.join(auth).encode()).decode('ascii')}"
        self._timeout = timeout
        self._tls = tls
        self._max_body = max_body
        self._keep_alive = keep_alive
        self._retries = retries
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._proxy = proxy
        self._open = False
        self._transports: dict[Proxy | None, httpx.AsyncHTTPTransport] = {}

    def open(self) -> None:
        """Let requests be sent, as `async with` does; for programs that keep the client across functions and call `aclose` themselves."""
        self._open = True

    async def __aenter__(self) -> Self:
        self.open()
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
        parts: Sequence[Part] | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
    ) -> HttpResponse:
        """Send one request and read the whole answer.

        Args:
            method: As in HTTP.
            url: Absolute, or relative to `base_url`.
            headers: Besides those that the body needs.
            form: Pairs, sent as a form in their order; at most one of `form`, `json`, `content` and `parts`.
            json: Anything that JSON can hold.
            content: Bytes as they are.
            parts: The fields and files of a `multipart/form-data` body, in their order.
            timeout: Seconds, in place of the client's; for all attempts together.
            idempotent: Whether it may be done twice; None goes by the method.

        Raises:
            InvalidConfig: The URL, or the proxy's address, cannot be used.
            ConnectionLost: The host or the proxy cannot be reached, the proxy refused, or the connection broke.
            MessageTooLarge: The answer is larger than `max_body`.
            DeadlineExceeded: It took longer than the timeout.
        """
        sent = list(headers)
        if form is not None:
            content = urlencode(list(form)).encode()
            sent.append(("Content-Type", "application/x-www-form-urlencoded"))
        request, where = self._built(method, url, headers=sent, content=content, json=json, parts=parts)
        seconds = self._timeout if timeout is None else timeout
        response: HttpResponse | None = None
        deadline = self._clock.now() + seconds
        twice = request.method in IDEMPOTENT if idempotent is None else idempotent
        with self._clock.move_on_after(seconds):
            response = await self._attempts(request, where, twice=twice, deadline=deadline)
        if response is None:
            raise DeadlineExceeded(f"{method} {where}", seconds)
        return response

    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        json: Any = None,
        content: bytes | None = None,
        timeout: float | None = None,
    ) -> HttpStream:
        """Send one request, and read its answer as it comes: `async with await http.stream(…) as answer: …`.

        You must close what is returned.

        Args:
            method: As in HTTP.
            url: Absolute, or relative to `base_url`.
            headers: Besides those that the body needs.
            json: Anything that JSON can hold; at most one of `json` and `content`.
            content: Bytes as they are.
            timeout: Seconds until the answer's headers have come, in place of the client's.

        Raises:
            As `request`.
        """
        import httpx

        request, where = self._built(method, url, headers=list(headers), content=content, json=json)
        seconds = self._timeout if timeout is None else timeout
        response: httpx.Response | None = None
        with self._clock.move_on_after(seconds):
            response = await self._sent(request, where)
        if response is None:
            raise DeadlineExceeded(f"{method} {where}", seconds)
        return HttpStream(response, where, max_body=self._max_body, clock=self._clock)

    def _built(
        self,
        method: str,
        url: str,
        *,
        headers: list[tuple[str, str]],
        content: bytes | None,
        json: Any,
        parts: Sequence[Part] | None = None,
    ) -> "tuple[httpx.Request, str]":
        """The request, and what may be told of where it goes."""
        import httpx

        from trunkline.transport.http.body import WholeBody

        if not self._open:
            raise InvalidConfig("http", "the client is not open; use `async with HttpClient(…) as http`")
        whole = urljoin(self._base_url, url)
        if self._authorization and self._base_url and whole.startswith(self._base_url):
            headers = [*headers, ("Authorization", self._authorization)]
        try:
            request = httpx.Request(method, whole, headers=headers, content=content, json=json, files=_files(parts))
            where = _origin(whole)
        except (httpx.InvalidURL, ValueError):
            raise InvalidConfig("url", "not an address of the form https://host/path") from None
        request.stream = WholeBody(request.read())
        return request, where

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
                verify=self._tls or system_trust(),
                trust_env=False,
                proxy=through,
                limits=httpx.Limits(
                    max_connections=100, max_keepalive_connections=20, keepalive_expiry=self._keep_alive
                ),
            )
        return self._transports[proxy]

    async def _attempts(
        self,
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
                response = await self._exchange(request, where)
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
        return await self._exchange(request, where)

    async def _sent(self, request: "httpx.Request", where: str) -> "httpx.Response":
        import httpx

        try:
            return await self._transport_to(str(request.url)).handle_async_request(request)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ConnectionLost(1006, f"{where}: {innermost(error)}") from error

    async def _exchange(self, request: "httpx.Request", where: str) -> HttpResponse:
        response = await self._sent(request, where)
        async with HttpStream(response, where, max_body=self._max_body, clock=self._clock) as answer:
            return HttpResponse(answer.status, answer.headers, await answer.read())

    async def aclose(self) -> None:
        """Close what is open; any number of times."""
        self._open = False
        while self._transports:
            await self._transports.popitem()[1].aclose()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def _files(parts: Sequence[Part] | None) -> Any:
    """Parts in the way that httpx takes them."""
    if parts is None:
        return None
    return [(part.name, (part.filename, part.content, part.media_type)) for part in parts]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
