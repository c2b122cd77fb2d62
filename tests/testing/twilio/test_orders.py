"""How strictly the simulated REST interface reads the creation of a call, and what else its phones do."""

import pytest

from trunkline.clock import ScaledClock
from trunkline.errors import CallError, DeadlineExceeded
from trunkline.testing import TwilioSimulator
from trunkline.testing.twilio.orders import CommandRefused, read_instructions, read_order

FORM = {"To": ["+15550100003"], "From": ["+15550100002"], "Url": ["https://gw.example.com/voice"]}


def test_full_order_is_read() -> None:
    more = {
        "Timeout": ["12"],
        "StatusCallback": ["https://gw.example.com/status"],
        "StatusCallbackEvent": ["initiated", "completed"],
        "Record": ["true"],
        "RecordingChannels": ["dual"],
        "MachineDetection": ["Enable"],
        "AsyncAmd": ["true"],
        "AsyncAmdStatusCallback": ["https://gw.example.com/status"],
        "SendDigits": ["1w#"],
        "Twiml": ["<Response/>"],
    }
    order = read_order(FORM | more)
    assert (order.to, order.from_, order.record) == ("+15550100003", "+15550100002", "dual")
    assert order.status_events == {"initiated", "completed"}
    first = order.instructions
    assert (first.url, first.twiml, first.timeout) == ("https://gw.example.com/voice", "", 12.0)  # Url wins
    assert (first.digits, first.detection) == ("1w#", "async")


def test_order_without_more_has_twilios_defaults() -> None:
    order = read_order(FORM)
    assert order.instructions.timeout == 60.0
    assert order.instructions.detection == ""
    assert order.status_events == {"completed"}
    assert order.status_callback is None
    assert order.record == ""


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"To": ["5550100"]}, 21211),
        ({"From": ["anonymous"]}, 21212),
        ({"Url": [""]}, None),
        ({"Url": ["ftp://gw"]}, None),
        ({"Url": [""], "Twiml": ["x" * 4001]}, None),
        ({"Timeout": ["601"]}, None),
        ({"Timeout": ["1.5"]}, None),
        ({"Record": ["yes"]}, None),
        ({"Method": ["PUT"]}, None),
        ({"MachineDetection": ["True"]}, None),
        ({"SendDigits": ["1" * 33]}, None),
        ({"StatusCallbackEvent": ["answered", "busy"]}, None),
        ({"StatusCallBack": ["https://gw"]}, None),
    ],
)
def test_order_that_twilio_would_not_take_is_refused(changed: dict[str, list[str]], code: int | None) -> None:
    with pytest.raises(CommandRefused) as caught:
        read_order(FORM | changed)
    assert caught.value.status == 400
    if code is not None:
        assert caught.value.code == code


def test_change_without_a_document_has_none() -> None:
    assert read_instructions({"Status": ["completed"]}) is None


@pytest.mark.anyio
async def test_phone_that_has_not_rung_knows_of_no_call() -> None:
    async with (
        TwilioSimulator(account_sid="AC1", auth_token="x", clock=ScaledClock(10)) as carrier,
        carrier.next_call() as phone,
    ):
        assert not phone.has_rung
        with pytest.raises(CallError, match="not rung"):
            phone.say(b"\xff")
        with pytest.raises(DeadlineExceeded):
            await phone.answer(timeout=0.5)
