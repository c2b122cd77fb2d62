"""`trunkline convert`: files in, files out, one line when it cannot be."""

import json
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
