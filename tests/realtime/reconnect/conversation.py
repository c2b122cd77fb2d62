"""A conversation with fake providers on a clock that is moved by hand, whose events are read as they come."""

import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel

from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionFailed
from trunkline.realtime import ProcessConfig, RealtimeClient, ReconnectPolicy
from trunkline.realtime.events import SessionEvent, SessionRotated
from trunkline.realtime.reconnect import ReconnectingSession
from trunkline.testing.fake_provider import FULL, FakeProvider, FakeSession
from trunkline.transport.backoff import Backoff

ABLE = replace(FULL, input_rate=8000, output_rate=8000, native_formats=(TWILIO,))
POLICY = ReconnectPolicy(attempts=4, backoff=Backoff(first=1, jitter=0))
GONE = ConnectionFailed("gone", vendor="fake")
HOUR = 3600.0
LATE = 57 * 60.0


class QuickClock(ManualClock):
    """A clock to be moved by hand, hundreds of times in a test."""

    async def advance(self, seconds: float) -> None:
        end = self._now + seconds
        await settle()
        while self._alarms and self._alarms[0][0] <= end:
            self._now, _, ring = heapq.heappop(self._alarms)
            ring()
            await settle()
        self._now = end


async def settle() -> None:
    """Let everybody do what can be done at once: all is in memory, so that so many rounds are plenty, and far quicker than to find out."""
    for _ in range(60):
        await anyio.lowlevel.checkpoint()


def telephone(name: str = "fake", **options: Any) -> FakeProvider:
    """A provider that speaks a telephone's format and can do everything."""
    usual: dict[str, Any] = {"capabilities": ABLE, "input_format": TWILIO, "output_format": TWILIO}
    return FakeProvider(name=name, **usual | options)


def history(session: FakeSession) -> list[tuple[str, str]]:
    """What a session was told of what went before."""
    return [(item.role, item.text or item.call_id) for item in session.config.history]


class Call:
    """A conversation with one provider, or several, the first of which is `vendor`."""

    def __init__(
        self,
        client: RealtimeClient,
        providers: tuple[FakeProvider, ...],
        session: ReconnectingSession,
        clock: QuickClock,
    ) -> None:
        self.client = client
        self.providers = providers
        self.session = session
        self.clock = clock
        self.seen: list[Any] = []

    @property
    def vendor(self) -> FakeProvider:
        return self.providers[0]

    @property
    def last(self) -> FakeSession:
        """The last session of the first provider."""
        return self.vendor.session

    async def read(self) -> None:
        async for event in self.session:
            self.seen.append(event)

    async def settle(self) -> None:
        await settle()

    async def pass_(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    def of(self, *kinds: type[SessionEvent]) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kinds)]

    @property
    def rotations(self) -> list[tuple[str, str]]:
        """Who took over, and why."""
        return [(event.provider, event.reason) for event in self.seen if isinstance(event, SessionRotated)]


@asynccontextmanager
async def conversation(
    *providers: FakeProvider, config: ProcessConfig | None = None, is_read: bool = True, **options: Any
) -> AsyncIterator[Call]:
    clock = QuickClock()
    providers = providers or (telephone(life=HOUR),)
    for provider in providers:
        provider.clock = clock
    client = RealtimeClient(*providers, clock=clock, **options)
    async with client.connect(config or ProcessConfig()) as session, anyio.create_task_group() as tasks:
        call = Call(client, providers, session, clock)
        if is_read:
            tasks.start_soon(call.read)
        await call.settle()
        yield call
        await session.aclose()
    assert all(provider.running == 0 for provider in providers)
