"""Where the vendor is in its audio, and where that is in the caller's: they differ by the silence that was put in between."""

from trunkline.audio import AudioFormat


class AudioTime:
    """Counts the audio of one session.

    Args:
        audio_format: The format of the audio that is sent.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._sent = 0
        self._put_in: list[
            tuple[int, int]
        ] = []  # where each piece of silence begins in the vendor's audio, and its length, in bytes

    @property
    def sent_ms(self) -> float:
        """Milliseconds of audio that the vendor got."""
        return self._format.duration_ms(self._sent)

    def add(self, n_bytes: int) -> None:
        """So much of the caller's audio was sent."""
        self._sent += n_bytes

    def put_in(self, n_bytes: int) -> None:
        """So much silence was sent that is not the caller's."""
        if self._put_in and sum(self._put_in[-1]) == self._sent:
            start, length = self._put_in[-1]
            self._put_in[-1] = start, length + n_bytes
        else:
            self._put_in.append((self._sent, n_bytes))
        self._sent += n_bytes

    def caller_ms(self, vendor_ms: float) -> int:
        """Where in the caller's audio a moment of the vendor's is."""
        moment = vendor_ms * self._format.bytes_per_ms
        foreign = sum(max(0.0, min(length, moment - start)) for start, length in self._put_in)
        return round(max(0.0, moment - foreign) / self._format.bytes_per_ms)
