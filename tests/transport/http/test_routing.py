"""Routes, requests and responses by themselves."""

import pytest

from trunkline.errors import InvalidConfig
from trunkline.transport import Headers, Request, Response, Route
from trunkline.transport.http.routing import Router


async def first(request: Request) -> Response:
    return Response(201)


async def second(request: Request) -> Response:
    return Response(202)


@pytest.mark.parametrize(
    ("pattern", "path", "params"),
    [
        ("/", "/", {}),
        ("/a", "/a", {}),
        ("/a", "/a/", None),
        ("/a", "/A", None),
        ("/a/{x}/b/{y}", "/a/1/b/%C3%A9%2F", {"x": "1", "y": "é/"}),
        ("/a/{x}", "/a/", None),
        ("/a/{x}", "/a/1/2", None),
        ("/a.b", "/aXb", None),
    ],
)
def test_a_pattern_fits_whole_segments(pattern: str, path: str, params: dict[str, str] | None) -> None:
    assert Route("GET", pattern, first).match(path) == params


def test_the_first_route_that_fits_is_taken_and_named() -> None:
    router = Router([Route("get", "/a/new", first), Route("GET", "/a/{id}", second)])
    found = router.find(Request(method="HEAD", path="/a/new"))
    assert isinstance(found, tuple)
    assert found[1] is first
    found = router.find(Request(method="GET", path="/a/7"))
    assert isinstance(found, tuple)
    assert (found[0].params, found[0].route, found[1]) == ({"id": "7"}, "/a/{id}", second)


def test_a_pattern_without_a_slash_is_refused() -> None:
    with pytest.raises(InvalidConfig):
        Route("GET", "a", first)


def test_the_target_is_what_was_on_the_wire() -> None:
    assert Request(method="GET", path="/a%20b", query="x=1&x=2").target == "/a%20b?x=1&x=2"
    assert Request(method="GET", path="/a").target == "/a"
    assert Request(method="GET", path="/a", target="/a?").target == "/a?"


def test_no_value_of_a_request_is_shown() -> None:
    request = Request(
        method="POST",
        path="/SECRET",
        query="SECRET",
        headers=Headers([("Authorization", "SECRET")]),
        body=b"SECRET",
        params={"t": "SECRET"},
    )
    assert repr(request) == "Request(POST ?, 1 headers, 6 bytes)"
    assert repr(request.headers) == "Headers(Authorization)"
    assert "SECRET" not in repr(Response(200, "SECRET", headers=[("X", "SECRET")]))


def test_an_upgrade_is_asked_for_by_two_headers() -> None:
    both = [("connection", "keep-alive, Upgrade"), ("UPGRADE", "WebSocket")]
    assert Request(method="GET", path="/", headers=Headers(both)).wants_websocket
    for one in both:
        assert not Request(method="GET", path="/", headers=Headers([one])).wants_websocket


def test_a_text_body_says_that_it_is_text() -> None:
    assert (Response(200, "é").content, Response(200, "é").content_type) == ("é".encode(), "text/plain; charset=utf-8")
    assert Response(200, b"x").content_type is None
    assert Response(200, "<Response/>", media_type="text/xml").content_type == "text/xml"


def test_headers_are_found_without_regard_to_case() -> None:
    headers = Headers([("X-A", "1"), ("x-b", "2"), ("x-a", "3")])
    assert headers.get("X-a") == "1, 3"
    assert headers.get_all("x-A") == ["1", "3"]
    assert headers.get("no") is None
    assert headers.get("no", "none") == "none"
    assert "X-B" in headers
    assert "no" not in headers
    assert list(headers) == [("X-A", "1"), ("x-b", "2"), ("x-a", "3")]
    assert len(headers) == 3
    assert headers == Headers(list(headers))
    assert hash(headers) == hash(Headers(list(headers)))
