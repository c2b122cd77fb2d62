"""The guide's programs run as they stand, one after the other."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "bridge.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_guide_has_programs() -> None:
    assert len(PROGRAMS) == 4


def test_the_guide_is_true(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr(anyio, "run", partial(anyio.run, backend=anyio_backend))
    names: dict[str, Any] = {"__name__": "guide"}
    for program in PROGRAMS:
        exec(compile(program, str(GUIDE), "exec"), names)
