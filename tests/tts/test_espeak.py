"""The library survives data it does not like."""

import subprocess
import sys
from pathlib import Path

import espeakng_loader
import pytest

SPEAK = """
import sys, espeakng_loader
espeakng_loader.get_data_path = lambda: sys.argv[1]
from trunkline.errors import ProviderUnavailable
from trunkline.tts.espeak import Espeak
try:
    espeak = Espeak()
except ProviderUnavailable as exc:
    print(exc)
else:
    print(len(espeak.speak("hello", voice="en-us", rate_wpm=150, pitch=50, pause_after=False).pcm) > 10000)
"""


def run(data_path: Path) -> str:
    return subprocess.run([sys.executable, "-c", SPEAK, data_path], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("depth", [1, 4])
def test_a_deeply_nested_installation_speaks(tmp_path: Path, depth: int) -> None:
    deep = tmp_path.joinpath(*["directory" * 5] * depth)
    deep.mkdir(parents=True)
    data = deep / "espeak-ng-data"
    data.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    assert run(data) == "True\n"


def test_missing_data_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    assert "cannot read its data" in run(tmp_path)
