"""What the tests of tools share: a telephone call that runs tool calls, and time that obeys."""

import json
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from trunkline.clock import ManualClock
from trunkline.conversation import ToolCall
from trunkline.tools import ToolDefinition, ToolDispatcher

WEATHER = ToolDefinition(
    "get_weather", "Weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}
)


async def hang(_: object) -> None:
    await anyio.sleep_forever()


async def advance(clock: ManualClock, seconds: float) -> None:
    """As the clock's own, but a cancellation that passes through several groups arrives too."""
    await clock.advance(seconds)
    await settle()


async def settle() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


class Phone:
    """Runs tool calls in tasks of their own, as a telephone call does, and keeps what the model is told."""

    def __init__(self, tools: ToolDispatcher, tasks: TaskGroup) -> None:
        self.told: dict[str, Any] = {}
        self.calls: dict[str, ToolCall] = {}
        self._tools = tools
        self._tasks = tasks
        tools.start(tasks)

    async def request(self, call_id: str, name: str = "get_weather", arguments: str = "{}") -> None:
        self._tasks.start_soon(self._run, call_id, name, arguments)
        await settle()

    async def _run(self, call_id: str, name: str, arguments: str) -> None:
        call = await self._tools.run(call_id, name, arguments)
        assert call_id not in self.told
        self.calls[call_id] = call
        self.told[call_id] = json.loads(call.result)


def weather(**options: Any) -> ToolDefinition:
    return replace(WEATHER, **options)
