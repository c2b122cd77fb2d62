"""Gemini's provider with Gemini's simulator, as the suite wants them."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from trunkline.realtime.gemini import AutomaticActivity, GeminiRealtimeProvider
from trunkline.realtime.provider import RealtimeProvider
from trunkline.testing.brain import ScriptedBrain
from trunkline.testing.gemini import (
    Close,
    Drop,
    Duplicate,
    Fault,
    GeminiLiveSimulator,
    GoAway,
    HalfOpen,
    HangInHandshake,
    MalformedJson,
    OversizedMessage,
    RefuseUpgrade,
    Reorder,
    Slow,
    Stall,
)
from trunkline.testing.suites import Scene, Trouble

AUDIO = "serverContent.modelTurn"
FAULTS: dict[Trouble, Sequence[Fault]] = {
    Trouble.DROP: [Drop(on=AUDIO)],
    Trouble.CLOSE: [Close(on=AUDIO, code=1011, reason="Internal error encountered.")],
    Trouble.HALF_OPEN: [HalfOpen(on=AUDIO)],
    Trouble.OVERSIZED: [OversizedMessage(on=AUDIO)],
    Trouble.EXPIRY: [Close(on=AUDIO, code=1008, reason="The operation was aborted.")],
    Trouble.ENDING: [GoAway(on=AUDIO, seconds=10.0)],
    Trouble.STALL: [Stall(on=AUDIO, seconds=0.3)],
    Trouble.SLOW: [Slow(on=AUDIO, delay=0.01)],
    Trouble.REORDER: [Reorder(on=AUDIO)],
    Trouble.DUPLICATE: [Duplicate(on=AUDIO)],
    Trouble.MALFORMED: [MalformedJson(on=AUDIO)],
    Trouble.REFUSED: [RefuseUpgrade(status=503)],
    Trouble.HANGING: [HangInHandshake()],
    Trouble.WRONG_KEY: [Close(on="setup", code=1007, reason="API key not valid. Please pass a valid API key.")],
    Trouble.RATE_LIMITED: [Close(on="setup", code=1011, reason="Resource has been exhausted (e.g. check quota).")],
}


class GeminiStage:
    """The simulator, as a vendor of the suite."""

    truncations: Sequence[tuple[str, int]] = ()

    def __init__(self, simulator: GeminiLiveSimulator, provider: RealtimeProvider) -> None:
        self.simulator = simulator
        self.provider = provider

    def inflict(self, trouble: Trouble) -> None:
        self.simulator.script(FAULTS[trouble])

    @property
    def open_sessions(self) -> int:
        return sum(session.is_open for session in self.simulator.sessions)

    @property
    def instructions(self) -> str:
        return self.simulator.sessions[-1].instructions

    @property
    def heard(self) -> bytes:
        inputs = [event["realtimeInput"] for event in self.simulator.received if "realtimeInput" in event]
        return b"".join(base64.b64decode(given["audio"]["data"]) for given in inputs if "audio" in given)

    @property
    def tool_results(self) -> Sequence[str]:
        answers = [event["toolResponse"] for event in self.simulator.received if "toolResponse" in event]
        results = [result["response"] for answer in answers for result in answer["functionResponses"]]
        return [next(iter(result.values())) for result in results]


@asynccontextmanager
async def gemini_stage(scene: Scene, **options: Any) -> AsyncIterator[GeminiStage]:
    simulator = GeminiLiveSimulator(
        brain=ScriptedBrain(transcripts=scene.transcripts, answers=scene.answers, ms_per_character=20),
        speed=1 if scene.real_time else None,
        chunk_ms=60,
    )
    async with simulator:
        yield GeminiStage(
            simulator,
            GeminiRealtimeProvider(
                **{
                    "api_key": "AIzaTest0123456789",
                    "base_url": simulator.url,
                    "turn_detection": None if scene.commit else AutomaticActivity(),
                    "connect_timeout": 3.0,
                    "ping_interval": 0.3,
                    "ping_timeout": 1.0,
                    **options,
                }
            ),
        )
