"""Bodies that come piece by piece, on both sides."""

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from trunkline.errors import ConnectionLost, DeadlineExceeded, MessageTooLarge
from trunkline.transport import CutBody, HttpClient, Request, Response, Route, SendBody, Server

pytestmark = pytest.mark.anyio
left: list[str] = []


async def pieces(request: Request) -> Response:
    async def write(send: SendBody) -> None:
        try:
            for _ in range(3):
                await send(b"piece ")
            match request.params["then"]:
                case "cut":
                    raise CutBody
                case "stall":
                    await anyio.sleep_forever()
                case "fail":
                    raise RuntimeError
        finally:
            left.append(request.params["then"])

    return Response(200, write, media_type="text/plain", headers=[("X-A", "1")])


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    left.clear()
    async with Server([Route("GET", "/{then}", pieces)], grace=0.0) as server:
        yield server


async def test_a_streamed_body_arrives_whole_and_the_connection_is_kept(server: Server) -> None:
    async with HttpClient(base_url=server.url) as http:
        for _ in range(2):
            async with await http.stream("GET", "end") as answer:
                assert (answer.status, answer.headers.get("x-a")) == (200, "1")
                assert await answer.read() == b"piece piece piece "
                assert await answer.receive() == b""
        assert (await http.request("GET", "end")).body == b"piece piece piece "
        assert (await http.request("HEAD", "end")).body == b""
        assert server.connections == 1


@pytest.mark.parametrize("then", ["cut", "fail"])
async def test_a_body_without_its_end_is_a_lost_connection(server: Server, then: str) -> None:
    async with HttpClient(base_url=server.url) as http, await http.stream("GET", then) as answer:
        with pytest.raises(ConnectionLost):
            await answer.read()


async def test_a_body_that_stalls_ends_with_a_deadline(server: Server) -> None:
    async with HttpClient(base_url=server.url) as http, await http.stream("GET", "stall") as answer:
        with pytest.raises(DeadlineExceeded):  # noqa: PT012
            while True:
                await answer.receive(timeout=0.2)


async def test_leaving_a_body_cancels_its_writer(server: Server) -> None:
    async with HttpClient(base_url=server.url) as http:
        async with await http.stream("GET", "stall") as answer:
            assert await answer.receive()
            await answer.aclose()
        with anyio.fail_after(5):
            while not left:
                await anyio.lowlevel.checkpoint()


async def test_a_body_above_the_limit_is_not_read_on(server: Server) -> None:
    async with HttpClient(base_url=server.url, max_body=10) as http, await http.stream("GET", "end") as answer:
        with pytest.raises(MessageTooLarge):
            await answer.read()
