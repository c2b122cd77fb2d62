"""From one audio format to another: streams, and whole pieces at once.

Audio may be bytes, bytearray, memoryview, or an array of 8-bit (or, for linear16, native 16-bit) integers; what comes out is bytes.
"""

from typing import Protocol, overload

from trunkline._native import _rust
from trunkline._native._rust import StreamConverter
from trunkline.audio.data import AudioData
from trunkline.audio.formats import GEMINI_INPUT, GEMINI_OUTPUT, OPENAI, TWILIO, AudioFormat
from trunkline.errors import InvalidAudioData

__all__ = [
    "AudioConverter",
    "Converter",
    "StreamConverter",
    "convert",
    "gemini_to_twilio",
    "openai_to_twilio",
    "twilio_to_gemini",
    "twilio_to_openai",
]


@overload
def convert(audio: AudioData, from_: AudioFormat, to: AudioFormat, *, out: None = None) -> bytes: ...
@overload
def convert(audio: AudioData, from_: AudioFormat, to: AudioFormat, *, out: AudioData) -> int: ...
def convert(audio: AudioData, from_: AudioFormat, to: AudioFormat, *, out: "AudioData | None" = None) -> bytes | int:
    """Convert a whole piece of audio: `ceil(samples * new rate / old rate)` samples.

    Args:
        audio: Bytes, or an array of the format's items.
        from_: What `audio` is.
        to: What it is to become.
        out: Memory to write to, from its beginning.

    Returns:
        The audio, or with `out` how many bytes were written to it.

    Raises:
        InvalidAudioData: `audio` ends inside a sample, its items are not those of the format, or `out` is too small or cannot be written.
    """
    converted = _rust.convert(audio, from_, to)
    if out is None:
        return converted
    try:
        memory = memoryview(out).cast("B")  # type: ignore[arg-type] # an array is a buffer to a type checker from Python 3.12 on
    except TypeError as error:
        raise InvalidAudioData(f"`out` must be memory in one piece: {error}") from error
    if memory.readonly:
        raise InvalidAudioData("`out` cannot be written to")
    if len(memory) < len(converted):
        raise InvalidAudioData(f"`out` holds {len(memory)} bytes, {len(converted)} are needed")
    memory[: len(converted)] = converted
    return len(converted)


class AudioConverter(Protocol):
    """Whatever converts whole pieces of audio; the bridge takes one in place of ours."""

    def convert(self, audio: bytes, from_: AudioFormat, to: AudioFormat) -> bytes:
        """Return `audio`, which is in the first format, in the second.

        Raises:
            AudioError: It cannot be converted.
        """
        ...


class Converter:
    """Converts whole pieces of audio, each on its own; for the chunks of a stream take `StreamConverter`, whose seams cannot be heard."""

    def convert(self, audio: AudioData, from_: AudioFormat, to: AudioFormat) -> bytes:
        """Return `audio`, which is in the first format, in the second: `ceil(samples * new rate / old rate)` samples.

        Raises:
            InvalidAudioData: `audio` ends inside a sample, or is an array whose items are not those of the format.
        """
        return convert(audio, from_, to)


def twilio_to_openai(audio: AudioData) -> bytes:
    """Convert µ-law at 8 kHz to linear16 at 24 kHz."""
    return convert(audio, TWILIO, OPENAI)


def openai_to_twilio(audio: AudioData) -> bytes:
    """Convert linear16 at 24 kHz to µ-law at 8 kHz."""
    return convert(audio, OPENAI, TWILIO)


def twilio_to_gemini(audio: AudioData) -> bytes:
    """Convert µ-law at 8 kHz to linear16 at 16 kHz."""
    return convert(audio, TWILIO, GEMINI_INPUT)


def gemini_to_twilio(audio: AudioData) -> bytes:
    """Convert linear16 at 24 kHz to µ-law at 8 kHz."""
    return convert(audio, GEMINI_OUTPUT, TWILIO)
