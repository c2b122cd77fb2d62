"""`trunkline convert`: files in, files out, one line when it cannot be."""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from trunkline.audio import LIVEKIT, OPENAI, TWILIO, VONAGE, AudioFormat, convert, dbfs, tone, wav
from trunkline.cli.convert import PRESETS, convert_file, parse_format
from trunkline.errors import AudioError, InvalidConfig, UnsupportedEncoding, UnsupportedSampleRate


def trunkline(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trunkline", "convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)


@pytest.fixture
def call(tmp_path: Path) -> Path:
    path = tmp_path / "call.ulaw"
    path.write_bytes(tone(440, duration_ms=2500, audio_format=TWILIO))
    return path


def test_raw_to_raw_is_what_the_converter_gives(call: Path) -> None:
    out = call.with_name("call.pcm")
    done = trunkline(call, out, "--from", "twilio", "--to", "openai")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2.50 s" in done.stdout
    assert out.read_bytes() == convert(call.read_bytes(), TWILIO, OPENAI)


def test_a_wav_file_tells_its_format(call: Path) -> None:
    first, second = call.with_name("first.wav"), call.with_name("second.wav")
    assert trunkline(call, first, "--from", "twilio", "--to", "linear16:44100:2").returncode == 0
    done = trunkline(first, second, "--to", "livekit", "--json")
    report = json.loads(done.stdout)
    assert report["from"] == {"encoding": "linear16", "sample_rate": 44_100, "channels": 2}
    assert report["duration_ms"] == 2500
    found, audio = wav.read(second)
    assert (found, len(audio), report["bytes_out"]) == (LIVEKIT, 240_000, 240_000)
    assert dbfs(audio[20_000:-20_000]) == pytest.approx(-10, abs=0.2)
    refused = trunkline(first, call.with_name("third.wav"), "--from", "twilio", "--to", "openai")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["missing.ulaw", "out.pcm", "--from", "twilio", "--to", "openai"],
        ["call.ulaw", "out.pcm", "--to", "openai"],
        ["call.ulaw", "out.pcm", "--from", "nobody", "--to", "openai"],
        ["call.ulaw", "out.pcm", "--from", "twilio", "--to", "mulaw:8001"],
        ["call.ulaw", "there.pcm", "--from", "twilio", "--to", "openai"],
        ["call.ulaw", "call.ulaw", "--from", "twilio", "--to", "openai"],
        ["there.wav", "out.pcm", "--to", "openai"],
        ["call.ulaw", "nowhere/out.pcm", "--from", "twilio", "--to", "openai"],
    ],
)
def test_what_cannot_be_is_one_line_and_status_1(call: Path, arguments: list[str]) -> None:
    for name in ("there.pcm", "there.wav"):
        call.with_name(name).write_bytes(b"not to be lost")
    before = {path: path.read_bytes() for path in call.parent.iterdir()}
    done = trunkline(*(call.parent / name for name in arguments[:2]), *arguments[2:])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert {path: path.read_bytes() for path in call.parent.iterdir()} == before


def test_force_replaces_even_the_file_itself(call: Path) -> None:
    audio = call.read_bytes()
    assert trunkline(call, call, "--from", "twilio", "--to", "alaw:8000", "--force").returncode == 0
    assert call.read_bytes() == convert(audio, TWILIO, AudioFormat("alaw", 8000))


def test_half_a_sample_is_dropped_and_told(tmp_path: Path) -> None:
    source = tmp_path / "odd.pcm"
    source.write_bytes(b"\1\0\2")
    for to in (VONAGE, TWILIO):
        done = convert_file(source, tmp_path / f"{to.encoding}.raw", from_=VONAGE, to=to)
        assert (done.bytes_in, done.dropped_bytes) == (2, 1)
    assert (tmp_path / "linear16.raw").read_bytes() == b"\1\0"


def test_a_long_file_takes_little_memory_and_shows_how_far_it_is(tmp_path: Path) -> None:
    source, target = tmp_path / "long.pcm", tmp_path / "long.wav"
    samples = np.zeros(30 * 60 * 8000, np.int16)
    source.write_bytes(samples.tobytes())
    read: list[int] = []
    tracemalloc.start()
    convert_file(source, target, from_=AudioFormat("linear16", 8000), to=TWILIO, advance=read.append)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
    assert (sum(read), len(read)) == (samples.nbytes, 1800)
    assert target.stat().st_size == 44 + len(samples)


def test_formats_are_presets_or_spelled_out() -> None:
    assert all(parse_format(name.upper()) is preset for name, preset in PRESETS.items())
    assert parse_format("PCMA:8000") == AudioFormat("alaw", 8000)
    assert parse_format("linear16:48000:2") == AudioFormat("linear16", 48_000, 2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", InvalidConfig),
        ("mulaw", InvalidConfig),
        ("a:b:c:d", InvalidConfig),
        ("mulaw:8k", UnsupportedSampleRate),
        ("mulaw:-8000", UnsupportedSampleRate),
        ("mp3:8000", UnsupportedEncoding),
        ("mulaw:8000:x", InvalidConfig),
        ("mulaw:8000:3", AudioError),
    ],
)
def test_what_no_format_is_says_why(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_format(text)


def test_a_link_is_followed_and_stays_a_link(call: Path) -> None:
    link, between, target = (call.with_name(name) for name in ("link.pcm", "between.pcm", "target.pcm"))
    link.symlink_to(between.name)
    between.symlink_to(target.name)
    converted = convert(call.read_bytes(), TWILIO, VONAGE)
    assert trunkline(call, link, "--from", "twilio", "--to", "vonage").returncode == 0  # the target is not there yet
    assert (link.is_symlink(), between.is_symlink(), target.read_bytes()) == (True, True, converted)
    target.write_bytes(b"old")
    assert trunkline(call, link, "--from", "twilio", "--to", "vonage").returncode == 1
    assert target.read_bytes() == b"old"
    assert trunkline(call, link, "--from", "twilio", "--to", "vonage", "--force").returncode == 0
    assert (link.is_symlink(), target.read_bytes()) == (True, converted)


@pytest.mark.parametrize("name", ["pipe.pcm", "pipe.wav", "link to pipe.pcm"])
def test_a_fifo_is_written_to_and_stays_a_fifo(call: Path, name: str) -> None:
    fifo, out = call.with_name(name.removeprefix("link to ")), call.with_name(name)
    os.mkfifo(fifo)
    if out != fifo:
        out.symlink_to(fifo.name)
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as reader:
        done = trunkline(call, out, "--from", "twilio", "--to", "vonage")
        received, _ = reader.communicate(timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert fifo.is_fifo()
    audio = convert(call.read_bytes(), TWILIO, VONAGE)
    assert received[-len(audio) :] == audio
    assert len(received) == len(audio) + (44 if fifo.suffix == ".wav" else 0)


@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("to_file", [False, True], ids=["pipe", "file"])
def test_standard_output_gets_the_audio_and_no_report(call: Path, target: str, to_file: bool) -> None:
    command = [sys.executable, "-m", "trunkline", "convert", str(call), target, "--from", "twilio", "--to", "vonage"]
    audio = convert(call.read_bytes(), TWILIO, VONAGE)
    device = Path(target).lstat()
    if to_file:
        out = call.with_name("appended.raw")
        out.write_bytes(b"before")
        with out.open("ab") as appended:
            done = subprocess.run(command, stdout=appended, stderr=subprocess.PIPE, check=False, timeout=50)
        assert out.read_bytes() == b"before" + audio
    else:
        done = subprocess.run(command, capture_output=True, check=False, timeout=50)
        assert done.stdout == audio
    assert done.returncode == 0
    assert b"2.50 s" in done.stderr
    assert Path(target).lstat().st_mode == device.st_mode


@pytest.mark.parametrize("suffix", [".ulaw", ".wav"])
def test_a_pipe_is_read_to_its_end_although_it_has_no_length(call: Path, suffix: str) -> None:
    source, fifo, out = call, call.with_name(f"in{suffix}"), call.with_name("out.pcm")
    if suffix == ".wav":
        source = call.with_name("whole.wav")
        wav.write(source, TWILIO, call.read_bytes())
    os.mkfifo(fifo)
    with subprocess.Popen(["sh", "-c", f'cat "{source}" > "{fifo}"']):
        done = trunkline(fifo, out, "--from", "twilio", "--to", "vonage")
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_bytes() == convert(call.read_bytes(), TWILIO, VONAGE)


@pytest.mark.parametrize("claimed", [0, 0xFFFF_FFFF])
def test_a_wav_pipe_whose_header_tells_no_length_is_read_to_its_end(call: Path, claimed: int) -> None:
    whole, fifo = call.with_name("whole.wav"), call.with_name("in.wav")
    wav.write(whole, TWILIO, call.read_bytes())
    content = bytearray(whole.read_bytes())
    content[40:44] = claimed.to_bytes(4, "little")
    whole.write_bytes(content)
    os.mkfifo(fifo)
    with subprocess.Popen(["sh", "-c", f'cat "{whole}" > "{fifo}"']):
        found, audio = wav.read(fifo)
    assert (found, audio) == (TWILIO, call.read_bytes())
