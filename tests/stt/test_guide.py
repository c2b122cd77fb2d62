"""The guide's programs run as they stand, one after the other, on both event loops."""

from functools import partial
from typing import Any

import anyio
import pytest

from tests.docs.run_page import programs


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_guide_runs(backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(anyio, "run", partial(anyio.run, backend=backend))
    names: dict[str, Any] = {"__name__": "guide"}
    printed = []
    for program in programs("stt"):
        exec(compile(program, "stt.md", "exec"), names)
        printed.append(capsys.readouterr().out)
    heard, utterances, trouble, own = printed
    assert "text='when do you open', is_final=True" in heard
    assert utterances == "['when do you open', 'and on sunday']\n"
    assert trouble.startswith("wait for 2.0 s")
    assert "SessionEnded(reason='failed'" in trouble
    assert own == "['1700 ms of speech']\n"
