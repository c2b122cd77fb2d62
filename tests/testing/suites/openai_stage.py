"""OpenAI's provider with OpenAI's simulator, as the suite wants them."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from trunkline.realtime.openai import OpenAIRealtimeProvider, ServerVad
from trunkline.realtime.provider import RealtimeProvider
from trunkline.testing.brain import ScriptedBrain
from trunkline.testing.openai import (
    Close,
    Drop,
    Duplicate,
    ErrorEvent,
    Fault,
    HalfOpen,
    HangInHandshake,
    MalformedJson,
    OpenAIRealtimeSimulator,
    OversizedMessage,
    RateLimited,
    RefuseUpgrade,
    Reorder,
    Slow,
    Stall,
)
from trunkline.testing.suites import Scene, Trouble

EXPIRED = "Your session hit the maximum duration of 60 minutes."
DELTA = "response.output_audio.delta"
FAULTS: dict[Trouble, Sequence[Fault]] = {
    Trouble.DROP: [Drop(on=DELTA)],
    Trouble.CLOSE: [Close(on=DELTA, code=1011, reason="internal error")],
    Trouble.HALF_OPEN: [HalfOpen(on=DELTA)],
    Trouble.OVERSIZED: [OversizedMessage(on=DELTA)],
    Trouble.EXPIRY: [
        ErrorEvent(on=DELTA, type="invalid_request_error", code="session_expired", message=EXPIRED),
        Close(code=1001, reason=EXPIRED),
    ],
    Trouble.ERROR: [ErrorEvent(on=DELTA)],
    Trouble.STALL: [Stall(on="response.created", seconds=0.3)],
    Trouble.SLOW: [Slow(on="response.created", delay=0.01)],
    Trouble.REORDER: [Reorder(on=DELTA)],
    Trouble.DUPLICATE: [Duplicate(on=DELTA)],
    Trouble.MALFORMED: [MalformedJson(on=DELTA)],
    Trouble.REFUSED: [RefuseUpgrade(status=503)],
    Trouble.HANGING: [HangInHandshake()],
    Trouble.WRONG_KEY: [RefuseUpgrade(status=401, code="invalid_api_key")],
    Trouble.RATE_LIMITED: [RateLimited()],
}


class OpenAIStage:
    """The simulator, as a vendor of the suite."""

    def __init__(self, simulator: OpenAIRealtimeSimulator, provider: RealtimeProvider) -> None:
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
        items = [event["item"] for event in self._received("conversation.item.create")]
        return [item["output"] for item in items if item["type"] == "function_call_output"]

    @property
    def truncations(self) -> Sequence[tuple[str, int]]:
        return [(event["item_id"], event["audio_end_ms"]) for event in self._received("conversation.item.truncate")]

    def _received(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.simulator.received if event["type"] == kind]


@asynccontextmanager
async def openai_stage(
    scene: Scene, *, dialect: Literal["ga", "beta"] = "ga", **options: Any
) -> AsyncIterator[OpenAIStage]:
    simulator = OpenAIRealtimeSimulator(
        brain=ScriptedBrain(transcripts=scene.transcripts, answers=scene.answers, ms_per_character=20),
        dialect=dialect,
        speed=1 if scene.real_time else None,
        chunk_ms=60,
        transcription_delay=0.02,
    )
    async with simulator:
        yield OpenAIStage(
            simulator,
            OpenAIRealtimeProvider(
                api_key="sk-test-0123456789",
                base_url=simulator.url,
                turn_detection=None if scene.commit else ServerVad(),
                connect_timeout=3.0,
                ping_interval=0.3,
                ping_timeout=1.0,
                **options,
            ),
        )
