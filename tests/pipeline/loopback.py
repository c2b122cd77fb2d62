"""A caller's telephone that keeps its own account, and a call over real sockets to the simulated service, a little faster than life."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from trunkline.audio import TWILIO, AudioFormat, StreamConverter
from trunkline.clock import Clock, ScaledClock
from trunkline.pipeline import BridgeConfig, Event, EventType, RealtimeBridge
from trunkline.realtime import OpenAIRealtimeProvider
from trunkline.realtime.openai import ServerVad
from trunkline.telephony.line import PortTraits
from trunkline.testing import CallTool, OpenAIRealtimeSimulator, Say, ScriptedBrain
from trunkline.testing.brain import tone

PACE = 2.0
WORD_MS = 200
"""How long each word is, and the audio of one message of the service, if all words have three letters and a point comes last."""
FRAME_MS = 20
PATIENCE = 15.0
"""Seconds of real time within which everything awaited must have happened."""


class Telephone:
    """A carrier's line and the ear at its end: plays in real time by the clock, and returns each mark when it is reached."""

    def __init__(self, clock: Clock, *, lead_ms: int) -> None:
        self.traits = PortTraits(format=TWILIO, max_lead_ms=lead_ms)
        self.sent_ms = 0.0
        self.heard_when_cleared: list[float] = []
        self.late_ms = 0.0
        """How much too late a mark went back at worst, because this program was not run."""
        self._clock = clock
        self._played: list[tuple[float, float]] = []
        self._ends = 0.0
        self._marks: deque[tuple[float, str]] = deque()
        self._news = anyio.Event()

    async def send_media(self, payload: bytes) -> None:
        begins = max(self._ends, self._clock.now())
        self._ends = begins + TWILIO.duration_ms(len(payload)) / 1000
        self._played.append((begins, self._ends))
        self.sent_ms += TWILIO.duration_ms(len(payload))
        self._tell()

    async def send_mark(self, name: str) -> None:
        self._marks.append((max(self._ends, self._clock.now()), name))
        self._tell()

    async def clear(self) -> None:
        now = self._clock.now()
        self._played = [(begins, min(ends, now)) for begins, ends in self._played if begins < now]
        self.heard_when_cleared.append(self.heard_ms())
        self._ends = now
        self._marks = deque((min(due, now), name) for due, name in self._marks)
        self._tell()

    def heard_ms(self) -> float:
        """What the caller has heard by now."""
        now = self._clock.now()
        return sum(min(ends, now) - begins for begins, ends in self._played if begins < now) * 1000

    async def until_sent(self, duration_ms: int) -> None:
        """Wait until so much has come here in all."""
        while self.sent_ms < duration_ms:
            await self._news.wait()

    async def until_heard(self, duration_ms: int) -> None:
        """Wait until the caller has heard so much in all."""
        while (missing := duration_ms - self.heard_ms()) > 0:
            with self._clock.move_on_after(missing / 1000):
                await self._news.wait()

    async def return_marks(self, bridge: RealtimeBridge) -> None:
        """Return each mark at its time; for ever."""
        while True:
            now = self._clock.now()
            while self._marks and self._marks[0][0] <= now:
                due, name = self._marks.popleft()
                self.late_ms = max(self.late_ms, (now - due) * 1000)
                bridge.mark_received(name)
            if self._marks:
                with self._clock.move_on_after(self._marks[0][0] - now):
                    await self._news.wait()
            else:
                await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


class SocketCall:
    """A call to the simulated service: what both sides said of it can be read during it and afterwards."""

    def __init__(self, vendor: OpenAIRealtimeSimulator, bridge: RealtimeBridge, phone: Telephone) -> None:
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
            phone = Telephone(clock, lead_ms=lead_ms)
            bridge = RealtimeBridge(BridgeConfig(provider=provider, **options), port=phone, clock=clock)
            call = SocketCall(vendor, bridge, phone)
            async with bridge:
                tasks.start_soon(call.read)
                tasks.start_soon(phone.return_marks, bridge)
                await call.until(EventType.SESSION_STARTED)
                if asked:
                    await bridge.send_text(asked)
                yield call
            await call.until(EventType.SESSION_ENDED)
            tasks.cancel_scope.cancel()
