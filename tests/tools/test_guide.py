"""The guide's programs run as printed, one after the other, and print what it says."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from trunkline.tools import CompiledTools

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "tools.md").read_text(encoding="utf-8")


def test_the_guide_is_true() -> None:
    program: dict[str, Any] = {"__name__": "guide"}
    printed = ""
    shown = 0
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE):
        if language == "python":
            output = io.StringIO()
            with redirect_stdout(output):
                exec(compile(text, "docs/guides/tools.md", "exec"), program)
            printed = output.getvalue()
        else:
            assert printed == text
            shown += 1
    assert shown == 2
    names = ("opening_hours", "order_status", "find_recipe", "price")
    tools = CompiledTools([program[name] for name in names])
    assert tools.definitions[2].on_interruption == "cancel"
