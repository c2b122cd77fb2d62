"""The gateway's process, as the soak holds it: its state when asked, and its calls as they end."""

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import anyio.abc
from anyio.streams.text import TextReceiveStream

from tests.soak.gateway_process import AUTH_TOKEN, PATIENCE
from trunkline.clock import Clock
from trunkline.testing import TwilioCaller

ROOT = Path(__file__).parents[2]
ANSWER_TIMEOUT = 30.0


class GatewayProcess:
    """A running gateway, which others call.

    Attributes:
        url: Where it listens.
        calls: What it told of each call that has ended, by call id.
    """

    def __init__(self, process: anyio.abc.Process) -> None:
        self.url = ""
        self.calls: dict[str, list[dict[str, Any]]] = {}
        self._process = process
        self._states: list[dict[str, Any]] = []
        self._news = anyio.Event()
        self._over = False

    async def read(self) -> None:
        """Take what the process tells, until it ends."""
        assert self._process.stdout is not None
        rest = ""
        async for text in TextReceiveStream(self._process.stdout):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                told: dict[str, Any] = json.loads(line)
                match told:
                    case {"url": str(url)}:
                        self.url = url
                    case {"state": dict(state)}:
                        self._states.append(state)
                    case {"call": str(call_id)}:
                        self.calls.setdefault(call_id, []).append(told)
                    case _:
                        raise AssertionError(f"the gateway process told {told}")
            self._change()
        self._over = True
        self._change()

    async def until(self, condition: Callable[[], bool], what: str, timeout: float = ANSWER_TIMEOUT) -> None:
        """Wait for news until the condition holds.

        Raises:
            AssertionError: It does not in time.
        """
        with anyio.move_on_after(timeout):
            while not condition() and not self._over:
                await self._news.wait()
            if condition():
                return
            raise AssertionError(f"the gateway process ended before it told {what}")
        raise AssertionError(f"the gateway process did not tell {what} in {timeout:g} s")

    async def command(self, word: str) -> None:
        """Give the process one of its commands."""
        assert self._process.stdin is not None
        await self._process.stdin.send(f"{word}\n".encode())

    async def state(self) -> dict[str, Any]:
        """What the process holds now."""
        known = len(self._states)
        await self.command("state")
        await self.until(lambda: len(self._states) > known, "its state")
        return self._states[-1]

    async def settled(self, clock: Clock, timeout: float = 60.0) -> dict[str, Any]:
        """The state once no call runs and nothing changes any more.

        Raises:
            AssertionError: Calls still run after `timeout` seconds of the clock.
        """
        end = clock.now() + timeout
        state, quiet = await self.state(), 0
        while quiet < 3:
            await clock.sleep_until(clock.now() + 1.0)
            before, state = state, await self.state()
            same = all(state[key] == before[key] for key in ("tasks", "files", "calls"))
            quiet = quiet + 1 if same and not state["calls"] else 0
            assert clock.now() < end, f"calls still run: {state['calls']}, tasks {state['tasks']}"
        return state

    def caller(self, clock: Clock) -> TwilioCaller:
        """Somebody who will call this gateway."""
        return TwilioCaller(
            webhook_url=f"{self.url}/voice/inbound",
            auth_token=AUTH_TOKEN,
            webhook_timeout=PATIENCE,
            connect_timeout=PATIENCE,
            clock=clock,
        )

    def _change(self) -> None:
        self._news.set()
        self._news = anyio.Event()


@asynccontextmanager
async def gateway_process(*arguments: object) -> AsyncIterator[GatewayProcess]:
    """A gateway in a process of its own, ready to be called."""
    command = [sys.executable, "-m", "tests.soak.gateway_process", *map(str, arguments)]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None, cwd=ROOT) as process:
        running = GatewayProcess(process)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(running.read)
            try:
                await running.until(lambda: bool(running.url), "where it listens")
                yield running
                await running.command("stop")
                with anyio.move_on_after(ANSWER_TIMEOUT):
                    await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                tasks.cancel_scope.cancel()
