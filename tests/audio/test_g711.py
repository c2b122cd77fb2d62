"""G.711 against the standard library's implementation, which Python 3.11 and 3.12 still have, and against itself."""

import sys
import warnings

import numpy as np
import pytest

from trunkline.audio import AudioFormat, convert

LINEAR = AudioFormat("linear16", 8000)
MULAW = AudioFormat("mulaw", 8000)
ALAW = AudioFormat("alaw", 8000)
EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = np.arange(-32768, 32768).astype("<i2").tobytes()


def test_every_code_and_every_sample_as_audioop_has_them() -> None:
    if sys.version_info >= (3, 13):
        return  # the module is gone; the tables below and those in the core still hold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import audioop
    assert convert(EVERY_CODE, MULAW, LINEAR) == audioop.ulaw2lin(EVERY_CODE, 2)
    assert convert(EVERY_CODE, ALAW, LINEAR) == audioop.alaw2lin(EVERY_CODE, 2)
    assert convert(EVERY_SAMPLE, LINEAR, MULAW) == audioop.lin2ulaw(EVERY_SAMPLE, 2)
    assert convert(EVERY_SAMPLE, LINEAR, ALAW) == audioop.lin2alaw(EVERY_SAMPLE, 2)


def test_codes_survive_a_round_trip() -> None:
    assert convert(convert(EVERY_CODE, ALAW, LINEAR), LINEAR, ALAW) == EVERY_CODE
    there_and_back = convert(convert(EVERY_CODE, MULAW, LINEAR), LINEAR, MULAW)
    assert there_and_back == EVERY_CODE.replace(b"\x7f", b"\xff")  # µ-law has two zeros


@pytest.mark.parametrize(
    ("code", "sample"), [(0x00, -32124), (0x80, 32124), (0xFF, 0), (0xFE, 8), (0x7E, -8), (0x9F, 8316)]
)
def test_some_values_of_the_mulaw_table(code: int, sample: int) -> None:
    assert np.frombuffer(convert(bytes([code]), MULAW, LINEAR), "<i2") == sample


def test_transcoding_between_the_laws() -> None:
    heard = np.frombuffer(convert(convert(EVERY_CODE, MULAW, ALAW), ALAW, LINEAR), "<i2").astype(int)
    said = np.frombuffer(convert(EVERY_CODE, MULAW, LINEAR), "<i2").astype(int)
    assert np.all(np.abs(heard - said) <= 8 + np.abs(said) / 16)
