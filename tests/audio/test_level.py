"""How loud audio is."""

import math

import numpy as np
import pytest

from trunkline.audio import OPENAI, dbfs, rms
from trunkline.errors import InvalidAudioData


def test_levels_of_known_signals() -> None:
    sine = np.round(32767 * np.sin(2 * np.pi * np.arange(2400) / 24)).astype(np.int16)
    assert rms(sine) == pytest.approx(32767 / math.sqrt(2), rel=1e-4)
    assert dbfs(sine.tobytes()) == pytest.approx(-3.01, abs=0.01)
    assert dbfs(np.full(100, -32768, np.int16)) == 0
    assert (rms(OPENAI.silence(20)), dbfs(OPENAI.silence(20))) == (0, -math.inf)
    assert (rms(b""), dbfs(b"")) == (0, -math.inf)


def test_half_a_sample_has_no_level() -> None:
    for measure in (rms, dbfs):
        with pytest.raises(InvalidAudioData, match="3 bytes"):
            measure(b"\0\0\0")
