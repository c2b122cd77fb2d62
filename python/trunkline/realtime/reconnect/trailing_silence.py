"""How long the caller has been silent, as heard in the audio itself."""

from trunkline.audio import AudioFormat, Converter, Encoding, dbfs

QUIET_DBFS = -46.0
"""Audio below this is silence to every voice activity detector; what is louder may honestly be taken for speech that goes on."""


class TrailingSilence:
    """Measures the silence that a stream of audio ends with."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.ms = 0.0
        """Milliseconds of silence up to now."""
        self._format = audio_format
        self._linear = AudioFormat(Encoding.LINEAR16, audio_format.sample_rate, audio_format.channels)
        self._converter = Converter()

    def hear(self, audio: bytes) -> None:
        """The audio goes on; half a sample at the end is not looked at."""
        whole = audio[: len(audio) // self._format.sample_bytes * self._format.sample_bytes]
        if dbfs(self._converter.convert(whole, self._format, self._linear)) < QUIET_DBFS:
            self.ms += self._format.duration_ms(len(whole))
        else:
            self.ms = 0.0

    def reset(self) -> None:
        """Somebody was heard by other means."""
        self.ms = 0.0
