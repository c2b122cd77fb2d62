"""The guide's programs run as they stand, one after the other."""

from functools import partial
from typing import Any

import anyio
import pytest

from tests.docs.run_page import programs


def test_the_guide_is_true(
    anyio_backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(anyio, "run", partial(anyio.run, backend=anyio_backend))
    names: dict[str, Any] = {"__name__": "guide"}
    pages = programs("tts")
    assert len(pages) == 4
    for program in pages:
        exec(compile(program, "tts.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "s of linear16 22.05 kHz mono" in printed
    assert "[429] Too many requests.; again in 3 s" in printed
