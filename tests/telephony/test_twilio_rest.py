"""The client of Twilio's REST interface: what it sends, and what it makes of the answers."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from trunkline.clock import ScaledClock
from trunkline.errors import (
    AuthFailed,
    CallNotFound,
    ConnectionLost,
    InvalidConfig,
    ProviderUnavailable,
    RequestRejected,
)
from trunkline.telephony.control import OutgoingCall
from trunkline.telephony.twilio_rest import TwilioRest
from trunkline.testing import TwilioSimulator
from trunkline.testing.twilio import Refuse
from trunkline.transport import Request, Response, Route, Server

pytestmark = pytest.mark.anyio

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "0123456789abcdef0123456789abcdef"
CALL = OutgoingCall(
    to="+15550100003",
    from_="+15550100002",
    answer_url="http://127.0.0.1:1/voice?call=k",
    status_url="http://127.0.0.1:1/status?call=k",
)


def rest(url: str, **options: Any) -> TwilioRest:
    settings: dict[str, Any] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "base_url": url,
        "clock": ScaledClock(10),
    }
    return TwilioRest(**(settings | options))


def simulator(**options: Any) -> TwilioSimulator:
    return TwilioSimulator(account_sid=ACCOUNT, auth_token=TOKEN, clock=ScaledClock(10), **options)


async def test_call_is_made_with_the_token_or_an_api_key() -> None:
    async with simulator(api_keys={"SK1": "secret"}) as carrier:
        for options in ({}, {"api_key": "SK1", "auth_token": "secret"}):
            async with rest(carrier.url, **options) as twilio:
                assert (await twilio.create(CALL)).startswith("CA")
        async with rest(carrier.url, auth_token="guessed") as twilio:
            with pytest.raises(AuthFailed) as refused:
                await twilio.create(CALL)
    assert refused.value.code == "20003"
    assert "guessed" not in f"{twilio!r}{refused.value!r}{refused.value}"


async def test_hanging_up_what_is_over_is_no_error() -> None:
    async with simulator() as carrier, rest(carrier.url) as twilio, carrier.next_call() as phone:
        call_id = await twilio.create(CALL)
        await phone.busy()
        await twilio.hang_up(call_id)


@pytest.mark.parametrize(
    "command",
    [
        lambda twilio: twilio.hang_up("CA9"),
        lambda twilio: twilio.transfer("CA9", "+15550100004"),
        lambda twilio: twilio.send_dtmf("CA9", "1", media_url="wss://gw.example.com/media"),
        lambda twilio: twilio.update("CA9", "<Response/>"),
    ],
    ids=["hang up", "transfer", "keys", "update"],
)
async def test_command_for_a_call_that_there_is_not(command: Callable[[TwilioRest], Awaitable[None]]) -> None:
    async with simulator() as carrier, rest(carrier.url) as twilio:
        with pytest.raises(CallNotFound) as caught:
            await command(twilio)
    assert caught.value.call_id == "CA9"


async def test_hanging_up_is_tried_again_where_dialling_is_not() -> None:
    async with simulator() as carrier, rest(carrier.url) as twilio:
        call_id = await twilio.create(CALL)
        carrier.script([Refuse(status=500, code=20500)])
        await twilio.hang_up(call_id)
        carrier.script([Refuse(status=500, code=20500, message="Internal error")])
        with pytest.raises(ProviderUnavailable, match=r"\[20500\] Internal error"):
            await twilio.create(CALL)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Response(502, "<html>proxy</html>", media_type="text/html"), ProviderUnavailable),
        (Response(400, "[]"), RequestRejected),
        (Response(400, '{"code": null, "message": 7}'), RequestRejected),
        (Response(201, "{}"), RequestRejected),
        (Response(201, "what"), RequestRejected),
    ],
)
async def test_answer_that_is_none_of_twilios_is_an_error_too(answer: Response, error: Any) -> None:
    async def odd(request: Request) -> Response:
        return answer

    path = "/2010-04-01/Accounts/{account}/Calls.json"
    async with Server([Route("POST", path, odd)]) as server, rest(server.url) as twilio:
        with pytest.raises(error) as caught:
            await twilio.create(CALL)
    assert caught.value.vendor == "twilio"


async def test_twilio_that_cannot_be_reached() -> None:
    async with rest("http://127.0.0.1:1") as twilio:
        with pytest.raises(ConnectionLost):
            await twilio.create(CALL)


@pytest.mark.parametrize("name", ["account_sid", "auth_token"])
def test_client_without_credentials_is_refused(name: str) -> None:
    with pytest.raises(InvalidConfig, match=name):
        rest("https://api.twilio.com", **{name: ""})
