"""Keys of a telephone: what is generated is recognised, in any format, and speech is not."""

import itertools

import numpy as np
import pytest

from trunkline.audio import LIVEKIT, OPENAI, TWILIO, AudioFormat, Converter, StreamConverter, dbfs, tone
from trunkline.audio.dtmf import DtmfDetector, generate
from trunkline.errors import InvalidAudioData, InvalidConfig
from trunkline.tts.local import LocalSynthesizer

KEYPAD = "123A456B789C*0#D"
LINEAR = AudioFormat("linear16", 8000)


@pytest.mark.parametrize("audio_format", [TWILIO, OPENAI, LIVEKIT, AudioFormat("alaw", 44_100, 2)], ids=str)
@pytest.mark.parametrize("size", [161, 4096])
def test_every_key_is_recognised_once(audio_format: AudioFormat, size: int) -> None:
    audio = generate(KEYPAD, audio_format=audio_format, tone_ms=60, gap_ms=50)
    assert len(audio) == len(KEYPAD) * (audio_format.frame_bytes(60) + audio_format.frame_bytes(50))
    detector = DtmfDetector(audio_format)
    heard = "".join(detector.feed(audio[at : at + size]) for at in range(0, len(audio), size))
    assert heard == KEYPAD


def test_a_held_key_is_one_press_and_a_pause_makes_two() -> None:
    detector = DtmfDetector(TWILIO)
    assert detector.feed(generate("5", audio_format=TWILIO, tone_ms=3000)) == "5"
    assert detector.feed(generate("55", audio_format=TWILIO, tone_ms=40, gap_ms=40)) == "55"
    detector.reset()
    assert detector.feed(generate("5", audio_format=TWILIO, tone_ms=23)) == ""


def test_tones_are_those_of_the_standard() -> None:
    pcm = np.frombuffer(generate("9", audio_format=LINEAR, tone_ms=1000, gap_ms=0), "<i2")
    spectrum = np.abs(np.fft.rfft(pcm))
    assert sorted(np.argsort(spectrum)[-2:]) == [852, 1477]
    assert dbfs(pcm) == pytest.approx(-10, abs=0.01)
    quiet = generate("9", audio_format=LINEAR, tone_ms=1000, gap_ms=0, level_dbfs=-30)
    assert dbfs(quiet) == pytest.approx(-30, abs=0.05)


def test_keys_are_recognised_within_a_call_through_another_codec() -> None:
    rng = np.random.default_rng(1)
    pcm = np.frombuffer(generate("0*7#", audio_format=OPENAI, level_dbfs=-18), "<i2")
    noisy = (pcm + rng.normal(0, 32_768 * 10 ** (-38 / 20), len(pcm))).astype("<i2")
    assert DtmfDetector(TWILIO).feed(Converter().convert(noisy, OPENAI, TWILIO)) == "0*7#"


async def test_spoken_sentences_are_not_keys() -> None:
    voice = LocalSynthesizer()
    detector = DtmfDetector(LINEAR)
    for sentence in (
        "Thank you for calling. Please press one for opening hours, two for directions, or zero for an operator.",
        "The quick brown fox jumps over the lazy dog while seven wizards hum a peaceful melody in the moonlight.",
        "Aaaah, ooooh, eeeeh, mmmmh, nnnnh. Five, nine, nine, one, four, eight, star, hash.",
    ):
        speech = await voice.synthesize(sentence)
        phone = StreamConverter(AudioFormat("linear16", speech.sample_rate), LINEAR)
        assert detector.feed(phone.convert(speech.pcm) + phone.flush()) == ""


def test_music_and_single_tones_are_not_keys() -> None:
    detector = DtmfDetector(LINEAR)
    for frequency in (350, 440, 697, 941, 1209, 1336, 1633, 2100):
        assert detector.feed(tone(frequency, duration_ms=400, audio_format=LINEAR)) == ""
    semitones = [220 * 2 ** (step / 12) for step in range(36)]
    time = np.arange(2400) / 8000
    for low, high in itertools.combinations(semitones[::4], 2):
        chord = np.sum([np.sin(2 * np.pi * pitch * n * time) / n for pitch in (low, high) for n in (1, 2, 3)], axis=0)
        assert detector.feed((chord * 4000).astype("<i2")) == ""


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="'x'"):
        generate("12x", audio_format=TWILIO)
    with pytest.raises(InvalidConfig, match="gap_ms"):
        generate("1", audio_format=TWILIO, gap_ms=-1)
    with pytest.raises(InvalidConfig, match="level_dbfs"):
        generate("1", audio_format=TWILIO, level_dbfs=0)
    with pytest.raises(InvalidAudioData):
        DtmfDetector(TWILIO).feed(np.zeros(8, np.int16))
