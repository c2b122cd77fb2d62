"""What a server's handlers see and say: requests, responses, upgrades, and the routes that lead to a handler."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import unquote

from trunkline.errors import InvalidConfig
from trunkline.transport.http.headers import Headers
from trunkline.transport.websocket.connection import WebSocketConnection
from trunkline.transport.websocket.keep_alive import check_pings


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, its body read. `repr` shows the route and no value, since tokens travel in paths.

    Args:
        method: In upper case.
        path: As written on the wire, without the query.
        query: As written on the wire, without the question mark.
        headers: As sent.
        body: Whole and bounded.
        client: Address and port of the other end, if it has them.
        params: The `{name}` segments of the route, percent-decoded.
        target: Path and query as written on the wire; carriers sign it. Made from both if not given.
        route: The pattern that matched; fit for logs.
    """

    method: str
    path: str
    query: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    client: tuple[str, int] | None = None
    params: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    target: str = ""
    route: str = ""

    def __post_init__(self) -> None:
        if not self.target:
            object.__setattr__(self, "target", f"{self.path}?{self.query}" if self.query else self.path)

    @property
    def wants_websocket(self) -> bool:
        """Whether this asks for an upgrade to WebSocket (RFC 6455 section 4.1)."""
        return self.headers.lists("upgrade", "websocket") and self.headers.lists("connection", "upgrade")

    def __repr__(self) -> str:
        return f"Request({self.method} {self.route or '?'}, {len(self.headers)} headers, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; `str` bodies are sent as UTF-8.

    Args:
        status: The HTTP status.
        body: Sent whole.
        headers: Besides `Content-Length`, `Content-Type`, `Date` and `Connection`, which are made.
        media_type: The `Content-Type`; by default text for `str` and none for `bytes`.
    """

    status: int = 200
    body: str | bytes = field(default=b"", repr=False)
    headers: Sequence[tuple[str, str]] = field(default=(), kw_only=True, repr=False)
    media_type: str | None = field(default=None, kw_only=True)

    @property
    def content(self) -> bytes:
        """The body's bytes."""
        return self.body.encode() if isinstance(self.body, str) else self.body

    @property
    def content_type(self) -> str | None:
        """What the body is."""
        if self.media_type is None and isinstance(self.body, str):
            return "text/plain; charset=utf-8"
        return self.media_type


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Accept the WebSocket and run it; when `run` returns or raises, the server closes the connection.

    Args:
        run: Owns the connection until it returns.
        subprotocol: What to choose among those that the client offers.
        max_size: Bytes that a received message may have.
        ping_interval: See `WebSocketConnection`, as for `ping_timeout`.
        ping_timeout: See there.

    Raises:
        InvalidConfig: A ping's time is not above 0.
    """

    run: Callable[[WebSocketConnection], Awaitable[None]] = field(repr=False)
    subprotocol: str | None = field(default=None, kw_only=True)
    max_size: int = field(default=2**20, kw_only=True)
    ping_interval: float | None = field(default=20.0, kw_only=True)
    ping_timeout: float | None = field(default=20.0, kw_only=True)

    def __post_init__(self) -> None:
        check_pings(self.ping_interval, self.ping_timeout)


Handler = Callable[[Request], Awaitable[Response | Upgrade]]


class Route:
    """A method and a path pattern, `/calls/{call_id}/media`, that lead to a handler; GET answers HEAD too.

    Raises:
        InvalidConfig: The pattern does not begin with a slash.
    """

    def __init__(self, method: str, pattern: str, handler: Handler) -> None:
        if not pattern.startswith("/"):
            raise InvalidConfig("pattern", f"{pattern!r} does not begin with a slash")
        self.method = method.upper()
        self.pattern = pattern
        self.handler = handler
        self._segments = pattern.split("/")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that it answers."""
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    def match(self, path: str) -> dict[str, str] | None:
        """The named segments of `path`, decoded, if it fits; a name never matches nothing."""
        segments = path.split("/")
        if len(segments) != len(self._segments):
            return None
        params: dict[str, str] = {}
        for wanted, given in zip(self._segments, segments, strict=True):
            if wanted.startswith("{") and wanted.endswith("}"):
                if not given:
                    return None
                params[wanted[1:-1]] = unquote(given)
            elif wanted != given:
                return None
        return params

    def __repr__(self) -> str:
        return f"Route({self.method} {self.pattern})"


class Router:
    """Finds the first route that fits."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)

    def find(self, request: Request) -> tuple[Request, Handler] | Response:
        """The request with its `params` and `route`, and who handles it; or the 404 or 405 to answer."""
        allowed: list[str] = []
        for route in self._routes:
            params = route.match(request.path)
            if params is None:
                continue
            if request.method in route.methods:
                return replace(request, params=MappingProxyType(params), route=route.pattern), route.handler
            allowed += route.methods
        if allowed:
            return refusal(405, headers=[("Allow", ", ".join(sorted(set(allowed))))])
        return refusal(404)


def refusal(status: int, *, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """A response that says no more than its status."""
    return Response(status, f"{HTTPStatus(status).phrase}\n", headers=headers)
