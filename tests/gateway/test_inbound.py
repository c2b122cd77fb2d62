"""Before a call is answered: who may call how often, who decides in what time, and what is made ready meanwhile."""

from typing import Any

import anyio
import pytest

from tests.gateway.carrier import PlainGateway, PlainLine, fake
from trunkline.clock import ManualClock, ScaledClock
from trunkline.errors import CallRejected, ConnectionFailed
from trunkline.gateway import CallInfo
from trunkline.gateway.admission import Admission
from trunkline.gateway.twilio import TwilioGateway
from trunkline.transport import HttpClient

pytestmark = pytest.mark.anyio


class RingingGateway(PlainGateway):
    """All its lines have one format, so that sessions are opened while the phone rings."""

    line_traits = PlainLine.traits


def test_one_number_has_so_many_places() -> None:
    door = Admission(places=10, places_per_caller=2, clock=ManualClock())
    with door.place("C1", "+1"), door.place("C2", "+1"):
        with pytest.raises(CallRejected, match="busy"), door.place("C3", "+1"):
            pass
        with door.place("C1", "+1"), door.place("C4", "+2"), door.place("C5"), door.place("C6"), door.place("C7"):
            pass
    with door.place("C3", "+1"):
        pass


async def test_gateway_refuses_one_number_that_calls_too_often() -> None:
    async with PlainGateway(max_calls_per_caller=1) as gateway, gateway.phone("C1"):
        assert await gateway.announce("C2") == "busy"


async def test_handler_that_takes_too_long_refuses_the_call(caplog: pytest.LogCaptureFixture) -> None:
    async with PlainGateway(on_call_timeout=5, clock=ScaledClock(50)) as gateway:

        @gateway.on_call
        async def ponder(call: CallInfo) -> None:
            await anyio.sleep_forever()

        with anyio.fail_after(5):
            assert await gateway.announce() == "rejected"
        await gateway.until_empty()
    assert "took too long" in caplog.text


async def test_parameters_of_the_handler_go_with_the_call() -> None:
    async with PlainGateway() as gateway:

        @gateway.on_call
        async def know(call: CallInfo) -> None:
            call.parameters["customer"] = "42"

        async with gateway.phone():
            await gateway.until("session_started")
            assert gateway.sessions[0].parameters == {"customer": "42"}


# ── while the phone rings ────────────────────────────────────────────────────────────────────────────────────────────


async def test_session_is_open_before_the_media_comes() -> None:
    provider = fake()
    async with RingingGateway(realtime_provider=provider) as gateway:
        async with gateway.phone() as phone:
            await gateway.until("session_started")
            assert provider.opened == 1
            await phone.send("stop")
        await gateway.until_empty()
        path = await gateway.announce("C2")
        with anyio.fail_after(5):
            while provider.running == 0:
                await anyio.wait_all_tasks_blocked()
        assert gateway._admission.token_of("C2") == path.rpartition("/")[2], "the place is held meanwhile"
        assert await gateway.announce("C2") == path
        assert provider.opened == 2, "a call that is announced again has its session"
        await gateway.post("/over", "C2")
        with anyio.fail_after(5):
            while provider.running or gateway._prepared._by_call:
                await anyio.wait_all_tasks_blocked()


async def test_refused_call_opens_no_session() -> None:
    provider = fake()
    async with RingingGateway(realtime_provider=provider) as gateway:

        @gateway.on_call
        async def refuse(call: CallInfo) -> None:
            raise CallRejected("closed")

        assert await gateway.announce() == "closed"
        assert provider.opened == 0


async def test_session_that_cannot_be_opened_while_it_rings_is_told_in_the_call() -> None:
    provider = fake(failures=[ConnectionFailed("down")] * 9)
    async with RingingGateway(realtime_provider=provider) as gateway:
        async with gateway.phone():
            await gateway.until("session_ended")
        assert gateway.reasons() == ["provider_failed"]


async def test_gateway_that_stops_leaves_no_session_behind() -> None:
    provider = fake()
    async with RingingGateway(realtime_provider=provider) as gateway:
        await gateway.announce()
        with anyio.fail_after(5):
            while provider.running == 0:
                await anyio.wait_all_tasks_blocked()
    assert provider.running == 0


# ── Twilio's documents ───────────────────────────────────────────────────────────────────────────────────────────────


def twilio(**options: Any) -> TwilioGateway:
    settings: dict[str, Any] = {
        "listen_addr": "127.0.0.1:0",
        "verify_signatures": False,
        "realtime_provider": fake(),
        "stop_timeout": 0,
    }
    return TwilioGateway(**(settings | options))


async def inbound(gateway: TwilioGateway) -> str:
    form = b"CallSid=CA1&From=%2B1&To=%2B2"
    headers = [("content-type", "application/x-www-form-urlencoded")]
    async with HttpClient() as http:
        answer = await http.request("POST", f"{gateway.url}/voice/inbound", content=form, headers=headers)
    return answer.text


async def test_twilio_is_told_the_parameters_also_when_it_asks_again() -> None:
    async with twilio() as gateway:

        @gateway.on_call
        async def know(call: CallInfo) -> None:
            call.parameters["customer"] = "42"

        first = await inbound(gateway)
        assert '<Parameter name="customer" value="42" />' in first
        assert await inbound(gateway) == first


async def test_twilio_speaks_the_refusal() -> None:
    async with twilio() as gateway:

        @gateway.on_call
        async def closed(call: CallInfo) -> None:
            raise CallRejected("closed", say="We open at nine & close at five.")

        assert "<Say>We open at nine &amp; close at five.</Say><Hangup />" in await inbound(gateway)


async def test_parameters_that_twilio_would_not_take_refuse_the_call(caplog: pytest.LogCaptureFixture) -> None:
    async with twilio() as gateway:

        @gateway.on_call
        async def verbose(call: CallInfo) -> None:
            call.parameters["story"] = "x" * 600

        assert "<Reject" in await inbound(gateway)
        assert gateway._admission.token_of("CA1") is None
    assert "parameters" in caplog.text
