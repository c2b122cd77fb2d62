"""WAV files: what is written can be read, by us and by others, and what cannot be read says why."""

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from trunkline.audio import OPENAI, TWILIO, AudioFormat, wav
from trunkline.errors import AudioError, InvalidAudioData, InvalidConfig, UnsupportedEncoding, UnsupportedSampleRate


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def fmt(code: int, channels: int, rate: int, bits: int, rest: bytes = b"") -> tuple[bytes, bytes]:
    block = channels * bits // 8
    return b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * block, block, bits) + rest


@pytest.mark.parametrize("audio_format", [TWILIO, OPENAI, AudioFormat("alaw", 8000), AudioFormat("linear16", 8000, 2)])
def test_what_is_written_in_pieces_is_read_back(tmp_path: Path, audio_format: AudioFormat) -> None:
    path = tmp_path / "call.wav"
    audio = bytes(range(249)) * audio_format.sample_bytes
    with wav.WavWriter(path, audio_format) as file:
        file.write(audio[:7])
        file.write(bytearray(audio[7:]))
    assert wav.read(path) == (audio_format, audio)
    assert path.stat().st_size % 2 == 0


def test_others_read_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    samples = np.arange(-100, 100, dtype=np.int16)
    wav.write(path, AudioFormat("linear16", 8000, 2), samples)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth(), file.getnframes()) == (2, 8000, 2, 100)
        assert file.readframes(100) == samples.tobytes()


def test_a_file_in_memory_is_that_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    wav.write(path, TWILIO, b"\x01\x02\x03")
    content = wav.encode(TWILIO, b"\x01\x02\x03")
    assert content == path.read_bytes()
    assert wav.parse(content) == wav.parse(memoryview(content)) == (TWILIO, b"\x01\x02\x03")
    with pytest.raises(InvalidAudioData, match="not a WAV file"):
        wav.parse(b"ID3")


def test_a_file_that_is_open_already_stays_open() -> None:
    file = io.BytesIO()
    with wav.WavWriter(file, OPENAI) as writer:
        writer.write(b"abcdef")
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"ab")
    with wav.WavReader(file, chunk_ms=2 / 24) as reader:
        assert list(reader) == [b"abcd", b"ef"]
    assert not file.closed


def test_what_others_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "other.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 22050, 0, "NONE", ""))
        file.writeframes(b"\x01\x02\x03\x04")
    assert wav.read(path) == (AudioFormat("linear16", 22050), b"\x01\x02\x03\x04")


def test_chunks_between_and_endless_data_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    extensible = fmt(0xFFFE, 1, 8000, 16, struct.pack("<HHIH14x", 22, 16, 4, 1))
    path.write_bytes(riff((b"LIST", b"odd"), extensible, (b"data", b"\1\0\2")))
    assert wav.read(path) == (AudioFormat("linear16", 8000), b"\1\0")
    path.write_bytes(riff(fmt(7, 1, 8000, 8)) + b"data\xff\xff\xff\xff" + b"\x80\x81")
    assert wav.read(path) == (TWILIO, b"\x80\x81")


def test_a_file_is_read_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    audio = bytes(range(250)) * 20
    wav.write(path, OPENAI, audio)
    with path.open("ab") as file:
        file.write(b"LIST\4\0\0\0abcd")  # what follows the audio is not audio
    with wav.WavReader(path, chunk_ms=50) as reader:
        assert (reader.format, reader.size) == (OPENAI, 5000)
        assert reader.duration_ms == pytest.approx(104.17, abs=0.01)
        chunks = list(reader)
    assert [len(chunk) for chunk in chunks] == [2400, 2400, 200]
    assert b"".join(chunks) == audio
    with pytest.raises(ValueError, match="closed"):
        next(reader)
    with pytest.raises(InvalidConfig, match="chunk_ms"):
        wav.WavReader(path, chunk_ms=0)


def test_a_writer_that_is_closed_takes_nothing_more(tmp_path: Path) -> None:
    file = wav.WavWriter(tmp_path / "call.wav", TWILIO)
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"\xff")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", InvalidAudioData),
        (b"ID3 not a wav file at all", InvalidAudioData),
        (riff(), InvalidAudioData),
        (riff((b"data", b"\0\0")), InvalidAudioData),
        (riff(fmt(1, 1, 8000, 16)), InvalidAudioData),
        (riff((b"fmt ", b"\1\0\1\0")), InvalidAudioData),
        (riff(fmt(1, 1, 8000, 24), (b"data", b"")), UnsupportedEncoding),
        (riff(fmt(3, 1, 8000, 32), (b"data", b"")), UnsupportedEncoding),
        (riff(fmt(1, 1, 8001, 16), (b"data", b"")), UnsupportedSampleRate),
        (riff(fmt(1, 6, 8000, 16), (b"data", b"")), AudioError),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, error: type[AudioError]) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(error):
        wav.read(path)
