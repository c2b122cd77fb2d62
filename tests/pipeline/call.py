"""A bridge between the fake provider and a line in memory, on a clock moved by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel

from trunkline.audio import OPENAI, TWILIO, AudioFormat
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
from trunkline.realtime.provider import Capabilities
from trunkline.telephony.line import LineTraits
from trunkline.testing.fake_provider import FULL, FakeProvider, FakeSession
from trunkline.testing.memory_line import MemoryLine

CAPABILITIES = replace(FULL, input_rate=24000, output_rate=24000)


def provider_of(
    capabilities: Capabilities = CAPABILITIES,
    input_format: AudioFormat = OPENAI,
    output_format: AudioFormat = OPENAI,
    **options: Any,
) -> FakeProvider:
    """A provider that can do everything, unless said otherwise."""
    return FakeProvider(capabilities=capabilities, input_format=input_format, output_format=output_format, **options)


class Call:
    """A bridge between the doubles, with passing-through µ-law unless said otherwise."""

    def __init__(
        self,
        provider: FakeProvider | None = None,
        *,
        traits: LineTraits | None = None,
        tells_cleared: bool = False,
        **options: Any,
    ) -> None:
        self.clock = ManualClock()
        self.line = MemoryLine(traits, clock=self.clock, tells_cleared=tells_cleared)
        self.provider = provider or provider_of(input_format=TWILIO, output_format=TWILIO)
        self.bridge = RealtimeBridge(BridgeConfig(provider=self.provider, **options), line=self.line, clock=self.clock)
        self.seen: list[Event] = []
        self.holds = False

    @property
    def session(self) -> FakeSession:
        return self.provider.session

    async def pass_ms(self, duration_ms: int) -> None:
        await self.clock.advance(duration_ms / 1000)

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
