"""Qwen's provider with Qwen's simulator, as the suite wants them."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from trunkline.realtime.provider import RealtimeProvider
from trunkline.realtime.qwen import QwenRealtimeProvider, TurnDetection
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain, Tools
from trunkline.testing.openai import (
    Close,
    Drop,
    Duplicate,
    ErrorEvent,
    Fault,
    HalfOpen,
    HangInHandshake,
    MalformedJson,
    OversizedMessage,
    RefuseUpgrade,
    Reorder,
    Slow,
    Stall,
)
from trunkline.testing.qwen import QwenOmniSimulator
from trunkline.testing.suites import Scene, Trouble

DELTA = "response.audio.delta"
FAULTS: dict[Trouble, Sequence[Fault]] = {
    Trouble.DROP: [Drop(on=DELTA)],
    Trouble.CLOSE: [Close(on=DELTA, code=1011, reason="internal error")],
    Trouble.HALF_OPEN: [HalfOpen(on=DELTA)],
    Trouble.OVERSIZED: [OversizedMessage(on=DELTA)],
    Trouble.ERROR: [ErrorEvent(on=DELTA, code="internal_error")],
    Trouble.STALL: [Stall(on="response.created", seconds=0.3)],
    Trouble.SLOW: [Slow(on="response.created", delay=0.01)],
    Trouble.REORDER: [Reorder(on=DELTA)],
    Trouble.DUPLICATE: [Duplicate(on=DELTA)],
    Trouble.MALFORMED: [MalformedJson(on=DELTA)],
    Trouble.REFUSED: [RefuseUpgrade(status=503)],
    Trouble.HANGING: [HangInHandshake()],
    Trouble.WRONG_KEY: [RefuseUpgrade(status=401, code="InvalidApiKey")],
    Trouble.RATE_LIMITED: [RefuseUpgrade(status=429, code="Throttling.RateQuota")],
}


class InstructedBrain(ScriptedBrain):
    """A model that remembers its instructions as the first line of the conversation: what went before is told there."""

    async def answer(self, history: Sequence[Heard], *, instructions: str, tools: Tools) -> Sequence[Say | CallTool]:
        told = [Heard("system", line) for line in instructions.splitlines() if line]
        return await super().answer([*told, *history], instructions=instructions, tools=tools)


class QwenStage:
    """The simulator, as a vendor of the suite."""

    def __init__(self, simulator: QwenOmniSimulator, provider: RealtimeProvider) -> None:
        self.simulator = simulator
        self.provider = provider

    def inflict(self, trouble: Trouble) -> None:
        self.simulator.script(FAULTS[trouble])

    @property
    def open_sessions(self) -> int:
        return sum(session.is_open for session in self.simulator.sessions)

    @property
    def instructions(self) -> str:
        return str(self.simulator.sessions[-1].settings["instructions"])

    @property
    def heard(self) -> bytes:
        kept, turn = b"", b""
        for event in self.simulator.received:
            match event:
                case {"type": "input_audio_buffer.append", "audio": audio}:
                    turn += base64.b64decode(audio)
                case {"type": "input_audio_buffer.commit"}:
                    kept, turn = kept + turn, b""
                case {"type": "input_audio_buffer.clear"}:
                    turn = b""
                case _:
                    pass
        return kept + turn

    @property
    def tool_results(self) -> Sequence[str]:
        items = [event["item"] for event in self.simulator.received if event["type"] == "conversation.item.create"]
        return [item["output"] for item in items if item["type"] == "function_call_output"]

    @property
    def truncations(self) -> Sequence[tuple[str, int]]:
        return []  # the protocol has none


@asynccontextmanager
async def qwen_stage(scene: Scene, *, ends_cancelled: bool = False, **options: Any) -> AsyncIterator[QwenStage]:
    simulator = QwenOmniSimulator(
        brain=InstructedBrain(transcripts=scene.transcripts, answers=scene.answers, ms_per_character=20),
        ends_cancelled=ends_cancelled,
        speed=1 if scene.real_time else None,
        chunk_ms=60,
        transcription_delay=0.02,
    )
    async with simulator:
        yield QwenStage(
            simulator,
            QwenRealtimeProvider(
                api_key="sk-test-0123456789",
                base_url=simulator.url,
                turn_detection=None if scene.commit else TurnDetection(),
                connect_timeout=3.0,
                ping_interval=0.3,
                ping_timeout=1.0,
                **options,
            ),
        )
