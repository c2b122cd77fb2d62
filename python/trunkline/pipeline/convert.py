"""Conversion of a call's audio: ours, or by what the program gives in its place."""

from typing import Protocol

from trunkline.audio import AudioConverter, AudioFormat, StreamConverter


class StreamingConverter(Protocol):
    """What converts one direction of a call, chunk by chunk; `StreamConverter` is one."""

    @property
    def delay_ms(self) -> float:
        """Milliseconds by which what comes out is later than what went in."""
        ...

    def convert(self, audio: bytes, /) -> bytes:
        """Convert the next chunk, of any length."""
        ...

    def flush(self) -> bytes:
        """End the audio: what was held back of it."""
        ...

    def reset(self) -> None:
        """Begin anew; what was held back is dropped."""
        ...


class PieceConverter:
    """Makes a converter of whole pieces one of streams: it is given whole samples, and has no delay."""

    delay_ms = 0.0

    def __init__(self, converter: AudioConverter, source: AudioFormat, target: AudioFormat) -> None:
        self._converter = converter
        self._formats = source, target
        self._sample = source.sample_bytes
        self._rest = b""

    def convert(self, audio: bytes, /) -> bytes:
        """Convert the whole samples; what is left over of one waits for the rest of it."""
        audio = self._rest + audio
        end = len(audio) - len(audio) % self._sample
        self._rest = audio[end:]
        return self._converter.convert(audio[:end], *self._formats) if end else b""

    def flush(self) -> bytes:
        """Nothing: no whole sample waits."""
        self._rest = b""
        return b""

    def reset(self) -> None:
        """Forget the part of a sample that waits."""
        self._rest = b""


def converter_between(
    source: AudioFormat, target: AudioFormat, own: AudioConverter | None = None
) -> StreamingConverter | None:
    """What converts from one format to the other; None where they are equal and audio passes through."""
    if source == target:
        return None
    return StreamConverter(source, target) if own is None else PieceConverter(own, source, target)
