"""Audio files from one format to another, in as little memory as a call takes."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TimeRemainingColumn

from trunkline.audio import (
    GEMINI_INPUT,
    GEMINI_OUTPUT,
    LIVEKIT,
    OPENAI,
    PLIVO,
    QWEN_INPUT,
    QWEN_OUTPUT,
    TELNYX,
    TWILIO,
    VONAGE,
    AudioFormat,
    StreamConverter,
    wav,
)
from trunkline.errors import InvalidConfig, UnsupportedSampleRate

PRESETS: Final = {
    "twilio": TWILIO,
    "telnyx": TELNYX,
    "plivo": PLIVO,
    "vonage": VONAGE,
    "openai": OPENAI,
    "gemini-input": GEMINI_INPUT,
    "gemini-output": GEMINI_OUTPUT,
    "qwen-input": QWEN_INPUT,
    "qwen-output": QWEN_OUTPUT,
    "livekit": LIVEKIT,
}

_CHUNK_MS = 1000
_LONG_BYTES = 4_000_000
"""From here on a conversion takes long enough for somebody to wonder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What was converted; `dropped_bytes` are those of half a sample at the end of a raw file."""

    source: str
    target: str
    from_: AudioFormat
    to: AudioFormat
    duration_ms: float
    bytes_in: int
    bytes_out: int
    dropped_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        return {name.rstrip("_"): value for name, value in asdict(self).items()}


def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="WAV (.wav) or raw audio (any other suffix).")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Likewise.")],
    *,
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="The format of OUT.")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="FORMAT", help="The format of IN; a WAV file tells its own.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a report for machines.")] = False,
) -> None:
    """Convert an audio file to the format of another carrier or model.

    A FORMAT is twilio, telnyx, plivo, vonage, openai, gemini-input, gemini-output, qwen-input, qwen-output, livekit, or
    encoding:rate[:channels] such as alaw:8000 or linear16:48000:2.
    """
    console = Console(stderr=True, quiet=as_json)
    with _progress(console, source) as advance:
        done = convert_file(
            source,
            target,
            from_=None if from_ is None else parse_format(from_),
            to=parse_format(to),
            force=force,
            advance=advance,
        )
    if as_json:
        typer.echo(json.dumps(done.to_json(), indent=2))
        return
    half = f", {done.dropped_bytes} bytes of half a sample dropped" if done.dropped_bytes else ""
    typer.echo(f"{target}: {done.duration_ms / 1000:.2f} s, {done.from_} to {done.to}{half}")


def parse_format(text: str) -> AudioFormat:
    """The format that a preset's name or `encoding:rate[:channels]` stands for.

    Raises:
        InvalidConfig: It is neither.
        AudioError: It names an encoding, rate or number of channels that cannot be converted.
    """
    preset = PRESETS.get(text.strip().lower())
    if preset is not None:
        return preset
    encoding, *numbers = text.split(":")
    if not 1 <= len(numbers) <= 2:
        known = ", ".join(PRESETS)
        raise InvalidConfig("format", f"{text!r} is neither encoding:rate[:channels] nor one of {known}")
    for number in numbers:
        if not number.isdecimal():
            raise (
                UnsupportedSampleRate(number)
                if number is numbers[0]
                else InvalidConfig("format", f"channels must be 1 or 2, got {number!r}")
            )
    return AudioFormat(encoding, *map(int, numbers))


def convert_file(
    source: Path,
    target: Path,
    *,
    from_: AudioFormat | None,
    to: AudioFormat,
    force: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> Conversion:
    """Convert a file; `target` appears when it is complete.

    Args:
        source: A WAV file, if its suffix is .wav, or raw audio.
        target: Likewise.
        from_: The format of raw audio; that of a WAV file if it should be checked.
        to: The format to write.
        force: Whether `target` may be replaced.
        advance: Told how many bytes were read, as they are.

    Raises:
        InvalidConfig: The format of the source is not told, or is another one, or the target is there already.
        AudioError: The source cannot be read as audio.
    """
    if target.exists() and not force:
        raise InvalidConfig(str(target), "is there already; --force replaces it")
    with _reader(source, from_) as (found, size, chunks):
        stream = StreamConverter(found, to)
        partial = target.with_name(f".{target.name}.part")
        try:
            with _writer(partial, target, to) as write:
                written = 0
                for chunk in chunks:
                    written += write(stream.convert(chunk))
                    advance(len(chunk))
                written += write(stream.flush())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        whole = size - size % found.sample_bytes
        return Conversion(
            source=str(source),
            target=str(target),
            from_=found,
            to=to,
            duration_ms=found.duration_ms(whole),
            bytes_in=whole,
            bytes_out=written,
            dropped_bytes=size - whole,
        )


@contextmanager
def _reader(source: Path, from_: AudioFormat | None) -> Iterator[tuple[AudioFormat, int, Iterable[bytes]]]:
    """The format of a file, the bytes of its audio, and its audio."""
    if _is_wav(source):
        with wav.WavReader(source, chunk_ms=_CHUNK_MS) as file:
            if from_ not in {None, file.format}:
                raise InvalidConfig("--from", f"{source} holds {file.format}, not {from_}")
            yield file.format, file.size, file
        return
    if from_ is None:
        raise InvalidConfig("--from", f"{source} is raw audio, which does not tell its format")
    with source.open("rb") as raw:
        size = source.stat().st_size
        yield from_, size, _pieces(raw, size - size % from_.sample_bytes, from_.frame_bytes(_CHUNK_MS))


def _pieces(raw: BinaryIO, left: int, size: int) -> Iterator[bytes]:
    while left > 0 and (piece := raw.read(min(size, left))):
        left -= len(piece)
        yield piece


@contextmanager
def _writer(path: Path, named: Path, to: AudioFormat) -> Iterator[Callable[[bytes], int]]:
    """Something that appends audio to a file and tells how much, in the container that the name asks for."""
    if _is_wav(named):
        with wav.WavWriter(path, to) as file:

            def write(audio: bytes) -> int:
                file.write(audio)
                return len(audio)

            yield write
        return
    with path.open("wb") as raw:
        yield raw.write


def _is_wav(path: Path) -> bool:
    return path.suffix.lower() in {".wav", ".wave"}


@contextmanager
def _progress(console: Console, source: Path) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal, if there is one and the file is long."""
    size = source.stat().st_size
    if not console.is_terminal or console.quiet or size < _LONG_BYTES:
        yield lambda _: None
        return
    with Progress(
        "{task.description}", BarColumn(), TimeRemainingColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task(source.name, total=size)
        yield lambda read: progress.advance(task, read)
