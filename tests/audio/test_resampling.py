"""What the filters do to tones, measured at the converter's output: levels, images, aliases, noise, time."""

import functools
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from trunkline.audio import SAMPLE_RATES, AudioFormat, StreamConverter, convert

TELEPHONY = [(a, b) for a, b in itertools.permutations((8000, 16000, 24000, 48000), 2)]
FROM_AND_TO_8K = [(a, b) for a, b in TELEPHONY if 8000 in (a, b)]
SECONDS = 0.4  # whole periods of every multiple of 50 Hz in the 0.2 s that are looked at
LEVEL = 16_000.0

Signal = NDArray[np.float64]


def linear(rate: int) -> AudioFormat:
    return AudioFormat("linear16", rate)


def tone(rate: int, frequency: float) -> bytes:
    time = np.arange(round(rate * SECONDS)) / rate
    return np.round(LEVEL * np.sin(2 * np.pi * frequency * time)).astype("<i2").tobytes()


def spectrum(audio: bytes, rate: int) -> Signal:
    """The level of each multiple of 5 Hz relative to the tone, of the steady middle."""
    samples = np.frombuffer(audio, "<i2").astype(float)
    middle = samples[rate // 10 : rate // 10 + rate // 5]
    bins = np.abs(np.fft.rfft(middle)) * 2 / len(middle) / LEVEL
    return np.asarray(bins, dtype=np.float64)


@functools.cache
def heard(from_: int, to: int, frequency: float) -> Signal:
    return spectrum(convert(tone(from_, frequency), linear(from_), linear(to)), to)


def db(level: float) -> float:
    return float(20 * np.log10(max(level, 1e-9)))


@pytest.mark.parametrize(("from_", "to"), TELEPHONY)
def test_speech_keeps_its_level(from_: int, to: int) -> None:
    levels = [db(heard(from_, to, frequency)[frequency // 5]) for frequency in range(100, 3401, 300)]
    assert max(abs(level) for level in levels) < 0.02


@pytest.mark.parametrize(("from_", "to"), FROM_AND_TO_8K)
def test_images_of_speech_are_not_heard(from_: int, to: int) -> None:
    for frequency in range(200, 3401, 400):
        rest = heard(from_, to, frequency).copy()
        rest[frequency // 5] = 0
        assert db(rest.max()) < -80, frequency


@pytest.mark.parametrize("from_", [16000, 24000, 48000])
def test_aliases_of_what_a_telephone_cannot_carry_are_not_heard(from_: int) -> None:
    for frequency in [4600, 4700, 5300, *range(6100, from_ // 2, 1700)]:
        assert db(heard(from_, 8000, frequency).max()) < -80, frequency


@pytest.mark.parametrize(
    ("from_", "to"), [pair for pair in itertools.permutations(SAMPLE_RATES, 2) if pair not in FROM_AND_TO_8K]
)
def test_other_ratios_are_as_clean(from_: int, to: int) -> None:
    lower = min(from_, to)
    speech = 50 * int(0.36 * lower / 50)
    levels = heard(from_, to, speech).copy()
    assert abs(db(levels[speech // 5])) < 0.05
    levels[speech // 5] = 0
    assert db(levels.max()) < -80
    beyond = 50 * int(0.6 * lower / 50)
    if beyond < from_ / 2:
        assert db(heard(from_, to, beyond).max()) < -80


@pytest.mark.parametrize(("from_", "to"), TELEPHONY)
def test_noise_and_distortion_together_stay_far_below_a_tone(from_: int, to: int) -> None:
    levels = heard(from_, to, 1000).copy()
    signal = levels[200]
    levels[200] = 0
    assert 20 * np.log10(signal / np.sqrt(np.sum(levels**2))) > 75


@pytest.mark.parametrize(("from_", "to"), TELEPHONY)
def test_audio_is_early_enough_and_in_its_place(from_: int, to: int) -> None:
    stream = StreamConverter(linear(from_), linear(to))
    assert 0.3 < stream.delay_ms < 2.5
    # The first sample of the output comes out when the delay has passed, and not a sample earlier.
    took = next(n for n in itertools.count(1) if stream.convert(b"\0\0"))
    assert (took - 1) / from_ * 1000 <= stream.delay_ms < took / from_ * 1000
    # A tone's phase at the output is its phase at the input: the delay is made good.
    time = np.arange(round(to * SECONDS)) / to
    expected = LEVEL * np.sin(2 * np.pi * 1000 * time)
    got = np.frombuffer(convert(tone(from_, 1000), linear(from_), linear(to)), "<i2").astype(float)
    steady = slice(to // 50, -to // 50)
    assert np.max(np.abs(got[steady] - expected[steady])) < LEVEL * 2e-4


def test_every_pair_is_early_enough() -> None:
    delays = {
        pair: StreamConverter(linear(pair[0]), linear(pair[1])).delay_ms
        for pair in itertools.permutations(SAMPLE_RATES, 2)
    }
    assert max(delays.values()) < 3.1


def test_six_minutes_have_no_drift() -> None:
    stream = StreamConverter(linear(22050), linear(8000))
    ten_seconds = bytes(2 * 220_500)
    made = sum(len(stream.convert(ten_seconds)) for _ in range(36)) + len(stream.flush())
    assert made == 2 * 8000 * 360
