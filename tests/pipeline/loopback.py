"""A call over real sockets to the simulated service, a little faster than life."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from trunkline.audio import TWILIO, AudioFormat, StreamConverter
from trunkline.clock import ScaledClock
from trunkline.pipeline import BridgeConfig, Event, EventType, RealtimeBridge
from trunkline.realtime import OpenAIRealtimeProvider
from trunkline.realtime.openai import ServerVad
from trunkline.telephony.line import LineTraits
from trunkline.testing import CallTool, OpenAIRealtimeSimulator, Say, ScriptedBrain
from trunkline.testing.brain import tone
from trunkline.testing.memory_line import MemoryLine

PACE = 2.0
WORD_MS = 200
"""How long each word is, and the audio of one message of the service, if all words have three letters and a point comes last."""
FRAME_MS = 20
PATIENCE = 15.0
"""Seconds of real time within which everything awaited must have happened."""


class SocketCall:
    """A call to the simulated service: what both sides said of it can be read during it and afterwards."""

    def __init__(self, vendor: OpenAIRealtimeSimulator, bridge: RealtimeBridge, phone: MemoryLine) -> None:
        self.vendor = vendor
        self.bridge = bridge
        self.phone = phone
        self.seen: list[Event] = []
        self._news = anyio.Event()
        self._mouth = StreamConverter(AudioFormat("linear16", 8000), TWILIO)

    async def read(self) -> None:
        async for event in self.bridge.events():
            self.seen.append(event)
            self._news.set()
            self._news = anyio.Event()

    async def until(self, kind: EventType, *, count: int = 1) -> None:
        """Wait for the event, or for so many of its kind in all."""
        while len(self.of(kind)) < count:
            await self._news.wait()

    async def until_interrupted(self) -> None:
        """Wait for the interruption, and until the phone was cleared and the service told of it."""
        await self.until(EventType.INTERRUPTION)
        while not (self.phone.heard_when_cleared and self.told("conversation.item.truncate")):
            await anyio.lowlevel.checkpoint()

    async def speak(self, *parts_ms: int) -> None:
        """The caller speaks, pauses, speaks …, for so long each, told at once as after a stall of the network."""
        sounds = [bytes(16 * ms) if part % 2 else tone(ms, rate=8000) for part, ms in enumerate(parts_ms)]
        await self.bridge.send_audio(self._mouth.convert(b"".join(sounds)))

    async def pause(self) -> None:
        """The caller is silent for long enough to have finished."""
        await self.bridge.send_audio(TWILIO.silence(500))

    def of(self, kind: EventType) -> list[Event]:
        return [event for event in self.seen if event.type is kind]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """The events of this type that the service received."""
        return [event for event in self.vendor.received if event["type"] == kind]

    def dropped(self) -> list[str]:
        """Why the service did not finish answers."""
        done = [event["response"] for event in self.vendor.sent if event["type"] == "response.done"]
        return [response["status_details"]["reason"] for response in done if response["status"] == "cancelled"]


@asynccontextmanager
async def calling(
    *answers: Sequence[Say | CallTool],
    speed: float | None = None,
    lead_ms: int = 400,
    asked: str = "Go on.",
    **options: Any,
) -> AsyncIterator[SocketCall]:
    """A call in progress, which gives these answers; leaving the block ends it in order.

    Args:
        answers: What the service says and does, one answer after the other.
        speed: How many times faster than it plays an answer is made; None for at once.
        lead_ms: What the caller's line lets wait.
        asked: A text that asks for the first answer; none if empty.
        options: Further fields of the `BridgeConfig`.
    """
    clock = ScaledClock(PACE)
    brain = ScriptedBrain(answers=answers, ms_per_character=WORD_MS // 4)
    simulator = OpenAIRealtimeSimulator(brain=brain, speed=speed, chunk_ms=WORD_MS, clock=clock)
    with anyio.fail_after(PATIENCE):
        async with simulator as vendor, anyio.create_task_group() as tasks:
            turns = ServerVad(prefix_padding_ms=0, silence_duration_ms=200)
            provider = OpenAIRealtimeProvider(api_key="any", base_url=vendor.url, turn_detection=turns)
            phone = MemoryLine(LineTraits(format=TWILIO, max_lead_ms=lead_ms), clock=clock)
            bridge = RealtimeBridge(BridgeConfig(provider=provider, **options), line=phone, clock=clock)
            call = SocketCall(vendor, bridge, phone)
            async with bridge:
                tasks.start_soon(call.read)
                await call.until(EventType.SESSION_STARTED)
                if asked:
                    await bridge.send_text(asked)
                yield call
            await call.until(EventType.SESSION_ENDED)
            tasks.cancel_scope.cancel()
