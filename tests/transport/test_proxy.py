"""Connections through an HTTP proxy, and which proxy the environment means."""

import ssl

import pytest
import trustme

from tests.transport.conftest import RudeServer, accept_echo
from tests.transport.connect_proxy import ConnectProxy, connect_proxy
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, DeadlineExceeded, InvalidConfig, TransportError
from trunkline.transport import Route, Server, connect_websocket
from trunkline.transport.proxy import ENVIRONMENT, Proxy, proxy_to

pytestmark = pytest.mark.anyio

VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
PASSWORD = "sesame%40home"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("credentials", ["", "ali:sesame@home"])
async def test_an_echo_through_a_proxy(echo_server: Server, credentials: str) -> None:
    proxy = ConnectProxy(credentials)
    user = f"ali:{PASSWORD}@" if credentials else ""
    async with connect_proxy(proxy) as address:
        url = f"{echo_server.url}/echo".replace("127.0.0.1", "vendor.test")
        async with connect_websocket(url, proxy=f"http://{user}{address}") as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
    assert proxy.targets == [f"vendor.test:{echo_server.url.rpartition(':')[2]}"]


async def test_tls_is_with_the_host_not_with_the_proxy(
    authority: trustme.CA, client_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("vendor.test").configure_cert(context)
    proxy = ConnectProxy()
    async with Server([Route("GET", "/echo", accept_echo)], tls=context) as server, connect_proxy(proxy) as address:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        port = server.url.rpartition(":")[2]
        url = f"wss://vendor.test:{port}/echo"
        async with connect_websocket(url, tls=client_tls, proxy=ENVIRONMENT) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"
    assert proxy.targets == [f"vendor.test:{port}"]


async def _refused(url: str, proxy: str) -> TransportError:
    with pytest.raises(TransportError) as caught:
        async with connect_websocket(url, proxy=proxy, connect_timeout=2.0):
            pytest.fail("it must not open")
    assert "sesame" not in f"{caught.value} {caught.value!r} {caught.value.__cause__} {caught.value.__cause__!r}"
    return caught.value


async def test_a_proxy_that_does_not_know_us() -> None:
    async with connect_proxy(ConnectProxy("ali:other")) as address:
        error = await _refused("wss://vendor.test/", f"http://ali:{PASSWORD}@{address}")
    assert isinstance(error, ConnectionLost)
    assert str(error) == (
        "the connection ended with code 1006: "
        f"the proxy http://{address} refused to connect to vendor.test:443, HTTP status 407"
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 403 No\r\n\r\n", "HTTP status 403"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not answer in HTTP"),
        (b"HTTP/1.1 200", "broke off"),
    ],
)
async def test_a_proxy_that_does_not_do_it(answer: bytes, told: str) -> None:
    async with connect_proxy(ConnectProxy(answer=answer)) as address:
        error = await _refused("wss://vendor.test/", f"http://ali:{PASSWORD}@{address}")
    assert isinstance(error, ConnectionLost)
    assert told in str(error)


async def test_a_proxy_that_is_not_there() -> None:
    async with connect_proxy(ConnectProxy()) as address:
        pass
    error = await _refused("wss://vendor.test/", f"ali:{PASSWORD}@{address}")
    assert f"the proxy http://{address} cannot be reached: Connection refused" in str(error)


async def test_a_proxy_that_says_nothing_is_given_up(rude_server: RudeServer) -> None:
    clock = ManualClock()

    async def hold(stream: object) -> None:
        await stream.receive()  # type: ignore[attr-defined]
        await clock.advance(4.0)
        await stream.receive()  # type: ignore[attr-defined]

    async with rude_server(hold) as url:
        address = url.removeprefix("ws://").partition("/")[0]
        with pytest.raises(DeadlineExceeded):
            async with connect_websocket(
                "wss://vendor.test/", proxy=f"http://{address}", connect_timeout=3, clock=clock
            ):
                pytest.fail("it must not open")


@pytest.mark.parametrize("address", ["socks5://h:1", "http://", "http://u:sesame@h:notaport", "ftp://sesame@h"])
async def test_what_is_not_the_address_of_a_proxy(address: str) -> None:
    with pytest.raises(InvalidConfig, match="proxy: must be") as caught:
        async with connect_websocket("wss://vendor.test/", proxy=address):
            pytest.fail("it must not open")
    assert "sesame" not in str(caught.value)


def test_a_proxys_address() -> None:
    proxy = proxy_to("vendor.test", 443, secure=True, proxy="https://ali:se%3Asame@[::1]")
    assert proxy is not None
    assert (proxy.host, proxy.port, proxy.secure) == ("::1", 443, True)
    assert proxy.authorization == "Basic YWxpOnNlOnNhbWU="
    assert str(proxy) == "https://[::1]:443"
    assert "YWxp" not in repr(proxy)
    assert proxy_to("vendor.test", 443, secure=True, proxy=None) is None
    assert proxy_to("vendor.test", 443, secure=True, proxy="p:8080") == Proxy("p", 8080)


@pytest.mark.parametrize(
    ("variables", "secure", "expected"),
    [
        ({}, True, None),
        ({"HTTPS_PROXY": "http://a:1"}, True, "http://a:1"),
        ({"https_proxy": "http://b:1", "HTTPS_PROXY": "http://a:1"}, True, "http://b:1"),
        ({"HTTPS_PROXY": "http://a:1"}, False, None),
        ({"http_proxy": "http://a:1"}, False, "http://a:1"),
        ({"HTTP_PROXY": "http://evil:1"}, False, None),
        ({"ALL_PROXY": "http://a:1"}, True, "http://a:1"),
        ({"HTTPS_PROXY": ""}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "no_proxy": "x, api.vendor.test"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "vendor.test"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*.Vendor.test"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "vendor.test:443"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "vendor.test:8443"}, True, "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "dor.test,,other.test"}, True, "http://a:1"),
    ],
)
def test_the_environments_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], secure: bool, expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = proxy_to("api.vendor.test", 443, secure=secure, proxy=ENVIRONMENT)
    assert (None if found is None else str(found)) == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_this_machine_is_reached_directly(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://a:1")
    assert proxy_to(host, 443, secure=True, proxy=ENVIRONMENT) is None
    assert proxy_to(host, 443, secure=True, proxy="http://a:1") == Proxy("a", 1)
