"""What the front door refuses, and what a refusal must not use up."""

import json
import logging
from urllib.parse import urlencode

import anyio
import httpx
import pytest

from tests.gateway.conftest import AUTH_TOKEN, StageFactory
from trunkline.errors import ConnectionLost
from trunkline.gateway import CallInfo, EventType
from trunkline.transport import connect_websocket
from trunkline.wire.telephony.twilio.signature import compute_signature

FORM = {"CallSid": "CA1", "From": "+1", "To": "+2"}


@pytest.mark.parametrize("call_id", ["", "CA1\nERROR trunkline: all is lost", "CA\x1b[2J", "C" * 65, "CA 1"])
async def test_a_call_id_that_is_none_is_refused_and_not_logged(
    stage: StageFactory, call_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with stage(verify_signatures=False) as on, httpx.AsyncClient() as http:
        answer = await http.post(f"{on.gateway.url}/voice/inbound", data=FORM | {"CallSid": call_id})
    assert answer.status_code == 400
    assert "all is lost" not in caplog.text


async def test_a_body_that_is_no_form_is_refused(stage: StageFactory) -> None:
    async with stage(verify_signatures=False) as on, httpx.AsyncClient() as http:
        for body in (b"\xff\xfe", b"CallSid=CA1&" + b"&".join(b"a=%d" % n for n in range(300))):
            answer = await http.post(f"{on.gateway.url}/voice/inbound", content=body)
            assert answer.status_code == 400


async def test_a_token_is_not_used_up_by_a_request_that_opens_no_socket(stage: StageFactory) -> None:
    async with stage(verify_signatures=False) as on, httpx.AsyncClient() as http:
        answer = await http.post(f"{on.gateway.url}/voice/inbound", data=FORM)
        path = "/ws/media-stream/" + answer.text.partition("/ws/media-stream/")[2].partition('"')[0]
        assert (await http.get(on.gateway.url + path)).status_code == 426
        assert (await http.head(on.gateway.url + path)).status_code == 426
        async with connect_websocket(on.gateway.url + path) as socket:
            await socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')


async def test_every_field_is_part_of_what_was_signed(stage: StageFactory) -> None:
    """Blank ones, repeated ones and those that nobody knows yet."""
    fields = [*FORM.items(), ("ToCity", ""), ("New", "1"), ("New", "2"), ("New", "ü & 100 %")]
    async with stage() as on, httpx.AsyncClient() as http:
        url = f"{on.gateway.url}/voice/inbound"
        headers = {
            "X-Twilio-Signature": compute_signature(AUTH_TOKEN, url, fields),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        assert (await http.post(url, content=urlencode(fields), headers=headers)).status_code == 200
        assert (await http.post(url, content=urlencode(fields[:-1]), headers=headers)).status_code == 403


async def test_a_status_callback_must_be_signed(stage: StageFactory) -> None:
    async with stage() as on, on.caller() as call, httpx.AsyncClient() as http:
        await on.until(EventType.SESSION_STARTED)
        url = f"{on.gateway.url}/voice/status"
        form = {"CallSid": on.sessions[0].id, "CallStatus": "completed"}
        assert (await http.post(url, data=form)).status_code == 403
        forged = {"X-Twilio-Signature": compute_signature("guessed", url, form.items())}
        assert (await http.post(url, data=form, headers=forged)).status_code == 403
        assert on.sessions[0].is_active
        going_on = {"CallSid": on.sessions[0].id, "CallStatus": "in-progress"}
        signed = {"X-Twilio-Signature": compute_signature(AUTH_TOKEN, url, going_on.items())}
        assert (await http.post(url, data=going_on, headers=signed)).status_code == 204
        assert on.sessions[0].is_active
        signed = {"X-Twilio-Signature": compute_signature(AUTH_TOKEN, url, form.items())}
        assert (await http.post(url, data=form, headers=signed)).status_code == 204
        await call.wait_for("completed", timeout=20)


async def test_a_caller_who_hangs_up_before_the_media_gives_the_place_back(stage: StageFactory) -> None:
    async with stage(verify_signatures=False, max_concurrent_calls=1) as on, httpx.AsyncClient() as http:
        await http.post(f"{on.gateway.url}/voice/inbound", data=FORM)
        assert (await http.get(f"{on.gateway.url}/ready")).status_code == 503
        await http.post(f"{on.gateway.url}/voice/status", data={"CallSid": "CA1", "CallStatus": "canceled"})
        assert (await http.get(f"{on.gateway.url}/ready")).status_code == 200


async def test_behind_a_proxy_with_a_path(stage: StageFactory) -> None:
    """Signatures are over the public address, whatever host the request was sent to."""
    public = "https://agent.example.com/phone"
    async with stage(public_url=public) as on, httpx.AsyncClient() as http:
        signature = compute_signature(AUTH_TOKEN, f"{public}/voice/inbound", FORM.items())
        answer = await http.post(
            f"{on.gateway.url}/phone/voice/inbound", data=FORM, headers={"X-Twilio-Signature": signature}
        )
        assert answer.status_code == 200
        assert 'url="wss://agent.example.com/phone/ws/media-stream/' in answer.text
        assert (await http.post(f"{on.gateway.url}/voice/inbound", data=FORM)).status_code == 404


def start(*, call_id: str = "CA1", encoding: str = "audio/x-mulaw", sample_rate: int = 8000) -> str:
    details = {
        "streamSid": "MZ1",
        "accountSid": "AC1",
        "callSid": call_id,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": encoding, "sampleRate": sample_rate, "channels": 1},
        "customParameters": {},
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": details})


@pytest.mark.parametrize(
    "message",
    [start(call_id="CA2"), start(sample_rate=16000), start(encoding="audio/l16"), "{", '{"event":"media"}'],
    ids=["another call", "another rate", "another encoding", "no json", "media first"],
)
async def test_media_that_cannot_be_this_calls_is_closed(stage: StageFactory, message: str) -> None:
    async with stage(verify_signatures=False, max_concurrent_calls=1) as on, httpx.AsyncClient() as http:
        info = CallInfo(call_id="CA1", from_="", to="", direction="inbound", start_time=on.clock.wall())
        async with connect_websocket(on.gateway.url + await on.gateway.admit(info)) as socket:
            await socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
            await socket.send(message)
            with pytest.raises(ConnectionLost) as lost:
                await socket.receive()
        assert lost.value.code == 1002
        assert on.sessions == []
        with anyio.fail_after(10):
            while (await http.get(f"{on.gateway.url}/ready")).status_code != 200:
                await anyio.wait_all_tasks_blocked()


async def test_media_that_does_not_begin_is_closed(stage: StageFactory) -> None:
    async with stage(verify_signatures=False, start_timeout=1.0) as on:
        info = CallInfo(call_id="CA1", from_="", to="", direction="inbound", start_time=on.clock.wall())
        async with connect_websocket(on.gateway.url + await on.gateway.admit(info)) as socket:
            with anyio.fail_after(10), pytest.raises(ConnectionLost):
                await socket.receive()
        assert on.sessions == []
