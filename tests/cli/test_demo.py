"""The demo's call: everything that it shows is produced by the audio. It runs twice as fast as it does for a person."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from trunkline.audio import AudioFormat, wav
from trunkline.cli.demo import GREETING, Demo, DemoReport, play
from trunkline.clock import ScaledClock
from trunkline.pipeline import EventType
from trunkline.tts.local import LocalSynthesizer

pytestmark = pytest.mark.timeout(120)


def turns(report: DemoReport) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in report.transcript]


async def call_with(pcm: bytes, sample_rate: int, folder: Path) -> DemoReport:
    speech = folder / "speech.wav"
    wav.write(speech, AudioFormat(encoding="linear16", sample_rate=sample_rate), pcm)
    return await play(Demo(speech=speech, out=folder, clock=ScaledClock(2)))


async def test_the_usual_call(tmp_path: Path) -> None:
    report = await play(Demo(out=tmp_path, clock=ScaledClock(2)))
    assert report.missing == ()
    assert turns(report)[:4] == [
        ("agent", GREETING),
        ("user", "what are your opening hours"),
        ("agent", "We are open from nine in the morning to six in the evening, Monday to Friday."),
        ("user", "what is the weather in london"),
    ]
    assert turns(report)[-2:] == [("user", "thank you goodbye"), ("agent", "Thank you for calling. Goodbye!")]
    (tool, other) = (call for turn in report.transcript for call in turn.tool_calls)
    assert (tool.arguments, other.arguments) == ({"city": "London"}, {"city": "Tokyo"})
    (cut,) = [event for event in report.events if event.type is EventType.INTERRUPTION]
    (truncated,) = report.truncated
    assert (truncated["item_id"], truncated["audio_end_ms"]) == (cut.data["item_id"], cut.data["heard_ms"])
    (interrupted,) = [turn for turn in report.transcript if turn.interrupted]
    assert 4 <= len(interrupted.text.split()) <= 16

    recorded_as, audio = wav.read(report.files["call.wav"])
    assert recorded_as == AudioFormat(encoding="linear16", sample_rate=8000, channels=2)
    assert abs(recorded_as.duration_ms(len(audio)) - report.metrics.session_duration_ms) < 3000
    timeline = json.loads(await anyio.Path(report.files["timeline.json"]).read_text())
    assert [event["type"] for event in timeline["gateway"]][-1] == "session_ended"
    written = await anyio.Path(report.files["transcript.txt"]).read_text()
    assert f"{interrupted.text} …\n" in written


async def test_other_words_get_another_answer(tmp_path: Path) -> None:
    speech = await LocalSynthesizer().synthesize("what is your address")
    report = await call_with(speech.pcm, speech.sample_rate, tmp_path)
    assert turns(report)[1:] == [
        ("user", "what is your address"),
        ("agent", "You find us at twelve Harbour Street, on the second floor."),
    ]


async def test_foreign_words_are_not_understood(tmp_path: Path) -> None:
    speech = await LocalSynthesizer().synthesize("I would like to order a large pizza")
    report = await call_with(speech.pcm, speech.sample_rate, tmp_path)
    assert report.missing == ()
    assert len(report.transcript) == 2
    assert report.transcript[1].text.startswith("Sorry, I did not get that.")


async def test_silence_gives_nothing(tmp_path: Path) -> None:
    report = await call_with(bytes(2 * 16000 * 2), 16000, tmp_path)
    assert turns(report) == [("agent", GREETING)]
    assert report.metrics.user_turn_count == 0


def trunkline(*arguments: str, program: str = "from trunkline.__main__ import main; main()") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def test_the_version_is_told() -> None:
    assert trunkline("--version") == (0, "trunkline 0.1.0\n", "")


def test_the_help_publishes_what_can_be_said() -> None:
    status, out, _ = trunkline("demo", "--help")
    assert status == 0
    for sentence in ("what are your opening hours", "what is the weather in Tokyo", "thank you goodbye"):
        assert sentence.lower() in out.lower()


def test_wrong_usage_is_status_2() -> None:
    assert trunkline("demo", "--nonsense")[0] == 2
    assert trunkline("demo", "--speech", "missing.wav")[0] == 2


@pytest.mark.parametrize(
    ("missing", "extra"), [("typer", "cli"), ("pocketsphinx", "local"), ("espeakng_loader", "local")]
)
def test_a_missing_extra_is_named_in_one_line(missing: str, extra: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from trunkline.__main__ import main; main()"
    status, out, err = trunkline("demo", program=program)
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert f"pip install 'trunkline[{extra}]'" in err


def test_a_file_that_is_not_speech_is_refused_in_one_line(tmp_path: Path) -> None:
    speech = tmp_path / "speech.wav"
    speech.write_bytes(b"not a recording")
    status, _, err = trunkline("demo", "--speech", str(speech), "--json", "--out", str(tmp_path))
    assert status == 1
    assert len(err.splitlines()) == 1


def test_a_file_that_is_not_speech_is_refused_before_the_call(tmp_path: Path) -> None:
    speech = tmp_path / "speech.wav"
    speech.write_bytes(b"not a recording")
    _, out, _ = trunkline("demo", "--speech", str(speech), "--out", str(tmp_path))
    assert out == ""


def test_a_missing_backend_is_named_and_other_failed_lookups_are_not_taken_for_it() -> None:
    start = "from trunkline.__main__ import main; import trunkline.cli.app as app;"
    gone = "app.find_spec = lambda _: None; main()"
    status, _, err = trunkline("demo", "--backend", "trio", program=f"{start} {gone}")
    assert (status, "pip install 'trunkline[trio]'" in err) == (1, True)
    broken = "app.play = lambda _: {}['city']; main()"
    assert "KeyError: 'city'" in trunkline("demo", program=f"{start} {broken}")[2]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_interrupted_demo_ends_without_a_traceback(backend: str, tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "trunkline", "demo", "--backend", backend, "--out", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "connected" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
