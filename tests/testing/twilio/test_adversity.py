"""What the simulated caller makes of refusals, of a gateway's mistakes, and the trouble it makes itself."""

import json
from typing import Any

import anyio
import pytest

from tests.testing.small_gateway import Gateway, Line, caller, ticks
from trunkline.clock import ManualClock
from trunkline.errors import CallError, DeadlineExceeded, InvalidConfig
from trunkline.testing.twilio import TwilioCaller
from trunkline.transport import Response

pytestmark = pytest.mark.anyio


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "no-answer")])
async def test_a_rejected_call(gateway: Gateway, reason: str, status: str) -> None:
    gateway.answer(f'<Reject reason="{reason}"/>')
    async with caller(gateway, status_callback_url=f"{gateway.url}/status") as call:
        assert call.refused == reason
        await call.wait_ended()
    assert gateway.told("/status")[0]["CallStatus"] == status
    assert "answered" not in [event for _, event in call.timeline]


@pytest.mark.parametrize("sign", [False, "wrong"])
async def test_a_webhook_that_is_not_signed_by_twilio(gateway: Gateway, sign: Any) -> None:
    async with caller(gateway, sign=sign) as call:
        assert call.refused == "403"
        assert [code for code, _ in call.errors] == [11200]


@pytest.mark.parametrize("spoilt", [{"sign_upgrade": False}, {"sign_upgrade": "wrong"}, {"sign_upgrade_as": "https"}])
async def test_an_upgrade_that_is_not_signed_by_twilio(gateway: Gateway, spoilt: dict[str, Any]) -> None:
    gateway.connect()
    async with caller(gateway, **spoilt) as call:
        await call.wait_ended()
        assert call.refused == "403"
        assert [code for code, _ in call.errors] == [31920]
        with pytest.raises(CallError, match="no media stream"):
            await call.press("5")


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        ("wss://gw.example.com/media?token=1", 31920),
        ("ws://gw.example.com/media", 31922),
        ("ws://127.0.0.1:1/media", 31902),
        ("nowhere", 31920),
    ],
)
async def test_a_stream_that_twilio_cannot_open(gateway: Gateway, stream: str, code: int) -> None:
    gateway.answer(f'<Connect><Stream url="{stream}"/></Connect>')
    async with caller(gateway) as call:
        await call.wait_ended()
    assert [known for known, _ in call.errors] == [code]
    assert call.refused


@pytest.mark.parametrize(
    ("answer", "refused", "code"),
    [
        (Response(500), "500", 11200),
        (Response(200, "<Response>", media_type="text/xml"), "well-formed", 12100),
        (Response(200, "<Response/>", media_type="text/html"), "content type", 12100),
    ],
)
async def test_an_answer_that_is_no_document(gateway: Gateway, answer: Response, refused: str, code: int) -> None:
    gateway.documents.append(answer)
    async with caller(gateway) as call:
        await call.wait_ended()
    assert refused in (call.refused or "")
    assert [known for known, _ in call.errors] == [code]


async def test_a_gateway_that_is_not_there() -> None:
    async with TwilioCaller(webhook_url="http://127.0.0.1:1/voice", auth_token="x") as call:
        assert call.refused == "unreachable"


@pytest.mark.parametrize("url", ["http://gw.example.com/voice", "ftp://127.0.0.1/voice", "https:///voice", "voice"])
def test_a_webhook_that_twilio_would_not_call(url: str) -> None:
    with pytest.raises(InvalidConfig):
        TwilioCaller(webhook_url=url, auth_token="x")


# ── adversity ────────────────────────────────────────────────────────────────────────────────────────────────────────

INVALID: list[tuple[int, Any]] = [  # as written, or with the stream's id in place of SID
    (31950, b"\x00"),
    (31951, "{"),
    (31951, "[]"),
    (31951, "{}"),
    (31951, {"event": "dtmf", "streamSid": "SID"}),
    (31951, {"event": ["clear"], "streamSid": "SID"}),
    (31951, {"event": "clear"}),
    (31951, {"event": "clear", "streamSid": "MZ2"}),
    (31951, {"event": "clear", "stream_sid": "SID"}),
    (31951, {"event": "clear", "streamSid": "SID", "extra": 1}),
    (31951, {"event": "media", "streamSid": "SID"}),
    (31951, {"event": "media", "streamSid": "SID", "media": {}}),
    (31951, {"event": "media", "streamSid": "SID", "media": {"payload": "YQ"}}),
    (31951, {"event": "media", "streamSid": "SID", "media": {"payload": "\u017e"}}),
    (31951, {"event": "media", "streamSid": "SID", "media": {"payload": "", "track": "x"}}),
    (31951, {"event": "mark", "streamSid": "SID", "mark": {"name": 7}}),
    (31951, {"event": "mark", "streamSid": "SID", "mark": "a"}),
]


async def test_messages_that_twilio_would_ignore_are_counted(gateway: Gateway) -> None:
    async def run(line: Line) -> None:
        await line.receive_until("start")
        for _, message in INVALID:
            is_whole = isinstance(message, str | bytes)
            await line.socket.send(message if is_whole else json.dumps(message).replace("SID", line.stream_sid))
        await line.mark("still there")
        await gateway.record(line)

    gateway.run = run
    gateway.connect()
    async with caller(gateway) as call:
        await call.wait_for("mark still there")
    assert [code for code, _ in call.warnings] == [code for code, _ in INVALID]


async def test_keys(gateway: Gateway) -> None:
    gateway.connect()
    async with caller(gateway, clock=ManualClock()) as call:
        await call.press("5#")
        await gateway.until(lambda: len(gateway.of("dtmf")) == 2)
        with pytest.raises(ValueError, match="no keys"):
            await call.press("x")
    assert [message["dtmf"] for message in gateway.of("dtmf")] == [
        {"track": "inbound_track", "digit": "5"},
        {"track": "inbound_track", "digit": "#"},
    ]


async def test_a_line_that_drops(gateway: Gateway) -> None:
    gateway.connect()
    async with caller(gateway, status_callback_url=f"{gateway.url}/status") as call:
        await call.drop()
        assert call.ended_by == "dropped"
    await gateway.until(lambda: gateway.lost is not None)
    assert gateway.lost is not None
    assert gateway.lost.code == 1006
    assert gateway.of("stop") == []
    assert gateway.paths()[-1] == "/status"


async def test_frames_held_back_come_in_one_burst(gateway: Gateway) -> None:
    clock = ManualClock()
    gateway.connect()
    async with caller(gateway, clock=clock) as call:
        await gateway.until(lambda: len(gateway.of("media")) == 1)
        call.hold(5)
        await ticks(clock, 4)
        await call.press("1")
        await anyio.wait_all_tasks_blocked()
        assert len(gateway.messages) == 3
        await ticks(clock, 1)
        await gateway.until(lambda: len(gateway.messages) == 9)
    numbers = [int(message["sequenceNumber"]) for message in gateway.messages[1:]]
    assert numbers == sorted(numbers)
    assert len(call.sent) == 6 * 160


async def test_a_caller_that_does_not_read(gateway: Gateway) -> None:
    gateway.connect()
    played = anyio.Event()

    async def run(line: Line) -> None:
        await line.receive_until("start")
        await played.wait()
        for name in "ab":
            await line.mark(name)
        await gateway.record(line)

    gateway.run = run
    async with caller(gateway) as call:
        call.stop_reading()
        played.set()
        with pytest.raises(DeadlineExceeded):
            await call.wait_for("queued", 0.1)
        call.read_on()
        await call.wait_for("queued", count=2)


async def test_a_webhook_that_is_repeated(gateway: Gateway) -> None:
    gateway.connect()
    gateway.answer("<Reject/>")
    async with caller(gateway, webhook_copies=2) as call:
        assert call.refused is None
    first, second = (request for path, _, request in gateway.requests if path == "/voice")
    assert first.headers.get("I-Twilio-Idempotency-Token") == second.headers.get("I-Twilio-Idempotency-Token")
    assert first.body == second.body


@pytest.mark.parametrize(("mixed", "order"), [(False, "0123"), (True, "3210")])
async def test_progress_is_told_in_order_or_not(gateway: Gateway, mixed: bool, order: str) -> None:
    gateway.connect()
    async with caller(
        gateway,
        status_callback_url=f"{gateway.url}/status",
        status_events=["initiated", "ringing", "answered", "completed"],
        status_out_of_order=mixed,
    ):
        pass
    told = gateway.told("/status")
    assert "".join(fields["SequenceNumber"] for fields in told) == order
    statuses = sorted(told, key=lambda fields: fields["SequenceNumber"])
    assert [fields["CallStatus"] for fields in statuses] == ["initiated", "ringing", "in-progress", "completed"]


async def test_a_webhook_by_get(gateway: Gateway) -> None:
    gateway.connect()
    async with caller(gateway, webhook_method="GET") as call:
        assert call.refused is None
    assert gateway.told("/voice")[0]["From"] == "+15550100001"
