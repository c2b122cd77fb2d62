"""Linear samples as floats and at other rates."""

import numpy as np
import pytest

from trunkline.audio import (
    OPENAI,
    TWILIO,
    VONAGE,
    AudioFormat,
    convert,
    float32_to_pcm16,
    pcm16_to_float32,
    resample_pcm16,
    tone,
)
from trunkline.errors import InvalidAudioData, UnsupportedSampleRate


def test_all_samples_survive_the_round_trip() -> None:
    samples = np.arange(-32_768, 32_768).astype("<i2")
    floats = pcm16_to_float32(samples)
    assert floats.dtype == np.float32
    assert floats[[0, 32_768, -1]].tolist() == [-1.0, 0.0, 32_767 / 32_768]
    assert float32_to_pcm16(floats) == samples.tobytes()
    assert pcm16_to_float32(samples.tobytes()).tolist() == floats.tolist()


def test_floats_are_rounded_and_clipped() -> None:
    lsb = 1 / 32_768
    floats = [1.0, -1.0, 7.5, -np.inf, 0.4 * lsb, 0.6 * lsb, 1.5 * lsb, 2.5 * lsb]
    assert np.frombuffer(float32_to_pcm16(floats), "<i2").tolist() == [32_767, -32_768, 32_767, -32_768, 0, 1, 2, 2]
    assert float32_to_pcm16(np.array([], np.float32)) == b""


def test_what_are_no_samples_is_refused() -> None:
    with pytest.raises(InvalidAudioData, match="3 bytes"):
        pcm16_to_float32(b"abc")
    with pytest.raises(InvalidAudioData, match="NaN"):
        float32_to_pcm16([0.0, np.nan])
    for nonsense in ("text", [1j], [[1.0], [1.0, 2.0]], [None]):
        with pytest.raises(InvalidAudioData):
            float32_to_pcm16(nonsense)  # type: ignore[arg-type]


def test_resampling_is_converting() -> None:
    pcm = tone(1000, duration_ms=100, audio_format=OPENAI)
    assert resample_pcm16(pcm, 24_000, 16_000) == convert(pcm, OPENAI, VONAGE)
    assert resample_pcm16(pcm, 24_000, 24_000) == pcm
    with pytest.raises(UnsupportedSampleRate, match="23999"):
        resample_pcm16(pcm, 24_000, 23_999)
    with pytest.raises(InvalidAudioData):
        resample_pcm16(pcm[:-1], 24_000, 16_000)


def test_the_laws_of_companding_are_converted_through_linear_samples() -> None:
    alaw, linear = AudioFormat("alaw", 8000), AudioFormat("linear16", 8000)
    codes = bytes(range(256))
    for one, other in ((TWILIO, alaw), (alaw, TWILIO)):
        there = convert(codes, one, other)
        assert there == convert(convert(codes, one, linear), linear, other)
        error = pcm16_to_float32(convert(there, other, linear)) - pcm16_to_float32(convert(codes, one, linear))
        loudness = np.abs(pcm16_to_float32(convert(codes, one, linear)))
        assert np.all(np.abs(error) <= 16 / 32_768 + loudness / 32)
