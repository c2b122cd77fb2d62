"""Calls longer than the vendor's sessions, against the simulator over real sockets, on a fast clock."""

import random
from base64 import b64decode
from collections.abc import Sequence

import anyio
import pytest

from trunkline.audio import TWILIO
from trunkline.clock import ScaledClock
from trunkline.realtime import OpenAIRealtimeProvider, RealtimeClient
from trunkline.realtime.events import (
    AgentTranscript,
    ErrorReported,
    ResponseFinished,
    SessionEvent,
    SessionRotated,
    SpeechStarted,
    ToolCallRequested,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.reconnect import ReconnectingSession
from trunkline.testing import OpenAIRealtimeSimulator
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain
from trunkline.testing.faults import Drop
from trunkline.tools.definition import ToolDefinition

pytestmark = pytest.mark.anyio

TOOL = ToolDefinition(name="look_up", description="Looks it up.", parameters={"type": "object", "properties": {}})
SECOND = 8000
NOISE = b"\xff\x7f\xfe\x7e" * 64  # around -70 dBFS
SPEECH = b"\x10\x90\x20\xa0" * 64


def answer(history: Sequence[Heard]) -> Sequence[Say | CallTool]:
    """Look up what is asked, say what was found, and how many questions there have been."""
    asked = sum(heard.role == "user" for heard in history)
    if history[-1].role == "tool":
        return [Say(f"{history[-1].text}, that was question {asked}")]
    return [CallTool("look_up", {})]


class Caller:
    """A line that is never digitally silent, so that each second of it is known again."""

    def __init__(self, session: ReconnectingSession, clock: ScaledClock) -> None:
        self._session = session
        self._clock = clock
        self._began = clock.now()
        self._dice = random.Random(1)
        self.sent = bytearray()
        self.seen: list[SessionEvent] = []
        self.news = anyio.Event()
        self.tool_seconds = 1.0

    async def listen(self, tasks: anyio.abc.TaskGroup) -> None:
        async for event in self._session:
            self.seen.append(event)
            self.news.set()
            self.news = anyio.Event()
            if isinstance(event, ToolCallRequested):
                tasks.start_soon(self._look_up, event.call_id, self.tool_seconds)

    async def _look_up(self, call_id: str, seconds: float) -> None:
        await self._clock.sleep_until(self._clock.now() + seconds)
        await self._session.send_tool_result(call_id, f"found by {len(self.sent) // SECOND}")

    async def stay(self, seconds: int) -> None:
        for _ in range(seconds):
            await self._send(self._dice.randbytes(SECOND).translate(NOISE))

    async def speak(self) -> None:
        await self._send(self._dice.randbytes(SECOND).translate(SPEECH))
        await self.stay(2)

    async def _send(self, audio: bytes) -> None:
        self.sent += audio
        await self._session.send_audio(audio)
        await self._clock.sleep_until(self._began + len(self.sent) / SECOND)

    @property
    def said(self) -> list[str]:
        """The agent's sentences."""
        return [event.text for event in self.seen if isinstance(event, AgentTranscript) and event.is_final]

    def of(self, kind: type[SessionEvent]) -> list[SessionEvent]:
        return [event for event in self.seen if isinstance(event, kind)]


def heard_twice(caller: Caller, vendor: OpenAIRealtimeSimulator) -> int:
    """Bytes that the vendor got more than once; that there is one it never got fails the test."""
    times = bytearray(len(caller.sent))
    ends = {bytes(caller.sent[end - 32 : end]): end for end in range(SECOND, len(caller.sent) + 1, SECOND)}
    for event in vendor.received:
        if event["type"] == "input_audio_buffer.append":
            audio = b64decode(event["audio"])  # a second, or the rest of one
            end = ends[audio[-32:]]
            start = end - len(audio)
            assert caller.sent[start:end] == audio, "this was never sent"
            times[start:end] = bytes(count + 1 for count in times[start:end])
    assert times.count(0) == 0, "the vendor missed some of the caller's audio"
    return sum(times) - len(times)


async def test_a_call_of_61_minutes_loses_neither_audio_nor_a_tools_result() -> None:
    clock = ScaledClock(300)
    brain = ScriptedBrain(transcripts=[f"question {n}" for n in range(1, 9)], answers=answer)
    async with OpenAIRealtimeSimulator(brain=brain, clock=clock, session_limit=3600) as vendor:
        # What takes real time is given a lot of the fast clock's.
        openai = OpenAIRealtimeProvider(
            api_key="k", base_url=vendor.url, clock=clock, connect_timeout=3000, ping_interval=None
        )
        provider = RealtimeClient(openai, clock=clock, connect_timeout=3000, rotate_after=57 * 60, watchdog=None)
        config = ProcessConfig(functions=[TOOL], input_format=TWILIO, output_format=TWILIO)
        async with provider.connect(config) as session, anyio.create_task_group() as tasks:
            caller = Caller(session, clock)
            tasks.start_soon(caller.listen, tasks)
            await caller.stay(600)
            await caller.speak()
            await caller.stay(56 * 60 - len(caller.sent) // SECOND)
            caller.tool_seconds = 250  # from before the time to rotate until after the session's end
            await caller.speak()
            await caller.stay(61 * 60 - len(caller.sent) // SECOND)
            with anyio.fail_after(10):
                while len(caller.said) < 2:
                    await caller.news.wait()
            await session.aclose()
            tasks.cancel_scope.cancel()

    assert len(caller.sent) == 61 * 60 * SECOND
    assert len(vendor.sessions) == 2, [*caller.of(ErrorReported), *caller.of(SessionRotated)]
    assert [type(event) for event in caller.of(SessionRotated)] == [SessionRotated]
    assert heard_twice(caller, vendor) <= 30 * SECOND
    results = [item["output"] for item in vendor.sessions[1].items if item["type"] == "function_call_output"]
    assert len(results) == len(set(results)) == 2
    assert caller.said == [f"{result}, that was question {n}" for n, result in enumerate(results, 1)]


async def test_a_call_goes_on_through_rotations_and_broken_sockets() -> None:
    clock = ScaledClock(10)
    brain = ScriptedBrain(transcripts=[f"question {n}" for n in range(1, 9)], answers=answer)
    async with OpenAIRealtimeSimulator(brain=brain, clock=clock) as vendor:
        vendor.script([Drop(on="input_audio_buffer.speech_started", nth=2), Drop(on="response.output_audio.delta")])
        openai = OpenAIRealtimeProvider(
            api_key="k", base_url=vendor.url, clock=clock, connect_timeout=100, ping_interval=None
        )
        provider = RealtimeClient(openai, clock=clock, rotate_after=12, connect_timeout=100, watchdog=None)
        config = ProcessConfig(functions=[TOOL], input_format=TWILIO, output_format=TWILIO)
        async with provider.connect(config) as session, anyio.create_task_group() as tasks:
            caller = Caller(session, clock)
            tasks.start_soon(caller.listen, tasks)
            for _ in range(3):
                await caller.speak()
                await caller.stay(12)
            await session.aclose()
            tasks.cancel_scope.cancel()

    rotated = [event.reason for event in caller.of(SessionRotated) if isinstance(event, SessionRotated)]
    assert rotated.count("reconnect") == len(caller.of(ErrorReported)) == 2
    assert "limit" in rotated
    assert len(caller.of(SpeechStarted)) == 4, "the utterance in which the socket broke was heard again"
    heard_twice(caller, vendor)
    assert caller.said[-1][-1] == "3"
    finished = [event.status for event in caller.of(ResponseFinished) if isinstance(event, ResponseFinished)]
    assert finished.count("failed") == 1
