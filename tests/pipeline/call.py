"""A bridge between a scripted session and a carrier in memory, on a clock moved by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from tests.pipeline.doubles import MemoryCarrier, ScriptedProvider, ScriptedSession
from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.pipeline import (
    BridgeConfig,
    Event,
    EventType,
    RealtimeBridge,
)
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ResponseFinished,
    ResponseStarted,
)


class Call:
    """A bridge between the doubles, with passing-through µ-law unless said otherwise."""

    def __init__(self, provider: ScriptedProvider | None = None, **options: Any) -> None:
        self.clock = ManualClock()
        self.carrier = MemoryCarrier(self.clock)
        self.provider = provider or ScriptedProvider(input_format=TWILIO, output_format=TWILIO)
        self.bridge = RealtimeBridge(
            BridgeConfig(provider=self.provider, **options), port=self.carrier, clock=self.clock
        )
        self.seen: list[Event] = []
        self.holds = False

    @property
    def session(self) -> ScriptedSession:
        return self.provider.session

    async def pass_ms(self, duration_ms: int) -> None:
        for _ in range(max(1, duration_ms // 10)):
            await self.clock.advance(min(duration_ms, 10) / 1000)
            for name in self.carrier.marks_due():
                self.bridge.mark_received(name)
        await self.clock.advance(0)

    async def read(self) -> None:
        async for event in self.bridge.events():
            self.seen.append(event)

    def types(self) -> list[str]:
        return [str(event.type) for event in self.seen]

    def one(self, kind: EventType) -> Event:
        (event,) = [event for event in self.seen if event.type is kind]
        return event


@asynccontextmanager
async def in_progress(call: Call) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call.read)
        async with call.bridge:
            await call.pass_ms(10)
            yield


def says(item: str, text: str, ms: int, response: str = "r1", *, bytes_per_ms: int = 8) -> list[Any]:
    return [
        ResponseStarted(response),
        AgentTranscript(text, is_final=True, item_id=item, response_id=response),
        AudioReceived(b"\x55" * bytes_per_ms * ms, item_id=item, response_id=response),
        ResponseFinished(response),
    ]
