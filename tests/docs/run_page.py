"""Runs the Python programs of a page as they stand, one after the other, in one namespace: `python -m tests.docs.run_page PAGE BACKEND`.

What a page leaves to its reader (a microphone, a second key) is given here; where the vendors are is left to the environment.
"""

import ast
import inspect
import re
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def programs(page: str) -> list[str]:
    """The page's fenced blocks of Python."""
    text = (GUIDES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Speaker:
    """Plays nothing, and counts it."""

    def __init__(self) -> None:
        self.played = 0

    async def play(self, pcm: bytes) -> None:
        self.played += len(pcm)


async def microphone() -> AsyncIterator[bytes]:
    """Half a second of speech and a second of silence, at 24 kHz."""
    from trunkline.testing.brain import tone

    yield tone(500, rate=24000)
    yield bytes(48000)


def run_page(page: str, backend: str) -> None:
    run = anyio.run
    anyio.run = partial(run, backend=backend)  # type: ignore[assignment]
    names: dict[str, Any] = {"__name__": "guide", "backup_key": "sk-backup", "pcm": bytes(48000)}
    for program in programs(page):
        code = compile(program, f"{page}.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            anyio.run(partial(_evaluated, code, names))
        else:
            exec(code, names)
    if "converse" in names:
        speaker = Speaker()
        anyio.run(names["converse"], microphone(), speaker)
        print(f"played {speaker.played} bytes")


async def _evaluated(code: Any, names: dict[str, Any]) -> None:
    await eval(code, names)


if __name__ == "__main__":
    run_page(*sys.argv[1:])
