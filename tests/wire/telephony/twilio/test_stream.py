"""Twilio's media stream: what each message becomes, in which state, and what is refused."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio import TWILIO
from trunkline.errors import LocalProtocolError, RemoteProtocolError
from trunkline.wire.telephony.events import (
    DtmfReceived,
    MarkReceived,
    MediaReceived,
    StreamConnected,
    StreamStarted,
    StreamStopped,
    UnknownReceived,
)
from trunkline.wire.telephony.twilio.stream import TwilioStream

SID = "MZ00000000000000000000000000000001"
CALL = "CA00000000000000000000000000000001"
CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'
START = (
    '{"event":"start","sequenceNumber":"1","streamSid":"MZ00000000000000000000000000000001",'
    '"start":{"streamSid":"MZ00000000000000000000000000000001","accountSid":"AC00000000000000000000000000000001",'
    '"callSid":"CA00000000000000000000000000000001","tracks":["inbound"],'
    '"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
    '"customParameters":{"token":"one-time-secret","tenant":"7"}}}'
)
AUDIO = bytes(range(160))


def media(sequence: int = 2, payload: bytes = AUDIO, *, stream_sid: str = SID, **changed: Any) -> str:
    body = {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": b64encode(payload).decode()} | changed
    return json.dumps({"event": "media", "sequenceNumber": str(sequence), "streamSid": stream_sid, "media": body})


def dtmf(sequence: int = 2, digit: Any = "#") -> str:
    body = {"track": "inbound_track", "digit": digit}
    return json.dumps({"event": "dtmf", "streamSid": SID, "sequenceNumber": str(sequence), "dtmf": body})


def mark(sequence: int = 2, name: Any = "utt-3") -> str:
    return json.dumps({"event": "mark", "sequenceNumber": str(sequence), "streamSid": SID, "mark": {"name": name}})


def stop(sequence: int = 2) -> str:
    body = {"accountSid": "AC1", "callSid": CALL}
    return json.dumps({"event": "stop", "sequenceNumber": str(sequence), "streamSid": SID, "stop": body})


def changed(message: str, *path: str, to: Any = None) -> str:
    """The message with one member replaced, or taken away."""
    told = json.loads(message)
    inner = told
    for key in path[:-1]:
        inner = inner[key]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return json.dumps(told)


@pytest.fixture
def stream() -> TwilioStream:
    return started()


def started(**limits: int) -> TwilioStream:
    stream = TwilioStream(**limits)
    stream.receive(CONNECTED)
    stream.receive(START)
    return stream


def test_a_whole_stream_of_golden_frames() -> None:
    stream = TwilioStream()
    assert stream.receive(CONNECTED) == StreamConnected()
    assert not stream.started
    assert stream.receive(START) == StreamStarted(SID, CALL, TWILIO, {"token": "one-time-secret", "tenant": "7"})
    assert stream.started
    assert stream.stream_id == SID
    assert stream.receive(media(2)) == MediaReceived(AUDIO, 5, 2)
    assert stream.receive(dtmf(3)) == DtmfReceived("#")
    assert stream.receive(mark(4)) == MarkReceived("utt-3")
    assert stream.receive(stop(5)) == StreamStopped()
    assert stream.stopped
    assert not stream.started


def test_a_start_without_parameters_has_none() -> None:
    stream = TwilioStream()
    stream.receive(CONNECTED)
    event = stream.receive(changed(START, "start", "customParameters"))
    assert isinstance(event, StreamStarted)
    assert event.parameters == {}


# ── states ───────────────────────────────────────────────────────────────────────────────────────────────────────────

MESSAGES = {"connected": CONNECTED, "start": START, "media": media(), "mark": mark(), "dtmf": dtmf(), "stop": stop()}
STATES = {"opened": [], "connected": [CONNECTED], "started": [CONNECTED, START], "stopped": [CONNECTED, START, stop()]}
ALLOWED = {("opened", "connected"), ("connected", "start")} | {
    ("started", kind) for kind in ("media", "mark", "dtmf", "stop")
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", MESSAGES)
def test_each_state_allows_its_own_messages(state: str, kind: str) -> None:
    stream = TwilioStream()
    for message in STATES[state]:
        stream.receive(message)
    if (state, kind) in ALLOWED:
        stream.receive(MESSAGES[kind])
        return
    with pytest.raises(RemoteProtocolError, match=f"{kind!r} is not allowed while the stream is {state}"):
        stream.receive(MESSAGES[kind])


@pytest.mark.parametrize("state", STATES)
def test_an_unknown_event_is_harmless_in_every_state(state: str) -> None:
    stream = TwilioStream()
    for message in STATES[state]:
        stream.receive(message)
    assert stream.receive('{"event":"weather","x":1}') == UnknownReceived("weather")


@pytest.mark.parametrize("command", ["send_media", "send_mark", "clear"])
@pytest.mark.parametrize("state", ["opened", "connected", "stopped"])
def test_commands_need_a_running_stream(state: str, command: str) -> None:
    stream = TwilioStream()
    for message in STATES[state]:
        stream.receive(message)
    arguments: dict[str, list[Any]] = {"send_media": [b"x"], "send_mark": ["a"], "clear": []}
    with pytest.raises(LocalProtocolError, match=f"the media stream is {state}, not started"):
        getattr(stream, command)(*arguments[command])


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────

REFUSED = [
    (b"\x00\x01", "", "binary"),
    ("{", "", "not JSON"),
    ("", "", "not JSON"),
    ("[" * 3000, "", "not JSON"),
    ("\ud800", "", "not JSON"),
    ("[1]", "", "not a JSON object"),
    ("{}", "event", "string"),
    ('{"event":7}', "event", "string"),
    (media(stream_sid="MZ2"), "streamSid", "not the id"),
    (changed(mark(), "streamSid", to="MZ2"), "streamSid", "not the id"),
    (changed(stop(), "streamSid", to="MZ2"), "streamSid", "not the id"),
    (changed(media(), "media"), "media", "missing"),
    (changed(media(), "media", to="x"), "media", "not an object"),
    (changed(media(), "media", "payload"), "media.payload", "missing"),
    (changed(media(), "media", "payload", to=7), "media.payload", "not a text"),
    (changed(media(), "media", "payload", to="Y Q="), "media.payload", "base64"),
    (changed(media(), "media", "payload", to="YQ==\n"), "media.payload", "base64"),
    (changed(media(), "media", "payload", to="žluť"), "media.payload", "base64"),
    (changed(mark(), "mark"), "mark", "missing"),
    (changed(mark(), "mark", "name"), "mark.name", "missing"),
    (dtmf(digit="55"), "dtmf.digit", "one of"),
    (dtmf(digit=["5"]), "dtmf.digit", "not a text"),
    (changed(dtmf(), "dtmf"), "dtmf", "missing"),
]


@pytest.mark.parametrize(("message", "path", "reason"), REFUSED)
def test_a_message_that_cannot_be_read_is_refused_and_the_stream_goes_on(
    stream: TwilioStream, message: str | bytes, path: str, reason: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=reason) as refused:
        stream.receive(message)
    assert (refused.value.vendor, refused.value.path) == ("twilio", path)
    assert stream.receive(media(2)) == MediaReceived(AUDIO, 5, 2)


ODD = [
    (changed(media(7), "streamSid"), MediaReceived(AUDIO, 5, 7)),
    (changed(media(), "streamSid", to=5), MediaReceived(AUDIO, 5, 2)),
    (changed(media(7), "sequenceNumber", to=7), MediaReceived(AUDIO, 5, 7)),
    (changed(media(), "sequenceNumber"), MediaReceived(AUDIO, 5, 2)),
    (changed(media(), "sequenceNumber", to="-1"), MediaReceived(AUDIO, 5, 2)),
    (changed(media(), "sequenceNumber", to="²"), MediaReceived(AUDIO, 5, 2)),
    (changed(media(), "sequenceNumber", to="9" * 5000), MediaReceived(AUDIO, 5, 2)),
    (changed(media(), "media", "timestamp"), MediaReceived(AUDIO, 0, 2)),
    (changed(media(), "media", "timestamp", to=25), MediaReceived(AUDIO, 25, 2)),
    (changed(media(), "media", "timestamp", to={}), MediaReceived(AUDIO, 0, 2)),
    (changed(media(), "media", "track"), MediaReceived(AUDIO, 5, 2)),
    (changed(media(), "media", "track", to=1), MediaReceived(AUDIO, 5, 2)),
    (changed(media(), "media", "payload", to="YQ"), MediaReceived(b"a", 5, 2)),
    (mark(name=7), MarkReceived("7")),
    (mark(name="\ud800!"), MarkReceived("\ufffd!")),
    (changed(mark(), "sequenceNumber"), MarkReceived("utt-3")),
    (dtmf(digit=5), DtmfReceived("5")),
    (changed(stop(), "streamSid"), StreamStopped()),
    ('{"event":"stop","sequenceNumber":[],"streamSid":null,"stop":7}', StreamStopped()),
    ('{"event":"weather","sequenceNumber":[]}', UnknownReceived("weather")),
]


@pytest.mark.parametrize(("message", "event"), ODD)
def test_an_odd_member_does_not_cost_its_message(stream: TwilioStream, message: str, event: object) -> None:
    assert stream.receive(message) == event


def test_a_counter_that_cannot_be_read_goes_on_from_the_last_one(stream: TwilioStream) -> None:
    stream.receive(media(40, timestamp="800"))
    odd = changed(changed(media(41), "sequenceNumber"), "media", "timestamp")
    assert stream.receive(odd) == MediaReceived(AUDIO, 800, 41)


REFUSED_STARTS = [
    (("start",), None, "start"),
    (("streamSid",), "MZ2", "streamSid"),
    (("start", "streamSid"), None, "start.streamSid"),
    (("start", "callSid"), None, "start.callSid"),
    (("start", "mediaFormat"), None, "start.mediaFormat"),
    (("start", "mediaFormat", "encoding"), "audio/opus", "start.mediaFormat"),
    (("start", "mediaFormat", "encoding"), None, "start.mediaFormat.encoding"),
    (("start", "mediaFormat", "sampleRate"), "fast", "start.mediaFormat.sampleRate"),
    (("start", "mediaFormat", "sampleRate"), -8000, "start.mediaFormat"),
]

ODD_STARTS: list[tuple[tuple[str, ...], Any]] = [
    (("streamSid",), None),
    (("sequenceNumber",), None),
    (("sequenceNumber",), ["1"]),
    (("start", "mediaFormat", "sampleRate"), "8000"),
    (("start", "mediaFormat", "channels"), None),
    (("start", "mediaFormat", "channels"), True),
]


@pytest.mark.parametrize(("member", "value"), ODD_STARTS)
def test_an_odd_member_does_not_cost_the_start(member: tuple[str, ...], value: Any) -> None:
    stream = TwilioStream()
    stream.receive(CONNECTED)
    event = stream.receive(changed(START, *member, to=value))
    assert event == StreamStarted(SID, CALL, TWILIO, {"token": "one-time-secret", "tenant": "7"})


def test_odd_parameters_are_left_out() -> None:
    for sent, read in (
        (["token"], {}),
        ({"token": "x", "tenant": 7, "more": {}}, {"token": "x", "tenant": "7"}),
    ):
        stream = TwilioStream()
        stream.receive(CONNECTED)
        event = stream.receive(changed(START, "start", "customParameters", to=sent))
        assert isinstance(event, StreamStarted)
        assert event.parameters == read


@pytest.mark.parametrize(("member", "value", "path"), REFUSED_STARTS)
def test_a_start_that_cannot_be_read_starts_nothing(member: tuple[str, ...], value: Any, path: str) -> None:
    stream = TwilioStream()
    stream.receive(CONNECTED)
    with pytest.raises(RemoteProtocolError) as refused:
        stream.receive(changed(START, *member, to=value))
    assert refused.value.path == path
    assert not stream.started
    stream.receive(START)
    assert stream.started


def test_limits() -> None:
    stream = started(max_message_chars=600, max_payload_bytes=200)
    stream.receive(media(2, bytes(200)))
    with pytest.raises(RemoteProtocolError, match="more than 200 bytes") as refused:
        stream.receive(media(3, bytes(201)))
    assert refused.value.path == "media.payload"
    with pytest.raises(RemoteProtocolError, match="longer than 600 characters"):
        stream.receive(media(3, bytes(600)))


def test_what_the_caller_hears_is_not_taken_for_the_callers_voice(stream: TwilioStream) -> None:
    assert stream.receive(media(track="outbound")) == UnknownReceived("media of track outbound")


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_golden_commands(stream: TwilioStream) -> None:
    assert stream.send_media(b"\x00\xff\x7f") == f'{{"event":"media","streamSid":"{SID}","media":{{"payload":"AP9/"}}}}'
    assert stream.send_mark("utt-3") == f'{{"event":"mark","streamSid":"{SID}","mark":{{"name":"utt-3"}}}}'
    assert stream.clear() == f'{{"event":"clear","streamSid":"{SID}"}}'


@given(st.binary(min_size=1, max_size=2000), st.text(min_size=1), st.text(min_size=1, max_size=40))
def test_commands_say_what_they_were_given(audio: bytes, name: str, stream_sid: str) -> None:
    stream = TwilioStream()
    stream.receive(CONNECTED)
    stream.receive(changed(changed(START, "streamSid", to=stream_sid), "start", "streamSid", to=stream_sid))
    payload = b64encode(audio).decode()
    assert json.loads(stream.send_media(audio)) == {
        "event": "media",
        "streamSid": stream_sid,
        "media": {"payload": payload},
    }
    assert json.loads(stream.send_mark(name)) == {"event": "mark", "streamSid": stream_sid, "mark": {"name": name}}


def test_empty_commands_are_refused(stream: TwilioStream) -> None:
    with pytest.raises(LocalProtocolError, match="needs audio"):
        stream.send_media(b"")
    with pytest.raises(LocalProtocolError, match="needs a name"):
        stream.send_mark("")


# ── anything at all ──────────────────────────────────────────────────────────────────────────────────────────────────

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=400), st.integers(0, 2**40), st.integers(0, 2**40))
def test_media_round_trip(audio: bytes, sequence: int, timestamp: int) -> None:
    message = media(sequence, audio, timestamp=str(timestamp))
    assert started().receive(message) == MediaReceived(audio, timestamp, sequence)


@given(st.text() | st.binary() | ANYTHING.map(json.dumps), st.sampled_from(list(STATES)))
def test_garbage_raises_nothing_else(garbage: str | bytes, state: str) -> None:
    stream = TwilioStream()
    for message in STATES[state]:
        stream.receive(message)
    try:
        event = stream.receive(garbage)
    except RemoteProtocolError:
        return
    assert isinstance(event, UnknownReceived)


@given(st.data())
def test_a_known_message_with_any_member_changed_raises_nothing_else(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from([START, media(), mark(), dtmf(), stop()]))
    stream = TwilioStream()
    stream.receive(CONNECTED)
    if message is not START:
        stream.receive(START)
    told = json.loads(message)
    inner = told
    while True:
        key = data.draw(st.sampled_from(sorted(inner)))
        if not isinstance(inner[key], dict) or not inner[key] or data.draw(st.booleans()):
            break
        inner = inner[key]
    inner[key] = data.draw(ANYTHING)
    try:
        stream.receive(json.dumps(told))
    except RemoteProtocolError:
        return
