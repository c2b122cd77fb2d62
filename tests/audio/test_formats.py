"""Formats: names, refusals, arithmetic, and what they survive."""

import json
from dataclasses import FrozenInstanceError, asdict

import pytest
from pydantic import BaseModel

from trunkline.audio import (
    GEMINI_INPUT,
    GEMINI_OUTPUT,
    LIVEKIT,
    LIVEKIT_24K,
    OPENAI,
    PLIVO,
    QWEN_INPUT,
    QWEN_OUTPUT,
    SAMPLE_RATES,
    TELNYX,
    TWILIO,
    VONAGE,
    AudioFormat,
    Encoding,
)
from trunkline.errors import AudioError, UnsupportedEncoding, UnsupportedSampleRate


def test_who_speaks_what() -> None:
    assert TWILIO == TELNYX == PLIVO == AudioFormat("mulaw", 8000, 1)
    assert VONAGE == GEMINI_INPUT == QWEN_INPUT == AudioFormat("linear16", 16000)
    assert OPENAI == GEMINI_OUTPUT == QWEN_OUTPUT == LIVEKIT_24K == AudioFormat("linear16", 24000)
    assert AudioFormat(Encoding.LINEAR16, 48000) == LIVEKIT


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        (Encoding.LINEAR16, "linear16 pcm16 pcm_s16le L16 slin16 PCM audio/l16 s16le"),
        (Encoding.MULAW, "mulaw ulaw mu-law u-law µ-law μlaw PCMU g711_ulaw audio/pcmu audio/x-mulaw"),
        (Encoding.ALAW, "alaw a-law PCMA g711_alaw audio/pcma"),
        (Encoding.OPUS, "opus OPUS audio/opus"),
        (Encoding.MP3, "mp3 audio/mpeg"),
    ],
)
def test_encodings_go_by_many_names(encoding: Encoding, names: str) -> None:
    assert {Encoding(name) for name in names.split()} == {encoding}


@pytest.mark.parametrize("name", ["mp3", "opus", "flac", "aac", "speex", "webm"])
def test_compressed_audio_is_known_but_refused(name: str) -> None:
    assert not Encoding(name).is_raw
    with pytest.raises(UnsupportedEncoding, match=name):
        AudioFormat(name, 8000)


@pytest.mark.parametrize("name", ["", "pcm24", "mulaw8", 7, None])
def test_unknown_encodings_are_refused(name: object) -> None:
    with pytest.raises(UnsupportedEncoding) as caught:
        Encoding(name)  # type: ignore[arg-type]
    assert caught.value.encoding == name


@pytest.mark.parametrize("rate", [0, -8000, 8001, 96000, 8000.0, True, "8000", None])
def test_rates_that_cannot_be_converted_are_refused(rate: object) -> None:
    with pytest.raises(UnsupportedSampleRate) as caught:
        AudioFormat("mulaw", rate)  # type: ignore[arg-type]
    assert caught.value.sample_rate == rate


@pytest.mark.parametrize("channels", [0, 3, 1.0, True, None])
def test_neither_one_nor_two_channels_are_refused(channels: object) -> None:
    with pytest.raises(AudioError, match=str(channels)):
        AudioFormat("mulaw", 8000, channels)  # type: ignore[arg-type]


def test_a_format_is_a_value() -> None:
    spelt_otherwise = AudioFormat("PCMU", 8000)
    assert spelt_otherwise == TWILIO
    assert len({spelt_otherwise, TWILIO, OPENAI}) == 2
    assert isinstance(spelt_otherwise.encoding, Encoding)
    with pytest.raises(FrozenInstanceError):
        spelt_otherwise.sample_rate = 16000  # type: ignore[misc]
    assert str(TWILIO) == "mulaw 8 kHz mono"
    assert str(AudioFormat("alaw", 22050, 2)) == "alaw 22.05 kHz stereo"


def test_a_format_goes_through_json_and_pydantic() -> None:
    text = json.dumps(asdict(TWILIO))
    assert json.loads(text) == {"encoding": "mulaw", "sample_rate": 8000, "channels": 1}
    assert AudioFormat(**json.loads(text)) == TWILIO

    class Config(BaseModel):
        line: AudioFormat

    config = Config.model_validate_json('{"line": {"encoding": "g711_ulaw", "sample_rate": 8000}}')
    assert config.line == TWILIO
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_bytes_and_milliseconds() -> None:
    assert (TWILIO.frame_bytes(), OPENAI.frame_bytes(), LIVEKIT.frame_bytes(10)) == (160, 960, 960)
    assert (TWILIO.bytes_per_ms, OPENAI.bytes_per_ms) == (8, 48)
    assert (TWILIO.duration_ms(160), OPENAI.duration_ms(960)) == (20, 20)
    stereo = AudioFormat("linear16", 11025, 2)
    assert stereo.sample_bytes == 4
    assert stereo.frame_bytes() == 220 * 4  # 220.5 samples
    assert stereo.bytes_per_ms == pytest.approx(44.1)


def test_silence() -> None:
    assert TWILIO.silence(20) == b"\xff" * 160
    assert AudioFormat("alaw", 8000).silence(1) == b"\xd5" * 8
    assert AudioFormat("linear16", 11025, 2).silence(20) == bytes(880)
    assert OPENAI.silence(0) == b""


def test_every_rate_makes_a_format() -> None:
    assert SAMPLE_RATES == (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
    assert all(AudioFormat("linear16", rate).duration_ms(2 * rate) == 1000 for rate in SAMPLE_RATES)
