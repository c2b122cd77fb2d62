"""Speech from a file, as a telephone carries it."""

from os import PathLike
from pathlib import Path

import anyio.to_thread

from trunkline.audio import TWILIO, convert, wav
from trunkline.errors import InvalidConfig


async def read_speech(speech: str | PathLike[str] | bytes) -> bytes:
    """Speech as µ-law at 8 kHz: bytes are that already, a WAV file is converted, any other file holds it raw.

    Raises:
        InvalidConfig: The file cannot be read.
        AudioError: The WAV file holds nothing that can be converted.
    """
    if isinstance(speech, bytes):
        return speech
    try:
        return await anyio.to_thread.run_sync(_read, Path(speech))
    except OSError as error:
        raise InvalidConfig("speech", f"{speech} cannot be read: {error.strerror}") from error


def _read(path: Path) -> bytes:
    if path.suffix.lower() != ".wav":
        return path.read_bytes()
    audio_format, audio = wav.read(path)
    return convert(audio, audio_format, TWILIO)
