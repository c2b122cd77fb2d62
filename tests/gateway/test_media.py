"""Which media sockets are let in, and what becomes of those that are not."""

import logging

import anyio
import pytest

from tests.gateway.carrier import PlainGateway, until_lost
from trunkline.audio import OPENAI
from trunkline.clock import ManualClock, ScaledClock
from trunkline.errors import HandshakeRejected, SignatureInvalid
from trunkline.gateway.media import TRY_AGAIN_LATER
from trunkline.transport import HttpClient, Request, connect_websocket
from trunkline.wire.telephony.events import StreamEvent, StreamStarted

pytestmark = pytest.mark.anyio


async def test_token_opens_one_socket() -> None:
    async with PlainGateway() as gateway:
        path = await gateway.admit(gateway.info())
        async with connect_websocket(gateway.url + path) as socket:
            await socket.send("start C1")
            await gateway.until("session_started")
            for used in (path, f"{path}x"):
                with pytest.raises(HandshakeRejected) as refused:
                    async with connect_websocket(gateway.url + used):
                        pass
                assert refused.value.status == 403
        assert len(gateway.sessions) == 1


async def test_token_is_not_used_up_by_a_request_that_opens_no_socket() -> None:
    async with PlainGateway() as gateway, HttpClient() as http:
        path = await gateway.admit(gateway.info())
        for method in ("GET", "HEAD"):
            assert (await http.request(method, gateway.url + path)).status == 426
        async with connect_websocket(gateway.url + path):
            pass


async def test_upgrade_that_is_not_signed_does_not_use_up_the_token(caplog: pytest.LogCaptureFixture) -> None:
    class Signed(PlainGateway):
        def verify_upgrade(self, request: Request) -> None:
            if "x-signed" not in request.headers:
                raise SignatureInvalid("the request is not signed")

    async with Signed() as gateway:
        path = await gateway.admit(gateway.info())
        with pytest.raises(HandshakeRejected, match="403"):
            async with connect_websocket(gateway.url + path):
                pass
        async with connect_websocket(gateway.url + path, headers=[("X-Signed", "yes")]):
            pass
    assert "the request is not signed" in caplog.text
    assert path.rpartition("/")[2] not in caplog.text


@pytest.mark.parametrize("message", ["start C2", "bad"])
async def test_media_of_another_call_or_unreadable_is_closed(message: str) -> None:
    async with PlainGateway(max_concurrent_calls=1) as gateway:
        async with connect_websocket(gateway.url + await gateway.admit(gateway.info())) as socket:
            await socket.send(message)
            assert await until_lost(socket) == 1002
        assert gateway.sessions == []
        await gateway.until_empty()


async def test_media_without_a_call_id_belongs_to_its_token() -> None:
    async with (
        PlainGateway() as gateway,
        connect_websocket(gateway.url + await gateway.admit(gateway.info())) as socket,
    ):
        await socket.send("start")
        await gateway.until("session_started")


async def test_media_in_another_format_than_the_line_has_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with PlainGateway() as gateway:
        line = gateway.open_line(None)  # type: ignore[arg-type]

        async def receive() -> StreamEvent:
            return StreamStarted("s", "C1", OPENAI)

        monkeypatch.setattr(line, "receive", receive)
        monkeypatch.setattr(gateway._media, "_open_line", lambda _: line)
        async with connect_websocket(gateway.url + await gateway.admit(gateway.info())) as socket:
            assert await until_lost(socket) == 1002
        assert gateway.sessions == []


async def test_media_that_does_not_begin_in_time_is_closed() -> None:
    clock = ScaledClock(50)
    async with PlainGateway(clock=clock, start_timeout=5) as gateway:
        began = clock.now()
        async with connect_websocket(gateway.url + await gateway.admit(gateway.info())) as socket:
            await socket.send("what is this?")
            assert await until_lost(socket) == 1002
            assert clock.now() - began >= 4.9
        assert gateway.sessions == []
        await gateway.until_empty()


async def test_socket_that_is_lost_before_the_start_gives_its_place_back(caplog: pytest.LogCaptureFixture) -> None:
    async with PlainGateway(max_concurrent_calls=1) as gateway:
        async with connect_websocket(gateway.url + await gateway.admit(gateway.info())):
            pass
        await gateway.until_empty()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_token_that_expires_while_the_socket_opens_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The gateway is full by then."""
    clock = ManualClock()
    gateway = PlainGateway(clock=clock, max_concurrent_calls=1)
    token = (await gateway.admit(gateway.info())).rpartition("/")[2]
    info = gateway._admission.redeem(token)
    assert info is not None
    await clock.advance(61)
    codes: list[int] = []

    class Socket:
        async def aclose(self, code: int = 1000, reason: str = "") -> None:
            codes.append(code)

    with gateway._admission.place("C2"), anyio.fail_after(5):
        await gateway._media._enter(info, Socket())  # type: ignore[arg-type]
    assert codes == [TRY_AGAIN_LATER]
    assert "came too late" in caplog.text
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
