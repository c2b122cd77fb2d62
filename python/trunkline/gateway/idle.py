"""Callers who say nothing are asked for it, and hung up when they do not answer."""

from contextlib import suppress
from typing import Final

import anyio

from trunkline.clock import Clock
from trunkline.errors import SessionClosed
from trunkline.pipeline import EventType, RealtimeBridge

_CALLER: Final = frozenset(
    {EventType.USER_SPEECH_START, EventType.USER_SPEECH_END, EventType.USER_TRANSCRIPT, EventType.DTMF}
)
_AGENT: Final = frozenset(
    {EventType.SESSION_STARTED, EventType.AGENT_SPEECH_END, EventType.INTERRUPTION, EventType.TOOL_CALL}
)


class IdleWatch:
    """Watches one call. Nobody is idle while the agent has something to say, a tool works, or the call is on hold.

    Args:
        bridge: The call.
        timeout: Seconds of silence after which the caller is asked.
        prompt: What they are asked; "" gives up at once.
        max_prompts: How often in a row they are asked before the watch gives up.
        clock: What the silence is measured by.
    """

    def __init__(self, bridge: RealtimeBridge, *, timeout: float, prompt: str, max_prompts: int, clock: Clock) -> None:
        self._bridge = bridge
        self._timeout = timeout
        self._prompt = prompt
        self._max_prompts = max_prompts if prompt else 0
        self._clock = clock
        self._since = clock.now()
        self._speaks = False
        self._asked = 0

    async def run(self) -> None:
        """Ask whenever it is time; returns when the caller has not answered."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, name="trunkline idle watch")
            with suppress(SessionClosed):
                await self._ask()
            tasks.cancel_scope.cancel()

    async def _listen(self) -> None:
        async for event in self._bridge.events():
            if event.type in _CALLER:
                self._speaks = event.type is EventType.USER_SPEECH_START
                self._asked = 0
            elif event.type not in _AGENT:
                continue
            self._since = self._clock.now()

    async def _ask(self) -> None:
        while True:
            due = self._since + self._timeout
            if due > self._clock.now():
                await self._clock.sleep_until(due)
            elif self._speaks or not self._bridge.is_quiet or self._bridge.is_on_hold:
                self._since = self._clock.now()
            elif self._asked >= self._max_prompts:
                return
            else:
                self._asked += 1
                self._since = self._clock.now()
                await self._bridge.say(self._prompt)
