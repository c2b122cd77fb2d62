"""The vendors' messages with audio, read and written by shape and template, and held against the codecs that read them in full."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.media_shapes import AUDIO, CARRIERS, PROVIDERS, Vendor
from trunkline._native._rust import Downlink, Failed, Uplink, WebSocketCodec
from trunkline.audio import AudioFormat
from trunkline.errors import RemoteProtocolError
from trunkline.wire.media import MediaShape, MediaTemplate
from trunkline.wire.realtime.openai.decode import parse
from trunkline.wire.realtime.openai.events import AudioDelta
from trunkline.wire.telephony.events import MediaReceived
from trunkline.wire.telephony.twilio.stream import TwilioStream

MULAW = AudioFormat("mulaw", 8000)
VENDORS = {**CARRIERS, **PROVIDERS}


def frame(codec: WebSocketCodec, message: str | bytes) -> bytes:
    return codec.text(message) if isinstance(message, str) else codec.binary(message)


def heard(shape: MediaShape, message: str | bytes) -> bytes | None:
    """The audio that a carrier's message holds; None if it is left to Python."""
    link = Uplink(WebSocketCodec(is_client=False, max_size=65_536), shape, MULAW)
    link.collect(True)
    _, control = link.feed(frame(WebSocketCodec(is_client=True, max_size=1), message), 1.0)
    assert control in (None, message)
    return b"".join(audio for audio, _ in link.take_frames()) if control is None else None


def spoken(shape: MediaShape, message: str | bytes) -> bytes | None:
    """The audio that a provider's message holds; None if it is left to Python."""
    link = Downlink(MediaTemplate(head=None), MULAW, lead_ms=60_000)
    link.connect(WebSocketCodec(is_client=True, max_size=2**20), shape, MULAW)
    link.admit("r", "i")
    link.collect(True)
    _, control = link.feed(frame(WebSocketCodec(is_client=False, max_size=1), message), 1.0)
    assert isinstance(control, Failed) or control in (None, message)
    return b"".join(audio for audio, _ in link.take_frames()) if control is None else None


def read(name: str, message: str | bytes) -> bytes | None:
    return heard(CARRIERS[name].shape, message) if name in CARRIERS else spoken(PROVIDERS[name].shape, message)


@pytest.mark.parametrize(
    ("name", "message"), [(name, message) for name, vendor in VENDORS.items() for message in vendor.media]
)
def test_audio_is_read_by_shape(name: str, message: str | bytes) -> None:
    assert read(name, message) == AUDIO


@pytest.mark.parametrize(
    ("name", "message"), [(name, message) for name, vendor in VENDORS.items() for message in vendor.others]
)
def test_anything_else_is_left_to_the_codec(name: str, message: str | bytes) -> None:
    assert message not in VENDORS[name].media
    assert read(name, message) is None


@pytest.mark.parametrize("vendor", CARRIERS.values(), ids=CARRIERS)
def test_audio_for_a_carrier_is_written_by_template(vendor: Vendor) -> None:
    assert vendor.template is not None
    link = Downlink(vendor.template, MULAW)
    out = link.write("i", AUDIO, 1.0, is_converted=True)
    assert out is not None
    assert WebSocketCodec(is_client=True, max_size=2**20).feed(out) == [vendor.written]


@pytest.mark.parametrize("vendor", PROVIDERS.values(), ids=PROVIDERS)
def test_audio_for_a_provider_is_written_by_template(vendor: Vendor) -> None:
    assert vendor.template is not None
    link = Uplink(WebSocketCodec(is_client=False, max_size=100), MediaShape(audio=None), MULAW)
    link.connect(vendor.template, MULAW)
    out = link.push(AUDIO, 1.0)
    assert out is not None
    assert WebSocketCodec(is_client=False, max_size=2**20).feed(out) == [vendor.written]


# ── beside the codecs ────────────────────────────────────────────────────────────────────────────────────────────────


def odd() -> st.SearchStrategy[Any]:
    """Values of members, right and wrong."""
    words = st.sampled_from(
        ["media", "inbound", "MZ1", "1", "007", "", "x", "AAAA", "AAA=", "////", "r", "i", "\ud800", "é\n"]
    )
    return words | st.integers(-2, 2**70) | st.floats() | st.none() | st.booleans() | st.just([]) | st.just({})


@st.composite
def message(draw: st.DrawFn, members: dict[str, str]) -> str:
    """An object of these members, given as JSON; now and then one or two are odd, missing, twice or there for nothing."""
    told = dict(members)
    for name in draw(st.lists(st.sampled_from(sorted(members)), max_size=2)):
        told[name] = draw(st.just(members[name]) | odd().map(json.dumps))
    pairs = [f"{json.dumps(name)}:{value}" for name, value in told.items()]
    which = draw(st.integers(0, 12))
    if which == 0:
        pairs.append(draw(st.sampled_from(pairs)))
    elif which == 1:
        del pairs[draw(st.integers(0, len(pairs) - 1))]
    elif which < 6:
        pairs.append(f'"more":{json.dumps(draw(odd()))}')
    gap = draw(st.sampled_from(["", " ", "\n", "\t"]))
    return "{" + f"{gap},{gap}".join(draw(st.permutations(pairs))) + gap + "}"


MEDIA = message({"track": '"inbound"', "chunk": '"1"', "timestamp": '"5"', "payload": '"AAAA"'})
FROM_TWILIO = MEDIA.flatmap(
    lambda media: message({"event": '"media"', "sequenceNumber": '"2"', "streamSid": '"MZ1"', "media": media})
)
KIND = "response.output_audio.delta"
FROM_OPENAI = message({"type": f'"{KIND}"', "response_id": '"r"', "item_id": '"i"', "delta": '"AAAA"'})


def change(text: str, at: int, to: str) -> str:
    at %= len(text) + 1
    return text[:at] + to + text[at + len(to) :]


@given(FROM_TWILIO, st.none() | st.tuples(st.integers(0), st.characters(codec="utf-8")))
def test_twilios_shape_takes_only_what_the_codec_takes(text: str, changed: tuple[int, str] | None) -> None:
    text = change(text, *changed) if changed else text
    audio = heard(CARRIERS["twilio"].shape, text)
    if audio is not None:
        stream = TwilioStream()
        stream.receive('{"event":"connected"}')
        form = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {"streamSid": "MZ1", "callSid": "CA1", "mediaFormat": form}
        stream.receive(json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start}))
        event = stream.receive(text)
        assert isinstance(event, MediaReceived)
        assert event.payload == audio


@given(FROM_OPENAI, st.none() | st.tuples(st.integers(0), st.characters(codec="utf-8")))
def test_openais_shape_takes_only_what_the_codec_takes(text: str, changed: tuple[int, str] | None) -> None:
    text = change(text, *changed) if changed else text
    audio = spoken(PROVIDERS["openai"].shape, text)
    if audio is not None:
        event = parse(text)
        assert isinstance(event, AudioDelta)
        assert (event.response_id, event.item_id, event.audio) == ("r", "i", audio)


def test_what_the_codec_refuses_is_left_to_it() -> None:
    text = CARRIERS["twilio"].media[0]
    assert isinstance(text, str)
    assert heard(CARRIERS["twilio"].shape, text[:-1]) is None
    with pytest.raises(RemoteProtocolError):
        TwilioStream().receive(text[:-1])
