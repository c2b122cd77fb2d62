"""WAV files of linear16, µ-law and A-law, on disk or in memory, whole or as the audio comes.

Source: "Multimedia Programming Interface and Data Specifications 1.0" (IBM, Microsoft, 1991), Waveform Audio File Format, and the
extensible format that Microsoft added to it (`WAVEFORMATEXTENSIBLE`), whose GUID begins with the same code.
"""

import io
import os
import struct
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

from trunkline.audio.chunks import chunk_bytes
from trunkline.audio.converter import convert
from trunkline.audio.data import AudioData
from trunkline.audio.formats import AudioFormat, Encoding
from trunkline.errors import InvalidAudioData, UnsupportedEncoding

__all__ = ["WavReader", "WavWriter", "encode", "parse", "read", "write"]

_CODES = {(1, 16): Encoding.LINEAR16, (6, 8): Encoding.ALAW, (7, 8): Encoding.MULAW}
_EXTENSIBLE = 0xFFFE
_FORMAT = struct.Struct("<HHIIHH")
_LONGEST_FORMAT = 40  # of an extensible one
_HEADER_BYTES = 44
_SKIPPED_AT_ONCE = 65_536
_LARGEST = 0xFFFF_FFFF - _HEADER_BYTES  # sizes have 32 bits


def read(path: str | os.PathLike[str] | BinaryIO) -> tuple[AudioFormat, bytes]:
    """The format and the audio of a file, in whole samples.

    Raises:
        InvalidAudioData: It is not a WAV file, or one without format or audio.
        UnsupportedEncoding: Its samples are not linear16, µ-law or A-law; the error names code and bits.
        UnsupportedSampleRate: Its sample rate is none of those that can be converted.
        AudioError: It has neither one nor two channels.
    """
    with WavReader(path, chunk_ms=10_000) as file:
        return file.format, b"".join(file)


def write(path: str | os.PathLike[str] | BinaryIO, audio_format: AudioFormat, audio: AudioData) -> None:
    """Write a file at once."""
    with WavWriter(path, audio_format) as file:
        file.write(audio)


def parse(content: bytes | bytearray | memoryview) -> tuple[AudioFormat, bytes]:
    """The format and the audio of a file in memory, in whole samples.

    Raises:
        AudioError: As `read` does.
    """
    return read(io.BytesIO(content))


def encode(audio_format: AudioFormat, audio: AudioData) -> bytes:
    """Return the content of a file.

    Raises:
        InvalidAudioData: `audio` is longer than 4 GiB, or an array of something else.
    """
    file = io.BytesIO()
    write(file, audio_format, audio)
    return file.getvalue()


class WavReader:
    """Reads a file in chunks of whole samples, as an iterator, without ever holding all of it.

    Args:
        path: The file; or one that is open for reading and seekable, which is left open.
        chunk_ms: The duration of a chunk; the last may be shorter.

    Raises:
        InvalidAudioData: It is not a WAV file, or one without format or audio.
        InvalidConfig: A chunk would not hold one sample.
        UnsupportedEncoding: Its samples are not linear16, µ-law or A-law; the error names code and bits.
        UnsupportedSampleRate: Its sample rate is none of those that can be converted.
        AudioError: It has neither one nor two channels.
    """

    format: AudioFormat
    """The format of the audio."""

    size: int
    """Bytes of the audio, in whole samples; of a pipe, what its header claims, which may be more or less than comes."""

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, *, chunk_ms: float = 100) -> None:
        self._file, self._owned = _opened(path, "rb")
        try:
            self.format, self.size = self._open()
            self._chunk = chunk_bytes(self.format, chunk_ms)
        except BaseException:
            self.close()
            raise
        self._left = self.size or self._unknown

    @property
    def duration_ms(self) -> float:
        """How long the audio is."""
        return self.format.duration_ms(self.size)

    def close(self) -> None:
        """Close the file, if it was opened here; a second time does nothing."""
        if self._owned:
            self._file.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = self._file.read(min(self._chunk, self._left))
        chunk = chunk[: len(chunk) - len(chunk) % self.format.sample_bytes]  # only the end of a pipe may cut a sample
        if not chunk:
            raise StopIteration
        self._left -= len(chunk)
        return chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> tuple[AudioFormat, int]:
        """Read up to the audio; return its format and how many bytes of it there are."""
        is_whole = self._file.seekable()  # what comes through a pipe has no length of its own
        end = self._file.seek(0, os.SEEK_END) if is_whole else 0
        if is_whole:
            self._file.seek(0)
        self._unknown = 0 if is_whole else sys.maxsize
        head = self._file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            raise InvalidAudioData("this is not a WAV file")
        audio_format: AudioFormat | None = None
        while len(head := self._file.read(8)) == 8:
            name, size = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data" and audio_format is not None:
                if is_whole:  # one that was not completed claims more, or the most that 32 bits can tell
                    size = min(size, end - self._file.tell())
                return audio_format, size - size % audio_format.sample_bytes
            if name == b"fmt ":
                form = self._file.read(min(size, _LONGEST_FORMAT))
                audio_format = _format(form)
                size -= len(form)
            self._skip(size + size % 2)
        raise InvalidAudioData("the WAV file has no audio" if audio_format else "the WAV file does not tell its format")

    def _skip(self, size: int) -> None:
        if self._file.seekable():
            self._file.seek(size, os.SEEK_CUR)
            return
        while size and (skipped := self._file.read(min(size, _SKIPPED_AT_ONCE))):
            size -= len(skipped)


class WavWriter:
    """Writes a file as the audio comes; what has been written is a whole file only after `close`.

    Args:
        path: The file, which is replaced if there is one; or one that is open for writing and seekable, which is left open.
        audio_format: The format of the audio that will be written.
    """

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self._written = 0
        self._closed = False
        self._file, self._owned = _opened(path, "wb")
        self._file.write(self._header())

    def write(self, audio: AudioData) -> None:
        """Append audio.

        Raises:
            InvalidAudioData: The file would grow beyond 4 GiB, which its header cannot tell, or this is an array of something else.
            ValueError: The file is closed.
        """
        if self._closed:
            raise ValueError("the file is closed")
        content = convert(audio, self.format, self.format)
        if self._written + len(content) > _LARGEST:
            raise InvalidAudioData("a WAV file cannot hold more than 4 GiB")
        self._file.write(content)
        self._written += len(content)

    def close(self) -> None:
        """Complete the header and close the file, if it was opened here; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self._file.write(b"\0" * (self._written % 2))  # chunks begin at even places
            self._file.seek(0)
            self._file.write(self._header())
        finally:
            if self._owned:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _header(self) -> bytes:
        code, bits = next(key for key, encoding in _CODES.items() if encoding is self.format.encoding)
        rate, block = self.format.sample_rate, self.format.sample_bytes
        form = _FORMAT.pack(code, self.format.channels, rate, rate * block, block, bits)
        size = _HEADER_BYTES - 8 + self._written + self._written % 2
        return struct.pack("<4sI4s4sI16s4sI", b"RIFF", size, b"WAVE", b"fmt ", len(form), form, b"data", self._written)


def _opened(path: str | os.PathLike[str] | BinaryIO, mode: Literal["rb", "wb"]) -> tuple[BinaryIO, bool]:
    """A file, and whether it was opened here and so is to be closed here."""
    if isinstance(path, str | os.PathLike):
        return Path(path).open(mode), True
    return path, False


def _format(chunk: bytes) -> AudioFormat:
    if len(chunk) < _FORMAT.size:
        raise InvalidAudioData("the WAV file does not tell its format")
    code, channels, rate, _, _, bits = _FORMAT.unpack_from(chunk)
    if code == _EXTENSIBLE and len(chunk) >= 26:
        code = int.from_bytes(chunk[24:26], "little")
    encoding = _CODES.get((code, bits))
    if encoding is None:
        raise UnsupportedEncoding(f"WAV code {code} with {bits} bits")
    return AudioFormat(encoding, rate, channels)
