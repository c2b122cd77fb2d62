"""What the session is to be told, one command after the other, by a task of its own: a vendor that does not listen keeps nobody waiting."""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from trunkline.errors import SessionClosed

Command = Callable[[], Awaitable[None]]


class SessionCommands:
    """A queue of commands; `put` never waits."""

    def __init__(self) -> None:
        self._commands: deque[Command] = deque()
        self._news = anyio.Event()

    def put(self, command: Command) -> None:
        """Run this when those before it have been run."""
        self._commands.append(command)
        self._news.set()

    async def run(self) -> None:
        """Run commands until cancelled; those of a session that is over are dropped, since its own last events tell why it ended."""
        while True:
            while self._commands:
                with suppress(SessionClosed):
                    await self._commands.popleft()()
            self._news = anyio.Event()
            await self._news.wait()
