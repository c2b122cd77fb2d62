"""Audio files from one format to another, in as little memory as a call takes."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
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
_MOST_LINKS = 40  # as many as Linux follows
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
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is a file that is there.")] = False,
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
    err = _is_standard_output(target)  # the report must not stand among the audio
    if as_json:
        typer.echo(json.dumps(done.to_json(), indent=2), err=err)
        return
    half = f", {done.dropped_bytes} bytes of half a sample dropped" if done.dropped_bytes else ""
    typer.echo(f"{target}: {done.duration_ms / 1000:.2f} s, {done.from_} to {done.to}{half}", err=err)


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
    """Convert a file. A regular `target` appears when it is complete; a link is followed; a pipe or a device is written to as it is.

    Args:
        source: A WAV file, if its suffix is .wav, or raw audio. What does not know its length, such as a pipe, is read to its end.
        target: Likewise.
        from_: The format of raw audio; that of a WAV file if it should be checked.
        to: The format to write.
        force: Whether a regular `target` may be replaced.
        advance: Told how many bytes were read, as they are.

    Raises:
        InvalidConfig: The format of the source is not known, or is another one, or the target is there already.
        AudioError: The source cannot be read as audio.
        OSError: A file cannot be read or written.
    """
    in_place = _is_written_in_place(target)
    if not in_place and target.exists() and not force:
        raise InvalidConfig(str(target), "is there already; --force replaces it")
    with _source(source, from_) as (found, chunks), _writer(target, to, in_place=in_place) as write:
        stream = StreamConverter(found, to)
        read = written = half = 0
        for chunk in chunks:
            half = len(chunk) % found.sample_bytes  # of the last chunk, if of any
            written += write(stream.convert(chunk[: len(chunk) - half]))
            read += len(chunk) - half
            advance(len(chunk))
        written += write(stream.flush())
    return Conversion(
        source=str(source),
        target=str(target),
        from_=found,
        to=to,
        duration_ms=found.duration_ms(read),
        bytes_in=read,
        bytes_out=written,
        dropped_bytes=half,
    )


@contextmanager
def _source(source: Path, from_: AudioFormat | None) -> Iterator[tuple[AudioFormat, Iterable[bytes]]]:
    """The format of a file, and its audio."""
    if _is_wav(source):
        with wav.WavReader(source, chunk_ms=_CHUNK_MS) as file:
            if from_ not in {None, file.format}:
                raise InvalidConfig("--from", f"{source} holds {file.format}, not {from_}")
            yield file.format, file
        return
    if from_ is None:
        raise InvalidConfig("--from", f"{source} is raw audio, which does not tell its format")
    with source.open("rb") as raw:
        yield from_, iter(partial(raw.read, from_.frame_bytes(_CHUNK_MS)), b"")


@contextmanager
def _writer(target: Path, to: AudioFormat, *, in_place: bool) -> Iterator[Callable[[bytes], int]]:
    """Something that appends audio to a file and tells how much, in the container that the name asks for."""
    if not in_place:
        target = target.resolve()
        unfinished = target.with_name(f".{target.name}.part")
        try:
            with _container(unfinished, to, is_wav=_is_wav(target)) as write:
                yield write
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    elif _is_wav(target):  # its header is written last, so the whole is made before any of it goes
        with TemporaryDirectory() as folder:
            whole = Path(folder, "whole.wav")
            with _container(whole, to, is_wav=True) as write:
                yield write
            with whole.open("rb") as made, _opened_as_it_is(target) as raw:
                copyfileobj(made, raw)
    else:
        with _opened_as_it_is(target) as raw:
            yield raw.write


@contextmanager
def _container(path: Path, to: AudioFormat, *, is_wav: bool) -> Iterator[Callable[[bytes], int]]:
    if not is_wav:
        with path.open("wb") as raw:
            yield raw.write
        return
    with wav.WavWriter(path, to) as file:

        def write(audio: bytes) -> int:
            file.write(audio)
            return len(audio)

        yield write


def _opened_as_it_is(target: Path) -> BinaryIO:
    """A pipe, a device or an open file, neither made nor cut; standard output itself, since a file opened anew has another position."""
    if _is_standard_output(target):
        sys.stdout.flush()
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    return os.fdopen(os.open(target, os.O_WRONLY), "wb")


def _is_written_in_place(target: Path) -> bool:
    """Whether this is there and no regular file, or an open file of some process by its number, also at the end of links."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    if not stat.S_ISREG(mode):
        return not stat.S_ISDIR(mode)
    for _ in range(_MOST_LINKS):
        if target.parent.name == "fd" and target.parent.resolve().is_relative_to("/proc"):
            return True
        if not target.is_symlink():
            return False
        target = target.parent / target.readlink()
    return False


def _is_standard_output(target: Path) -> bool:
    try:
        return os.path.samestat(target.stat(), os.fstat(sys.stdout.fileno())) and _is_written_in_place(target)
    except (OSError, ValueError):
        return False


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
