"""A gateway between a simulated caller and a simulated vendor, all on one fast clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from trunkline.clock import ScaledClock
from trunkline.gateway import CallSession, Event, EventType
from trunkline.gateway.twilio import TwilioGateway
from trunkline.realtime import OpenAIRealtimeProvider
from trunkline.testing import OpenAIRealtimeSimulator, ScriptedBrain, TwilioCaller

AUTH_TOKEN = "0123456789abcdef0123456789abcdef"


@dataclass
class Stage:
    gateway: TwilioGateway
    vendor: OpenAIRealtimeSimulator
    clock: ScaledClock
    sessions: list[CallSession] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    news: anyio.Event = field(default_factory=anyio.Event)

    def caller(self, **options: Any) -> TwilioCaller:
        settings: dict[str, Any] = {
            "webhook_url": f"{self.gateway.url}/voice/inbound",
            "auth_token": AUTH_TOKEN,
            "clock": self.clock,
        }
        return TwilioCaller(**(settings | options))

    def of(self, kind: EventType) -> list[Event]:
        return [event for event in self.events if event.type is kind]

    async def until(self, kind: EventType, *, count: int = 1) -> Event:
        with anyio.fail_after(20):
            while len(self.of(kind)) < count:
                await self.news.wait()
        return self.of(kind)[-1]

    async def watch(self, session: CallSession) -> None:
        self.sessions.append(session)
        async for event in session.events():
            self.events.append(event)
            self.news.set()
            self.news = anyio.Event()


StageFactory = Callable[..., AbstractAsyncContextManager[Stage]]


@pytest.fixture
def stage() -> StageFactory:
    @asynccontextmanager
    async def make(
        brain: ScriptedBrain | None = None,
        *,
        vendor: dict[str, Any] | None = None,
        key: str = "sk-test",
        base_url: str = "",
        **options: Any,
    ) -> AsyncIterator[Stage]:
        clock = ScaledClock(5)
        async with OpenAIRealtimeSimulator(brain=brain or ScriptedBrain(), clock=clock, **(vendor or {})) as simulator:
            provider = OpenAIRealtimeProvider(api_key=key, base_url=base_url or simulator.url, clock=clock)
            settings: dict[str, Any] = {
                "listen_addr": "127.0.0.1:0",
                "auth_token": AUTH_TOKEN,
                "realtime_provider": provider,
                "stop_timeout": 1.0,  # a token that is out is waited for
            }
            gateway = TwilioGateway(**(settings | options), clock=clock)
            result = Stage(gateway, simulator, clock)
            gateway.on_session(result.watch)
            async with gateway:
                yield result

    return make
