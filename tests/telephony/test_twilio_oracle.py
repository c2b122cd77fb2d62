"""Twilio's own library as the judge of signatures and documents, of the package and of the simulated caller alike."""

from collections.abc import Iterator
from typing import Literal
from urllib.parse import parse_qsl
from xml.etree.ElementTree import canonicalize

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, VoiceResponse

from trunkline.clock import SYSTEM_CLOCK
from trunkline.testing.twilio.webhooks import CallRecord, Request, sign
from trunkline.wire.telephony.twilio import twiml
from trunkline.wire.telephony.twilio.signature import SignatureValidator, compute_signature

TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://gw.example.com/twilio/voice?tenant=7"
MEDIA = "wss://gw.example.com/twilio/media"

FIELDS = st.lists(st.tuples(st.text(min_size=1, max_size=6), st.text(max_size=12)), max_size=8)


class MultiDict:
    """Repeated names, in the shape that the library takes."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._pairs))

    def __len__(self) -> int:
        return len(self._pairs)

    def getall(self, name: str) -> list[str]:
        return [value for known, value in self._pairs if known == name]


@given(FIELDS)
@pytest.mark.parametrize("algorithm", ["HMAC_SHA1", "HMAC_SHA256"])
def test_the_same_signature_for_any_fields(
    algorithm: Literal["HMAC_SHA1", "HMAC_SHA256"], fields: list[tuple[str, str]]
) -> None:
    theirs = RequestValidator(TOKEN).compute_signature(URL, MultiDict(fields), algorithm=algorithm)
    assert compute_signature(TOKEN, URL, fields, algorithm=algorithm) == theirs


def test_what_the_library_signs_is_accepted() -> None:
    library, ours = RequestValidator(TOKEN), SignatureValidator(TOKEN)
    fields = [("CallSid", "CA1"), ("Digits", "3"), ("Digits", "1"), ("CallerName", "")]
    ours.verify_form(URL, fields, library.compute_signature(URL, MultiDict(fields)))
    ours.verify_get(URL, library.compute_signature(URL, {}))
    ours.verify_upgrade(MEDIA, library.compute_signature(MEDIA, {}))


@pytest.mark.parametrize(
    ("signed", "presented", "accepted"),
    [
        ("https://h:443/m", "https://h/m", True),
        ("https://h/m", "https://h:8443/m", True),
        ("wss://h/m", "wss://h:443/m", True),
        ("wss://h:443/m", "wss://h/m", False),
        ("wss://h:80/m", "wss://h/m", True),
        ("wss://h/m", "https://h/m", False),
    ],
)
def test_the_library_treats_ports_as_the_table_of_ours_says(signed: str, presented: str, accepted: bool) -> None:
    assert RequestValidator(TOKEN).validate(presented, {}, compute_signature(TOKEN, signed)) is accepted


# ── the simulated caller ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("extra", [{}, {"CallerName": "", "FromCity": "žluťoučký 🐎 & co"}])
def test_the_library_accepts_the_callers_webhook(extra: dict[str, str]) -> None:
    record = CallRecord(
        from_="+15550100001", to="+15550100002", account_sid="AC1", extra_fields=extra, clock=SYSTEM_CLOCK
    )
    request = Request(method="POST", url=f"{URL}#rc=2", fields=record.voice("ringing"), auth_token=TOKEN)
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    assert fields == record.voice("ringing")
    assert RequestValidator(TOKEN).validate(URL, fields, request.headers["X-Twilio-Signature"])


def test_the_library_accepts_the_callers_get() -> None:
    request = Request(method="GET", url=URL, fields={"From": "+15550100001"}, auth_token=TOKEN)
    assert request.url == f"{URL}&From=%2B15550100001"
    assert RequestValidator(TOKEN).validate(request.url, {}, request.headers["X-Twilio-Signature"])


def test_the_library_accepts_the_callers_upgrade() -> None:
    signature = sign(TOKEN, MEDIA)["X-Twilio-Signature"]
    assert signature == "XbuEIyqfcj7N6LuncPZwBi5k3OI="
    assert RequestValidator(TOKEN).validate(MEDIA, {}, signature)


@pytest.mark.parametrize("signing", ["wrong", "none"])
def test_the_library_refuses_what_the_caller_spoils(signing: Literal["wrong", "none"]) -> None:
    request = Request(method="POST", url=URL, fields={"a": "b"}, auth_token=TOKEN, signing=signing)
    assert not RequestValidator(TOKEN).validate(URL, {"a": "b"}, request.headers.get("X-Twilio-Signature", ""))


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_library_writes_the_same_documents() -> None:
    parameters = {"token": 'one "time" <secret> & more', "tenant": "7"}
    theirs = VoiceResponse()
    connect = Connect(action="https://gw.example.com/after?a=1&b=2", method="POST")
    stream = connect.stream(
        url=MEDIA,
        name="trunk",
        status_callback="https://gw.example.com/twilio/stream",
        status_callback_method="POST",
    )
    for name, value in parameters.items():
        stream.parameter(name=name, value=value)
    theirs.append(connect)
    ours = twiml.connect_stream(
        MEDIA,
        parameters=parameters,
        action="https://gw.example.com/after?a=1&b=2",
        name="trunk",
        status_callback="https://gw.example.com/twilio/stream",
    )
    assert canonicalize(ours) == canonicalize(str(theirs))


@pytest.mark.parametrize("reason", ["busy", "rejected"])
def test_the_library_rejects_and_hangs_up_the_same(reason: Literal["busy", "rejected"]) -> None:
    rejected, hung_up = VoiceResponse(), VoiceResponse()
    rejected.reject(reason=reason)
    hung_up.hangup()
    assert canonicalize(twiml.reject(reason)) == canonicalize(str(rejected))
    assert canonicalize(twiml.hangup()) == canonicalize(str(hung_up))


def test_the_library_transfers_presses_keys_and_speaks_the_same() -> None:
    transfer, keys, spoken = VoiceResponse(), VoiceResponse(), VoiceResponse()
    transfer.dial(caller_id="+15550100002", timeout=20).number("+15550100003")
    keys.play(digits="1w#")
    connect = Connect()
    connect.stream(url=MEDIA)
    keys.append(connect)
    spoken.say("We are closed.")
    spoken.hangup()
    assert canonicalize(twiml.dial("+15550100003", caller_id="+15550100002", timeout=20)) == canonicalize(str(transfer))
    assert canonicalize(twiml.connect_stream(MEDIA, digits="1w#")) == canonicalize(str(keys))
    assert canonicalize(twiml.say("We are closed.")) == canonicalize(str(spoken))
