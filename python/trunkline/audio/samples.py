"""Linear samples in the forms that signal processing wants: floats, other rates."""

from typing import TYPE_CHECKING

from trunkline._native._rust import convert
from trunkline.audio.data import AudioData
from trunkline.audio.formats import AudioFormat
from trunkline.errors import InvalidAudioData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["float32_to_pcm16", "pcm16_to_float32", "resample_pcm16"]

_FULL_SCALE = 32_768


def pcm16_to_float32(audio: AudioData) -> "NDArray[np.float32]":
    """Linear16 samples as floats from -1 to just below 1: each divided by 32,768, which is exact.

    Raises:
        InvalidAudioData: `audio` ends inside a sample, or is an array of something else.
    """
    import numpy as np

    mono = AudioFormat("linear16", 8000)  # any that is linear16 and mono
    content = convert(audio, mono, mono)
    if len(content) % 2:
        raise InvalidAudioData(f"{len(content)} bytes end inside a sample")
    return np.frombuffer(content, "<i2").astype(np.float32) / np.float32(_FULL_SCALE)


def float32_to_pcm16(samples: "ArrayLike") -> bytes:
    """Floats as linear16: each times 32,768, rounded to the nearest (halves to even), clipped to what 16 bits hold.

    It undoes `pcm16_to_float32` exactly; 1.0 becomes 32,767.

    Raises:
        InvalidAudioData: These are not real numbers, or some are NaN.
    """
    import numpy as np

    try:
        floats = np.asarray(samples)
        if floats.dtype.kind not in "fiu":
            raise InvalidAudioData(f"samples must be real numbers, got {floats.dtype}")
        scaled = floats.astype(np.float64) * _FULL_SCALE
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidAudioData):
            raise
        raise InvalidAudioData(f"samples must be real numbers: {error}") from error
    if np.isnan(scaled).any():
        raise InvalidAudioData("some samples are not numbers (NaN)")
    return np.clip(np.rint(scaled), -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2").tobytes()


def resample_pcm16(audio: AudioData, from_rate: int, to_rate: int) -> bytes:
    """Mono linear16 at another rate: `ceil(samples * to_rate / from_rate)` samples; for a stream take `StreamConverter`.

    Raises:
        UnsupportedSampleRate: A rate is not one of `SAMPLE_RATES`.
        InvalidAudioData: `audio` ends inside a sample, or is an array of something else.
    """
    return convert(audio, AudioFormat("linear16", from_rate), AudioFormat("linear16", to_rate))
