"""Calls longer than the vendor's connections, against the simulator over real sockets, on a fast clock."""

import base64
import random
from collections.abc import Sequence

import anyio
import pytest

from trunkline.audio import AudioFormat
from trunkline.clock import ScaledClock
from trunkline.realtime import ProcessConfig, RealtimeClient
from trunkline.realtime.events import AgentTranscript, ErrorReported, SessionEvent, SessionRotated
from trunkline.realtime.gemini import GeminiRealtimeProvider
from trunkline.realtime.reconnect import ReconnectingSession
from trunkline.testing import GeminiLiveSimulator
from trunkline.testing.brain import Heard, Say, ScriptedBrain, tone
from trunkline.testing.gemini import Close

pytestmark = pytest.mark.anyio

PHONE = AudioFormat("linear16", 8000)  # which the vendor takes as it is
SECOND = 16_000
KEY = "AIzaTest0123456789"
REFUSED = Close(on="setup", nth=2, code=1007, reason="Request contains an invalid argument.")


def answer(history: Sequence[Heard]) -> Sequence[Say]:
    """Say how many questions there have been, which only somebody knows who remembers them."""
    return [Say(f"That was question {sum(line.role == 'user' for line in history)}.")]


class Caller:
    """A line that is never digitally silent, so that each second of it is known again."""

    def __init__(self, session: ReconnectingSession, clock: ScaledClock) -> None:
        self._session = session
        self._clock = clock
        self._began = clock.now()
        self._dice = random.Random(1)
        self.sent = bytearray()
        self.seen: list[SessionEvent] = []

    async def listen(self) -> None:
        async for event in self._session:
            self.seen.append(event)

    async def stay(self, seconds: int) -> None:
        for _ in range(seconds):
            quiet = bytes(byte & 7 if place % 2 == 0 else 0 for place, byte in enumerate(self._dice.randbytes(SECOND)))
            await self._send(quiet)

    async def speak(self) -> None:
        await self._send(tone(1000, rate=8000)[:-32] + bytes(self._dice.randbytes(32)))
        await self.stay(2)

    async def _send(self, audio: bytes) -> None:
        self.sent += audio
        await self._session.send_audio(audio)
        await self._clock.sleep_until(self._began + len(self.sent) / SECOND)

    @property
    def said(self) -> list[str]:
        return [event.text for event in self.seen if isinstance(event, AgentTranscript) and event.is_final]

    @property
    def rotations(self) -> list[str]:
        return [event.reason for event in self.seen if isinstance(event, SessionRotated)]


def missed(caller: Caller, vendor: GeminiLiveSimulator) -> int:
    """Bytes of the caller's that the vendor never got."""
    heard = bytearray(len(caller.sent))
    ends = {bytes(caller.sent[end - 32 : end]): end for end in range(SECOND, len(caller.sent) + 1, SECOND)}
    for event in vendor.received:
        blob = event.get("realtimeInput", {}).get("audio")
        if blob is not None:
            assert blob["mimeType"] == "audio/pcm;rate=8000"
            audio = base64.b64decode(blob["data"])  # a second, or the rest of one
            end = ends[audio[-32:]]
            assert caller.sent[end - len(audio) : end] == audio, "this was never sent"
            heard[end - len(audio) : end] = b"\1" * len(audio)
    return heard.count(0)


async def long_call(minutes: int, *, factor: float) -> None:
    clock = ScaledClock(factor)
    questions = [*range(1, minutes - 1, 4)]
    brain = ScriptedBrain(transcripts=[f"question {n}" for n in questions], answers=answer, ms_per_character=20)
    async with GeminiLiveSimulator(brain=brain, clock=clock, connection_limit=600, go_away_lead=10) as vendor:
        vendor.script([REFUSED])
        # What takes real time is given a lot of the fast clock's.
        gemini = GeminiRealtimeProvider(
            api_key=KEY, base_url=vendor.url, clock=clock, connect_timeout=3000, ping_interval=None
        )
        provider = RealtimeClient(gemini, clock=clock, connect_timeout=3000, replay_seconds=300, watchdog=None)
        async with (
            provider.connect(ProcessConfig(input_format=PHONE)) as session,
            anyio.create_task_group() as tasks,
        ):
            assert session.input_format == PHONE
            caller = Caller(session, clock)
            tasks.start_soon(caller.listen)
            for minute in questions:
                await caller.stay(minute * 60 - len(caller.sent) // SECOND)
                await caller.speak()
            await caller.stay(minutes * 60 - len(caller.sent) // SECOND)
            await session.aclose()
            tasks.cancel_scope.cancel()

    errors = [event for event in caller.seen if isinstance(event, ErrorReported)]
    assert session.dropped_bytes == 0
    assert missed(caller, vendor) == 0, (errors, caller.rotations)
    assert caller.said == [f"That was question {n}." for n in range(1, len(questions) + 1)], errors
    assert len(caller.rotations) >= minutes // 10
    setups = [event["setup"] for event in vendor.received if "setup" in event]
    resumed = ["handle" in setup["sessionResumption"] for setup in setups]
    assert resumed[:2] == [False, True], (resumed, errors, caller.rotations)  # which is the refused one
    assert sum(resumed) >= minutes // 10
    goodbyes = [event for event in vendor.sent if "goAway" in event]
    assert len(goodbyes) >= minutes // 10


@pytest.mark.soak  # its clock leaves a busy machine too little time to open the next session
@pytest.mark.timeout(120)
async def test_call_of_twenty_minutes_loses_no_audio_and_no_memory() -> None:
    await long_call(21, factor=150)


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_call_of_an_hour_loses_no_audio_and_no_memory() -> None:
    await long_call(61, factor=100)
