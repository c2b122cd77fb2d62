"""Who signed a request: vectors made with Twilio's own library; and the line of a call."""

import hashlib
import json
from base64 import b64encode

import pytest

from trunkline.audio import TWILIO
from trunkline.errors import ConnectionLost, InvalidConfig, LocalProtocolError, RemoteProtocolError, SignatureInvalid
from trunkline.telephony.line import CallLine
from trunkline.telephony.twilio import TwilioLine
from trunkline.transport import MemoryStream, memory_pair
from trunkline.wire.telephony.events import StreamConnected, StreamStarted, StreamStopped
from trunkline.wire.telephony.twilio.signature import SignatureValidator, compute_signature

TOKEN = "0123456789abcdef0123456789abcdef"
VOICE = "https://gw.example.com/twilio/voice"
MEDIA = "wss://gw.example.com/twilio/media"
ACCOUNT, CALL = "AC00000000000000000000000000000001", "CA00000000000000000000000000000001"
P = [
    ("CallSid", CALL),
    ("AccountSid", ACCOUNT),
    ("From", "+15550100001"),
    ("To", "+15550100002"),
    ("CallStatus", "ringing"),
    ("ApiVersion", "2010-04-01"),
    ("Direction", "inbound"),
    ("CallerName", ""),
    ("Caller", "+15550100001"),
    ("Called", "+15550100002"),
]
G = [
    ("AccountSid", ACCOUNT),
    ("CallSid", CALL),
    ("StreamSid", "MZ00000000000000000000000000000001"),
    ("StreamName", "trunk"),
    ("StreamEvent", "stream-started"),
    ("Timestamp", "2026-08-01T10:00:00.000Z"),
]
GET = f"{VOICE}?CallSid=CA1&From=%2B15550100001&To=%2B15550100002"
JSON = b'{"a":1,"b":"x y"}'
HASHED = f"{VOICE}?bodySHA256=6636d05d410fb2fe93c0955e24c2fe3684e2413aab9a92e96f2b00b64ab2340b"

SDK_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
SDK_P = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
    ("Caller", "+14158675309"),
]
SDK_JSON = b'{"property": "value", "boolean": true}'
SDK_HASHED = f"{SDK_URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"

VECTORS = {
    "A": (TOKEN, VOICE, P, "ggM0P248af070yipDLPFpV7GYEw="),
    "B": (TOKEN, f"{VOICE}?tenant=7&x=a%20b", P, "PwZXkym+OXy6sGjfD7o+UbWnljU="),
    "C": (TOKEN, GET, [], "KsBiJEDmjcItxefcJVympNxjNd0="),
    "D": (TOKEN, MEDIA, [], "XbuEIyqfcj7N6LuncPZwBi5k3OI="),
    "D2": (TOKEN, "https://gw.example.com/twilio/media", [], "R1GVrTSOg+9lJTeSC4KAm6UTTSs="),
    "D3": (TOKEN, f"{MEDIA}/", [], "3WOChzT7xOuqSQPWtgWioHafx+o="),
    "D4": (TOKEN, "wss://gw.example.com:8443/twilio/media", [], "9domqGkuCF/a8R3CSC7jSGxuyOo="),
    "E": (TOKEN, VOICE, [("CallSid", "CA1"), *(("Digits", d) for d in "3132")], "q0tomk+GNYOdgZ3ZqyikOk0GpCg="),
    "F": (TOKEN, VOICE, [("CallSid", "CA1"), ("Body", "žluťoučký 🐎")], "LoBW+UDpwWCW2mPgNIE2gQD8+qw="),
    "G": (TOKEN, f"{VOICE}/stream", G, "fLRzGmZkHoYFl/jQj0ulcSlj37U="),
    "H": (TOKEN, HASHED, [], "C1nA8bZ+cRL0ZGHb7J7ROaSPBUw="),
    "sdk": ("12345", SDK_URL, SDK_P, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "sdk :443": ("12345", SDK_URL.replace(".com", ".com:443"), SDK_P, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    "sdk :80": (
        "12345",
        SDK_URL.replace("https", "http").replace(".com", ".com:80"),
        SDK_P,
        "0ZXoZLH/DfblKGATFgpif+LLRf4=",
    ),
    "sdk json": ("12345", SDK_HASHED, [], "a9nBmqA0ju/hNViExpshrM61xv4="),
    "sdk repeated": (
        "12345",
        SDK_URL,
        [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")],
        "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
    ),
}
I_SECRET, I_SIGNATURE = "shared-key-secret-000000000000000", "clTsg+kbZugmlf66xiI97/cLsENnPAx6bJa3YI64rkY="


@pytest.fixture
def validator() -> SignatureValidator:
    return SignatureValidator(TOKEN)


@pytest.mark.parametrize("vector", VECTORS)
def test_the_vectors(vector: str) -> None:
    token, url, params, signature = VECTORS[vector]
    assert compute_signature(token, url, params) == signature
    assert compute_signature(token, url + "#rc=2", reversed(params)) == signature
    SignatureValidator(token).verify_form(url, params, signature)


def test_the_vector_of_the_newer_algorithm() -> None:
    assert compute_signature(I_SECRET, VOICE, P, algorithm="HMAC_SHA256") == I_SIGNATURE


# ── forms ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "params", "signature"),
    [
        (VOICE, P, None),
        (VOICE, P, ""),
        (VOICE, P, "ggM0P248af070yipDLPFpV7GYEx="),
        (VOICE, P, "žluťoučký 🐎"),
        (VOICE, P, "\ud800"),
        (VOICE, P[1:], VECTORS["A"][3]),
        (VOICE, [*P, ("New", "field")], VECTORS["A"][3]),
        (VOICE, [*P[:-1], ("Called", "\ud800")], VECTORS["A"][3]),
        (VOICE + "/", P, VECTORS["A"][3]),
        (VOICE + "?", P, VECTORS["A"][3]),
        (VOICE.replace("https", "http"), P, VECTORS["A"][3]),
        ("/twilio/voice", P, VECTORS["A"][3]),
    ],
)
def test_a_form_with_a_wrong_signature(
    validator: SignatureValidator, url: str, params: list[tuple[str, str]], signature: str | None
) -> None:
    with pytest.raises(SignatureInvalid) as refused:
        validator.verify_form(url, params, signature)
    for secret in (TOKEN, signature, VECTORS["A"][3]):
        assert not secret or secret not in str(refused.value)


def test_another_token_signs_otherwise() -> None:
    with pytest.raises(SignatureInvalid, match="does not match"):
        SignatureValidator(TOKEN[::-1]).verify_form(VOICE, P, VECTORS["A"][3])


def test_a_get_is_signed_by_its_address_alone(validator: SignatureValidator) -> None:
    validator.verify_get(GET, VECTORS["C"][3])
    with pytest.raises(SignatureInvalid):
        validator.verify_get(GET + "&x=1", VECTORS["C"][3])
    with pytest.raises(SignatureInvalid):
        validator.verify_get(GET.replace("%2B", "+"), VECTORS["C"][3])


@pytest.mark.parametrize("secrets", [{"auth_token": ""}, {"auth_token": TOKEN, "shared_keys": {"k": ""}}])
def test_empty_secrets_are_refused(secrets: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig):
        SignatureValidator(**secrets)  # type: ignore[arg-type]


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_json_body_is_signed_by_its_hash(validator: SignatureValidator) -> None:
    validator.verify_json(HASHED, JSON, VECTORS["H"][3])
    SignatureValidator("12345").verify_json(SDK_HASHED, SDK_JSON, VECTORS["sdk json"][3])
    with pytest.raises(SignatureInvalid, match="the body is not the one"):
        validator.verify_json(HASHED, JSON + b" ", VECTORS["H"][3])
    with pytest.raises(SignatureInvalid, match="does not match"):
        validator.verify_json(HASHED, JSON, VECTORS["A"][3])


@pytest.mark.parametrize("query", ["", "?bodySHA256", "?bodySHA256=x&bodySHA256={hash}", "?bodysha256={hash}"])
def test_a_json_body_without_one_hash_is_refused(validator: SignatureValidator, query: str) -> None:
    url = VOICE + query.format(hash=hashlib.sha256(JSON).hexdigest())
    with pytest.raises(SignatureInvalid):
        validator.verify_json(url, JSON, compute_signature(TOKEN, url))


# ── the upgrade ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "configured", [MEDIA, "https://gw.example.com/twilio/media", MEDIA.replace(".com", ".com:443")]
)
def test_the_upgrade_is_signed_as_wss(validator: SignatureValidator, configured: str) -> None:
    validator.verify_upgrade(configured, VECTORS["D"][3])
    with pytest.raises(SignatureInvalid):
        validator.verify_upgrade(configured, VECTORS["D2"][3])
    with pytest.raises(SignatureInvalid):  # a path of its own gets no slash
        validator.verify_upgrade(configured, VECTORS["D3"][3])


def test_the_upgrade_at_another_port(validator: SignatureValidator) -> None:
    validator.verify_upgrade("wss://gw.example.com:8443/twilio/media", VECTORS["D4"][3])
    validator.verify_upgrade("wss://gw.example.com:8443/twilio/media", VECTORS["D"][3])
    with pytest.raises(SignatureInvalid):
        validator.verify_upgrade(MEDIA, VECTORS["D4"][3])


@pytest.mark.parametrize("configured", ["wss://h", "wss://h/"])
@pytest.mark.parametrize("signed", ["wss://h", "wss://h/"])
def test_an_address_without_a_path_may_be_signed_with_a_slash(
    validator: SignatureValidator, configured: str, signed: str
) -> None:
    validator.verify_upgrade(configured, compute_signature(TOKEN, signed))


def test_a_loopback_address_is_signed_as_dialled(validator: SignatureValidator) -> None:
    signature = compute_signature(TOKEN, "ws://127.0.0.1:8080/media")
    validator.verify_upgrade("ws://127.0.0.1:8080/media", signature)
    validator.verify_upgrade("http://127.0.0.1:8080/media", signature)


# ── ports ────────────────────────────────────────────────────────────────────────────────────────────────────────────

PORTS = [  # signed, presented, whether Twilio's library accepts it, whether this one does
    ("https://h:443/m", "https://h/m", True, True),
    ("https://h/m", "https://h:8443/m", True, True),
    ("wss://h/m", "wss://h:443/m", True, True),
    ("wss://h:443/m", "wss://h/m", False, True),  # the library takes 80 for the port of wss; here it is 443
    ("wss://h:80/m", "wss://h/m", True, False),
    ("wss://h/m", "https://h/m", False, False),
]


@pytest.mark.parametrize(("signed", "presented", "library", "ours"), PORTS)
def test_ports(validator: SignatureValidator, signed: str, presented: str, library: bool, ours: bool) -> None:
    signature = compute_signature(TOKEN, signed)
    if ours:
        validator.verify_get(presented, signature)
        return
    with pytest.raises(SignatureInvalid):
        validator.verify_get(presented, signature)


@pytest.mark.parametrize(
    ("signed", "presented"),
    [
        ("https://[::1]:443/m?x=http://a:1/", "https://[::1]/m?x=http://a:1/"),
        ("https://user:secret@h/m", "https://user:secret@h:8443/m"),
        ("https://h:443", "https://h"),
        ("https://h?x=1", "https://h:443?x=1"),
        ("HTTPS://h:443/m", "HTTPS://h/m"),
    ],
)
def test_only_the_port_is_taken_off(validator: SignatureValidator, signed: str, presented: str) -> None:
    validator.verify_get(presented, compute_signature(TOKEN, signed))


# ── the newer algorithm ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("settings", ["key=K1,algorithm=HMAC_SHA256", " algorithm=HMAC_SHA256 , key=K1"])
def test_a_shared_key_signs_with_sha256(settings: str) -> None:
    validator = SignatureValidator(TOKEN, shared_keys={"K1": I_SECRET})
    validator.verify_form(VOICE, P, I_SIGNATURE, settings=settings)
    with pytest.raises(SignatureInvalid, match="does not match"):
        validator.verify_form(VOICE, P, VECTORS["A"][3], settings=settings)
    with pytest.raises(SignatureInvalid, match="does not match"):
        validator.verify_form(VOICE, P, I_SIGNATURE)


@pytest.mark.parametrize("settings", [None, "", "key=K1", "key=K1,algorithm=HMAC_SHA1", "nonsense"])
def test_the_older_algorithm_is_the_default(settings: str | None) -> None:
    SignatureValidator(TOKEN, shared_keys={"K1": I_SECRET}).verify_form(VOICE, P, VECTORS["A"][3], settings=settings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("algorithm=HMAC_SHA256", "not configured"),
        ("key=K2,algorithm=HMAC_SHA256", "not configured"),
        ("key=K1,algorithm=NONE", "not known"),
        ("key=K1,algorithm=", "not known"),
    ],
)
def test_the_header_alone_decides_nothing(settings: str, reason: str) -> None:
    by_token = compute_signature(TOKEN, VOICE, P, algorithm="HMAC_SHA256")
    for signature in (by_token, VECTORS["A"][3], compute_signature("", VOICE, P, algorithm="HMAC_SHA256")):
        with pytest.raises(SignatureInvalid, match=reason):
            SignatureValidator(TOKEN, shared_keys={"K1": I_SECRET}).verify_form(VOICE, P, signature, settings=settings)


# ── the outgoing line ────────────────────────────────────────────────────────────────────────────────────────────────

SID = "MZ00000000000000000000000000000001"
START = {
    "event": "start",
    "sequenceNumber": "1",
    "streamSid": SID,
    "start": {
        "streamSid": SID,
        "callSid": CALL,
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    },
}


STOP = {"event": "stop", "sequenceNumber": "2", "streamSid": SID, "stop": {"callSid": CALL}}


async def started_line() -> tuple[CallLine, MemoryStream]:
    ours, theirs = memory_pair()
    line: CallLine = TwilioLine(ours)
    await theirs.send('{"event":"connected"}')
    await theirs.send(json.dumps(START))
    assert isinstance(await line.receive(), StreamConnected)
    assert await line.receive() == StreamStarted(SID, CALL, TWILIO)
    return line, theirs


async def test_line_sends_media_marks_and_clear() -> None:
    line, theirs = await started_line()
    await line.send_media(b"\x00" * 320)
    await line.send_mark("utt-1")
    await line.clear()
    sent = [json.loads(await theirs.receive()) for _ in range(3)]
    assert sent == [
        {"event": "media", "streamSid": SID, "media": {"payload": b64encode(b"\x00" * 320).decode()}},
        {"event": "mark", "streamSid": SID, "mark": {"name": "utt-1"}},
        {"event": "clear", "streamSid": SID},
    ]


async def test_line_refuses_commands_before_start() -> None:
    line = TwilioLine(memory_pair()[0])
    for command in (line.send_media(b"\xff"), line.send_mark("m"), line.clear()):
        with pytest.raises(LocalProtocolError):
            await command


def test_line_traits_are_those_of_twilio() -> None:
    traits = TwilioLine.traits
    assert (traits.format, traits.frame_ms, traits.max_lead_ms) == (TWILIO, 20, 400)
    assert traits.can_clear
    assert traits.returns_marks
    assert not traits.whole_frames


async def test_line_goes_on_after_a_message_that_cannot_be_read() -> None:
    line, theirs = await started_line()
    await theirs.send("{")
    with pytest.raises(RemoteProtocolError):
        await line.receive()
    await theirs.send(json.dumps(STOP))
    assert isinstance(await line.receive(), StreamStopped)


async def test_line_is_cleanly_lost_after_stop() -> None:
    line, theirs = await started_line()
    await theirs.send(json.dumps(STOP))
    assert isinstance(await line.receive(), StreamStopped)
    for command in (line.send_media(b"\xff"), line.send_mark("m"), line.clear(), line.receive()):
        with pytest.raises(ConnectionLost, match="1000: the carrier stopped the stream") as lost:
            await command
        assert lost.value.clean


async def test_line_that_broke_is_lost_for_sender_and_reader() -> None:
    line, theirs = await started_line()
    await theirs.aclose(1006)
    for command in (line.send_media(b"\xff"), line.receive()):
        with pytest.raises(ConnectionLost) as lost:
            await command
        assert not lost.value.clean


async def test_line_closes_its_socket_once() -> None:
    line, theirs = await started_line()
    await line.aclose()
    await line.aclose()
    with pytest.raises(ConnectionLost) as lost:
        await theirs.receive()
    assert lost.value.code == 1000
