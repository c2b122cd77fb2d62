"""Pieces of audio in chunks."""

import math

import numpy as np
import pytest

from trunkline.audio import OPENAI, TWILIO, AudioFormat, chunk_audio
from trunkline.errors import InvalidAudioData, InvalidConfig


def test_a_tenth_of_a_second_at_a_time_unless_told_otherwise() -> None:
    audio = bytes(range(250)) * 40
    chunks = chunk_audio(audio)
    assert [len(chunk) for chunk in chunks] == [4800, 4800, 400]
    assert b"".join(chunks) == audio
    assert [len(chunk) for chunk in chunk_audio(audio, TWILIO, chunk_ms=500)] == [4000, 4000, 2000]
    assert chunk_audio(b"") == []


def test_chunks_hold_whole_samples_of_any_buffer() -> None:
    odd = AudioFormat("linear16", 11_025, 2)
    assert {len(chunk) % 4 for chunk in chunk_audio(bytes(8000), odd, chunk_ms=3.3)} == {0}
    assert chunk_audio(np.ones(3, np.int16), OPENAI, chunk_ms=1 / 24) == [b"\1\0"] * 3
    assert chunk_audio(memoryview(b"abc"), TWILIO) == [b"abc"]
    with pytest.raises(InvalidAudioData):
        chunk_audio(np.zeros(3, np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize("chunk_ms", [0, -20, 0.01, math.nan, math.inf])
def test_a_chunk_holds_a_sample(chunk_ms: float) -> None:
    with pytest.raises(InvalidConfig, match="chunk_ms"):
        chunk_audio(b"", chunk_ms=chunk_ms)
