"""Pure tones."""

import numpy as np
import pytest

from trunkline.audio import LIVEKIT, OPENAI, TWILIO, AudioFormat, convert, dbfs, tone
from trunkline.errors import InvalidConfig


@pytest.mark.parametrize("audio_format", [TWILIO, OPENAI, LIVEKIT, AudioFormat("alaw", 22_050, 2)], ids=str)
def test_a_tone_has_its_frequency_length_and_level(audio_format: AudioFormat) -> None:
    audio = tone(440, duration_ms=1000, audio_format=audio_format, level_dbfs=-12)
    assert len(audio) == audio_format.frame_bytes(1000)
    linear = AudioFormat("linear16", audio_format.sample_rate)
    pcm = np.frombuffer(convert(audio, audio_format, linear), "<i2")
    assert dbfs(pcm) == pytest.approx(-12, abs=0.1)
    assert np.argmax(np.abs(np.fft.rfft(pcm))) == 440


@pytest.mark.parametrize(
    ("frequency", "ms", "level"), [(0, 20, -10), (4000, 20, -10), (440, -1, -10), (440, 20, -3), (440, 4e6, -10)]
)
def test_what_no_tone_can_be_is_refused(frequency: float, ms: float, level: float) -> None:
    with pytest.raises(InvalidConfig):
        tone(frequency, duration_ms=ms, audio_format=TWILIO, level_dbfs=level)
