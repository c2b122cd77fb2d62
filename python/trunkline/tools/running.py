"""One tool call between its request and its answer."""

from collections.abc import Mapping
from typing import Any

import anyio

from trunkline.conversation import ToolCall
from trunkline.errors import ToolError
from trunkline.tools.counters import Fate
from trunkline.tools.results import error_text


class Outcome:
    """What became of a tool; `fate` is None until that is known."""

    def __init__(self) -> None:
        self.fate: Fate | None = None
        self.result = ""
        self.error = ""

    def succeed(self, result: str) -> None:
        """The tool returned this."""
        self.fate, self.result = "succeeded", result

    def fail(self, fate: Fate, error: ToolError | str) -> None:
        """It did not, for a reason that the model may know."""
        self.fate, self.error = fate, str(error)
        self.result = error_text(self.error)


class RunningCall:
    """The answer of one call, given once: whatever comes later is late."""

    def __init__(self, call_id: str, name: str, began: float) -> None:
        self.call_id = call_id
        self.name = name
        self.began = began
        self.arguments: Mapping[str, Any] = {}
        self.scope = anyio.CancelScope()
        self.why_cancelled = ""
        self._answered = anyio.Event()
        self._answer: ToolCall | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the model has its answer, or is about to be given it."""
        return self._answer is not None

    def answer(self, result: str, error: str, now: float) -> bool:
        """Give the answer; False, and nothing changes, where there is one already."""
        if self._answer is not None:
            return False
        self._answer = self.record(result, error, now)
        self._answered.set()
        return True

    def record(self, result: str, error: str, now: float) -> ToolCall:
        """The call as a record of what came of it."""
        return ToolCall(
            name=self.name, arguments=self.arguments, result=result, error=error, duration_ms=self.duration_ms(now)
        )

    def duration_ms(self, now: float) -> int:
        """Milliseconds since the call was requested."""
        return round((now - self.began) * 1000)

    async def wait(self) -> ToolCall:
        """The answer, once there is one."""
        while self._answer is None:
            await self._answered.wait()
        return self._answer

    def cancel(self, why: str) -> None:
        """Stop the tool, also one that has not begun; the first reason is kept."""
        self.why_cancelled = self.why_cancelled or why
        self.scope.cancel()
