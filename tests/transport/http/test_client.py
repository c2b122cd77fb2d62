"""The HTTP client: what it sends, and one typed error for each way to fail."""

import logging
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import SocketStream

from tests.transport.connect_proxy import ConnectProxy, connect_proxy
from trunkline.clock import ScaledClock
from trunkline.errors import (
    ConnectionLost,
    DeadlineExceeded,
    InvalidConfig,
    MessageTooLarge,
    RemoteProtocolError,
    TransportError,
)
from trunkline.transport import Backoff, HttpClient, Request, Response, Route, Server

pytestmark = pytest.mark.anyio
RudeServer = Callable[[Callable[[SocketStream], Awaitable[None]]], AbstractAsyncContextManager[str]]
seen: list[Request] = []


async def remember(request: Request) -> Response:
    seen.append(request)
    return Response(201, '{"ok": true}', media_type="application/json", headers=[("X-A", "1"), ("X-A", "2")])


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    seen.clear()
    async with Server([Route("POST", "/v1/{name}", remember), Route("GET", "/v1/{name}", remember)]) as server:
        yield server


@pytest.mark.parametrize(
    ("what", "body", "kind"),
    [
        (
            {"form": [("b", "1 &"), ("a", "é"), ("b", "2")]},
            b"b=1+%26&a=%C3%A9&b=2",
            "application/x-www-form-urlencoded",
        ),
        ({"json": {"a": [1, "é"]}}, '{"a":[1,"é"]}'.encode(), "application/json"),
        ({"content": b"\x00raw"}, b"\x00raw", None),
        ({}, b"", None),
    ],
)
async def test_a_request_arrives_as_it_was_asked_for(
    server: Server, what: dict[str, Any], body: bytes, kind: str | None
) -> None:
    async with HttpClient(base_url=f"{server.url}/v1") as http:
        response = await http.request("POST", "calls?x=%20", headers=[("X-Key", "k")], **what)
    assert (response.status, response.json(), response.text) == (201, {"ok": True}, '{"ok": true}')
    assert response.headers.get_all("x-a") == ["1", "2"]
    request = seen[0]
    assert (request.target, request.body, request.headers.get("Content-Type")) == ("/v1/calls?x=%20", body, kind)
    assert request.headers.get("x-key") == "k"


async def test_connections_are_kept_and_given_back(server: Server) -> None:
    http = HttpClient()
    async with http:
        for _ in range(3):
            await http.request("GET", f"{server.url}/v1/a")
        assert server.connections == 1
    await http.aclose()
    assert len({request.client for request in seen}) == 1
    with pytest.raises(InvalidConfig, match="async with"):
        await http.request("GET", f"{server.url}/v1/a")


def saying(answer: bytes, *, hang_up: bool = True) -> Callable[[SocketStream], Awaitable[None]]:
    async def behave(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(answer)
        if not hang_up:
            await anyio.sleep(math.inf)

    return behave


@pytest.mark.parametrize(
    ("answer", "hang_up", "error"),
    [
        (b"", True, ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", True, ConnectionLost),
        (b"not HTTP at all\r\n\r\n", True, ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", False, DeadlineExceeded),
        (b"", False, DeadlineExceeded),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000, False, MessageTooLarge),
    ],
)
async def test_every_failure_is_a_transport_error_without_secrets(
    rude_server: RudeServer, caplog: pytest.LogCaptureFixture, answer: bytes, hang_up: bool, error: type[TransportError]
) -> None:
    caplog.set_level(logging.INFO)
    async with rude_server(saying(answer, hang_up=hang_up)) as url, HttpClient(timeout=0.3, max_body=1000) as http:
        with pytest.raises(error) as caught:
            await http.request("GET", url.replace("ws", "http"), headers=[("Authorization", "SECRET")])
    assert "SECRET" not in str(caught.value) + caplog.text


async def test_a_host_that_cannot_be_reached() -> None:
    async with HttpClient() as http:
        for url in ("http://nobody.invalid/?SECRET", "http://127.0.0.1:1/?SECRET"):
            with pytest.raises(ConnectionLost) as caught:
                await http.request("GET", url)
            assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://host/SECRET", "/SECRET", "http://host:port/SECRET", "http:///SECRET"])
async def test_an_address_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    async with HttpClient() as http:
        with pytest.raises(InvalidConfig) as caught:
            await http.request("GET", url)
    assert "SECRET" not in str(caught.value)


async def test_tls_is_checked(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with Server([Route("GET", "/", remember)], tls=server_tls) as server:
        async with HttpClient(tls=client_tls) as http:
            assert (await http.request("GET", server.url)).status == 201
        async with HttpClient() as http:
            with pytest.raises(ConnectionLost, match="certificate"):
                await http.request("GET", server.url)


async def test_a_cancelled_request_gives_its_socket_back(
    rude_server: RudeServer, open_files: Callable[[], int]
) -> None:
    async with HttpClient() as http:
        before = open_files()
        async with rude_server(saying(b"", hang_up=False)) as url:
            with anyio.move_on_after(0.05) as scope:
                await http.request("GET", url.replace("ws", "http"))
            assert scope.cancelled_caught
        await anyio.wait_all_tasks_blocked()
        assert open_files() == before


async def test_a_body_that_is_not_json_is_the_servers_fault(rude_server: RudeServer) -> None:
    answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops")
    async with rude_server(answer) as url, HttpClient() as http:
        response = await http.request("GET", url.replace("ws", "http"))
    with pytest.raises(RemoteProtocolError):
        response.json()
    assert "oops" not in repr(response)


async def test_body_without_a_length_is_read_to_its_end(rude_server: RudeServer) -> None:
    answer = saying(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    async with rude_server(answer) as url, HttpClient() as http:
        assert (await http.request("GET", url.replace("ws", "http"))).text == "all of it"


VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.mark.parametrize("how", ["environment", "argument"])
async def test_request_goes_through_the_proxy_of_environment_or_argument(
    authority: trustme.CA, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("carrier.test").configure_cert(context)
    proxy = ConnectProxy("ali:sesame@home")
    async with Server([Route("GET", "/", remember)], tls=context) as server, connect_proxy(proxy) as address:
        through = f"http://ali:sesame%40home@{address}"
        options: dict[str, Any] = {"proxy": through}
        if how == "environment":
            monkeypatch.setenv("HTTPS_PROXY", through)
            options = {}
        async with HttpClient(tls=client_tls, **options) as http:
            assert (await http.request("GET", f"https://carrier.test:{server.port}/")).status == 201
    assert proxy.targets == [f"carrier.test:{server.port}"]


async def test_this_machine_is_reached_without_the_proxy_of_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with HttpClient() as http:
        assert (await http.request("GET", f"{server.url}/v1/a")).status == 201


async def test_proxy_that_refuses_is_a_lost_connection_without_its_password() -> None:
    proxy = ConnectProxy("ali:other")
    async with connect_proxy(proxy) as address, HttpClient(proxy=f"http://ali:sesame@{address}") as http:
        with pytest.raises(ConnectionLost) as caught:
            await http.request("GET", "https://carrier.test/")
    assert "sesame" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


async def test_proxy_that_is_none_is_refused() -> None:
    async with HttpClient(proxy="socks5://sesame@127.0.0.1:1") as http:
        with pytest.raises(InvalidConfig) as caught:
            await http.request("GET", "https://carrier.test/")
    assert "sesame" not in str(caught.value)


# ── retries ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Flaky:
    """Answers each request with the next status, and the last one from then on."""

    def __init__(self, *statuses: int, after: str = "") -> None:
        self.statuses = list(statuses)
        self.after = after
        self.asked: list[tuple[float, bytes]] = []
        self.clock = ScaledClock(20)

    async def __call__(self, request: Request) -> Response:
        self.asked.append((self.clock.now(), request.body))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return Response(status, headers=[("Retry-After", self.after)] if self.after and status >= 400 else ())

    async def ask(self, method: str = "POST", **options: Any) -> int:
        routes = [Route(method, "/", self)]
        backoff = Backoff(first=0.5, jitter=0)
        async with (
            Server(routes, grace=0) as server,
            HttpClient(retries=2, backoff=backoff, timeout=20, clock=self.clock) as http,
        ):
            return (await http.request(method, server.url, content=b"the same", **options)).status


@pytest.mark.parametrize(
    ("statuses", "method", "options", "answer", "attempts"),
    [
        ([429, 200], "POST", {}, 200, 2),
        ([503, 503, 200], "POST", {}, 200, 3),
        ([429], "POST", {}, 429, 3),
        ([500, 200], "POST", {}, 500, 1),
        ([500, 200], "POST", {"idempotent": True}, 200, 2),
        ([502, 504, 200], "GET", {}, 200, 3),
        ([502, 200], "GET", {"idempotent": False}, 502, 1),
        ([400, 200], "GET", {}, 400, 1),
        ([200], "POST", {}, 200, 1),
    ],
)
async def test_request_is_sent_again_only_where_that_can_do_no_harm(
    statuses: list[int], method: str, options: dict[str, Any], answer: int, attempts: int
) -> None:
    server = Flaky(*statuses)
    assert await server.ask(method, **options) == answer
    assert [body for _, body in server.asked] == [b"the same"] * attempts


async def test_server_that_says_how_long_to_wait_is_obeyed() -> None:
    server = Flaky(429, 200, after="7")
    assert await server.ask() == 200
    (first, _), (second, _) = server.asked
    assert 7 <= second - first < 17


async def test_wait_beyond_the_deadline_returns_the_refusal_at_once() -> None:
    server = Flaky(429, after="3600")
    assert await server.ask() == 429
    assert len(server.asked) == 1


async def test_lost_connection_is_tried_again_for_idempotent_requests_alone(rude_server: RudeServer) -> None:
    attempts = []

    async def behave(stream: SocketStream) -> None:
        attempts.append(await stream.receive())

    backoff = Backoff(first=0.01)
    async with rude_server(behave) as url, HttpClient(retries=2, backoff=backoff) as http:
        for method, count in (("GET", 3), ("POST", 1)):
            attempts.clear()
            with pytest.raises(ConnectionLost):
                await http.request(method, url.replace("ws", "http"))
            assert len(attempts) == count
