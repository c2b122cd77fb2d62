"""The programs of the guide run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_guide_s_programs_print_what_they_promise(backend: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.docs.run_page", "llm", backend],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "[tool_calls]\nTake an umbrella.[stop]\nYou said: Good morning."
