"""What Twilio's own library signs is accepted at the front door, and whatever was changed on the way is refused."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from tests.gateway.carrier import fake
from tests.telephony.test_twilio_oracle import MultiDict
from trunkline.gateway import CallInfo
from trunkline.gateway.twilio import TwilioGateway
from trunkline.transport import HttpClient

pytestmark = pytest.mark.anyio

TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC = "https://agent.example.com:8443/phone"
CALL = "CA00000000000000000000000000000001"
FIELDS = [
    ("CallSid", CALL),
    ("AccountSid", "AC00000000000000000000000000000001"),
    ("From", "+15550100001"),
    ("To", "+15550100002"),
    ("CallStatus", "ringing"),
    ("CallerName", ""),
    ("FromCity", "žluťoučký 🐎 & co"),
    ("Digits", "3"),
    ("Digits", "1"),
]
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}


@dataclass(frozen=True)
class Signed:
    """A request as it is sent: to which path, with what."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def header(self, **changes: str | None) -> "Signed":
        merged: dict[str, str | None] = {**self.headers, **{k.replace("_", "-"): v for k, v in changes.items()}}
        return replace(self, headers={name: value for name, value in merged.items() if value is not None})

    @property
    def signature(self) -> str:
        return self.headers["X-Twilio-Signature"]


def form(path: str = "/voice/inbound", *, token: str = TOKEN, public: str = PUBLIC, **how: Any) -> Signed:
    signature = RequestValidator(token).compute_signature(public + path, MultiDict(FIELDS), **how)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    return Signed("POST", path, urlencode(FIELDS).encode(), headers)


def json_body(value: Any = None) -> Signed:
    body = json.dumps({"CallSid": CALL, "CallStatus": "in-progress"} if value is None else value).encode()
    path = f"/voice/status?tenant=7&bodySHA256={hashlib.sha256(body).hexdigest()}"
    # The library signs the address alone where the body's hash stands in it.
    signature = RequestValidator(TOKEN).compute_signature(PUBLIC + path, {})
    assert RequestValidator(TOKEN).validate(PUBLIC + path, body.decode(), signature)
    return Signed("POST", path, body, {"X-Twilio-Signature": signature, "Content-Type": "application/json"})


def upgrade(path: str = "/ws/media-stream/TOKEN", *, scheme: str = "wss", token: str = TOKEN) -> Signed:
    address = f"{scheme}{PUBLIC.removeprefix('https')}{path}"
    return Signed(
        "GET", path, b"", UPGRADE | {"X-Twilio-Signature": RequestValidator(token).compute_signature(address, {})}
    )


@pytest.fixture
async def send() -> AsyncIterator[Callable[[Signed], Any]]:
    gateway = TwilioGateway(
        auth_token=TOKEN,
        listen_addr="127.0.0.1:0",
        public_url=PUBLIC,
        realtime_provider=fake(),
        stop_timeout=0.1,
    )
    async with gateway, HttpClient() as http:

        async def to_gateway(request: Signed) -> int:
            address = gateway.url + "/phone" + request.path
            answer = await http.request(
                request.method, address, headers=request.headers.items(), content=request.body or None
            )
            return answer.status

        yield to_gateway


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (form(), 200),
        (form("/voice/inbound?tenant=7&x=a%20b"), 200),
        (form("/voice/status"), 204),
        (form(public="https://agent.example.com/phone"), 200),  # the library takes both for the same, too
        (json_body(), 204),
    ],
    ids=["form", "query", "status", "without the port", "JSON"],
)
async def test_what_the_library_signs_is_accepted(send: Callable[[Signed], Any], request_: Signed, status: int) -> None:
    assert await send(request_) == status


async def test_upgrade_that_the_library_signs_is_accepted() -> None:
    gateway = TwilioGateway(
        auth_token=TOKEN, listen_addr="127.0.0.1:0", public_url=PUBLIC, realtime_provider=fake(), stop_timeout=0.1
    )
    async with gateway, HttpClient() as http:
        info = CallInfo(call_id=CALL, from_="", to="", direction="inbound", start_time=gateway.clock.wall())
        path = await gateway.admit(info)
        spoilt = [
            upgrade(path, token="guessed"),
            upgrade(path, scheme="https"),
            upgrade(path).header(X_Twilio_Signature=None),
        ]
        for request in spoilt:
            refused = await http.request("GET", f"{gateway.url}/phone{path}", headers=request.headers.items())
            assert refused.status == 403
        plain = upgrade(path).header(Upgrade=None, Connection=None)
        answer = await http.request("GET", f"{gateway.url}/phone{path}", headers=plain.headers.items())
        assert answer.status == 426  # the signature was right, and the token is not used up by this


CHANGED = urlencode([*FIELDS[:2], ("From", "+15550100009"), *FIELDS[3:]]).encode()
OTHER_BODY = b'{"CallSid": "CA9", "CallStatus": "completed"}'
OTHER_HASH = hashlib.sha256(OTHER_BODY).hexdigest()

TAMPERINGS: dict[str, Signed] = {
    "no signature": form().header(X_Twilio_Signature=None),
    "an empty signature": form().header(X_Twilio_Signature=""),
    "a signature that is no base64": form().header(X_Twilio_Signature="%%%"),
    "a signature cut short": form().header(X_Twilio_Signature=form().signature[:-2]),
    "a signature with more behind it": form().header(X_Twilio_Signature=form().signature + "AA"),
    "a signature in other letters": form().header(X_Twilio_Signature=form().signature.swapcase()),
    "another token": form(token="fedcba9876543210fedcba9876543210"),
    "an empty token": form(token=""),
    "a field changed": replace(form(), body=CHANGED),
    "a field taken out": replace(form(), body=urlencode(FIELDS[1:]).encode()),
    "a blank field taken out": replace(form(), body=urlencode([f for f in FIELDS if f[0] != "CallerName"]).encode()),
    "a field added": replace(form(), body=urlencode([*FIELDS, ("Extra", "1")]).encode()),
    "a repeated field changed": replace(form(), body=urlencode([*FIELDS[:-1], ("Digits", "2")]).encode()),
    "a repeated field once only": replace(form(), body=urlencode(FIELDS[:-1]).encode()),
    "a name in other letters": replace(form(), body=form().body.replace(b"From=", b"from=")),
    "no body": replace(form(), body=b""),
    "a query added": replace(form(), path="/voice/inbound?tenant=8"),
    "a query changed": replace(form("/voice/inbound?tenant=7"), path="/voice/inbound?tenant=8"),
    "a query taken out": replace(form("/voice/inbound?tenant=7"), path="/voice/inbound"),
    "a query in another order": replace(form("/voice/inbound?a=1&b=2"), path="/voice/inbound?b=2&a=1"),
    "a query written otherwise": replace(form("/voice/inbound?x=a%20b"), path="/voice/inbound?x=a+b"),
    "another path of ours": replace(form(), path="/voice/status"),
    "another host": form(public="https://other.example.com:8443/phone"),
    "another port": form(public="https://agent.example.com:9443/phone"),
    "without the prefix": form(public="https://agent.example.com:8443"),
    "http for https": form(public="http://agent.example.com:8443/phone"),
    "SHA-256 without a shared key": form(algorithm="HMAC_SHA256"),
    "SHA-256 by the header alone": form(algorithm="HMAC_SHA256").header(
        X_Twilio_Webhooks_Signature_Settings="key=k1,algorithm=HMAC_SHA256"
    ),
    "an algorithm that is not known": form().header(X_Twilio_Webhooks_Signature_Settings="algorithm=MD5"),
    "a form called JSON": form().header(Content_Type="application/json"),
    "JSON changed": replace(json_body(), body=OTHER_BODY),
    "JSON changed, with its hash": replace(
        json_body(), body=OTHER_BODY, path=f"/voice/status?tenant=7&bodySHA256={OTHER_HASH}"
    ),
    "JSON without a hash": replace(json_body(), path="/voice/status?tenant=7"),
    "JSON with two hashes": replace(json_body(), path=json_body().path + f"&bodySHA256={OTHER_HASH}"),
    "JSON called a form": json_body().header(Content_Type="application/x-www-form-urlencoded"),
    "an upgrade signed as https": upgrade(scheme="https"),
    "an upgrade signed for another call": replace(upgrade("/ws/media-stream/OTHER"), path="/ws/media-stream/TOKEN"),
    "an upgrade with another token": upgrade(token="guessed"),
    "an upgrade that is not signed": upgrade().header(X_Twilio_Signature=None),
}


def test_the_table_is_long_enough() -> None:
    assert len(TAMPERINGS) >= 20


@pytest.mark.parametrize("request_", TAMPERINGS.values(), ids=TAMPERINGS.keys())
async def test_whatever_was_changed_is_refused(
    send: Callable[[Signed], Any], request_: Signed, caplog: pytest.LogCaptureFixture
) -> None:
    # A form that is called JSON cannot be read, which is found first.
    expected = 400 if request_ is TAMPERINGS["a form called JSON"] else 403
    assert await send(request_) == expected
    assert "token is unknown" not in caplog.text  # the signature is looked at first


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b"\xff", b"[" * 50_000])
async def test_json_that_is_none_is_refused(send: Callable[[Signed], Any], body: bytes) -> None:
    assert await send(replace(json_body(), body=body)) == 400
