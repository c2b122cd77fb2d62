"""From one audio format to another: streams, and whole pieces at once.

Audio may be bytes, bytearray, memoryview, or an array of 8-bit (or, for linear16, native 16-bit) integers; what comes out is bytes.
"""

from typing import Protocol

from trunkline._native._rust import StreamConverter, convert
from trunkline.audio.data import AudioData
from trunkline.audio.formats import GEMINI_INPUT, GEMINI_OUTPUT, OPENAI, TWILIO, AudioFormat

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
