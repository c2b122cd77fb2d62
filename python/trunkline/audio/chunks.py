"""A piece of audio in chunks of one duration."""

from trunkline._native._rust import convert
from trunkline.audio.data import AudioData
from trunkline.audio.formats import OPENAI, AudioFormat
from trunkline.errors import InvalidConfig

__all__ = ["chunk_audio"]


def chunk_audio(audio: AudioData, audio_format: AudioFormat = OPENAI, *, chunk_ms: float = 100) -> list[bytes]:
    """Cut audio into chunks of whole samples, of which the last may be shorter; joined, they are the audio.

    Args:
        audio: The audio to cut, in any buffer.
        audio_format: Its format. 100 ms of linear16 at 24 kHz are 4,800 bytes.
        chunk_ms: The duration of a chunk, in milliseconds.

    Raises:
        InvalidConfig: A chunk would not hold one sample.
        InvalidAudioData: `audio` is an array whose items are not those of the format.
    """
    content = convert(audio, audio_format, audio_format)
    size = chunk_bytes(audio_format, chunk_ms)
    return [content[start : start + size] for start in range(0, len(content), size)]


def chunk_bytes(audio_format: AudioFormat, chunk_ms: float) -> int:
    """Bytes of a chunk.

    Raises:
        InvalidConfig: It would not hold one sample, or be endless.
    """
    if not 1 <= audio_format.sample_rate * chunk_ms / 1000 < float("inf"):
        raise InvalidConfig("chunk_ms", f"must hold a sample of {audio_format}, got {chunk_ms!r}")
    return audio_format.frame_bytes(chunk_ms)
