"""Our vendors of speech to text, each with its simulator, for the suite."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from trunkline.stt import DeepgramSTT, ElevenLabsSTT, OpenAISTT, SpeechToText
from trunkline.testing import (
    DeepgramSimulator,
    ElevenLabsSimulator,
    OpenAIRealtimeSimulator,
    OpenAISimulator,
    ScriptedBrain,
)
from trunkline.testing.faults import Close, Drop, Fault, HangInHandshake, MalformedJson, RefuseUpgrade
from trunkline.testing.suites import SttTrouble

KEY = "secret-key-0123456789"


class Stage:
    """A simulator and what connects to it."""

    def __init__(self, simulator: Any, make: Callable[[str], SpeechToText], audio_event: str, attempts: int) -> None:
        self._simulator = simulator
        self._make = make
        self._audio_event = audio_event
        self._attempts = attempts
        self.stt = make(KEY)

    @property
    def open_sessions(self) -> int:
        count = getattr(self._simulator, "open_sessions", None)
        return sum(session.is_open for session in self._simulator.sessions) if count is None else count

    def inflict(self, trouble: SttTrouble) -> None:
        on = self._audio_event
        if trouble is SttTrouble.WRONG_KEY:
            self.stt = self._make("another-key-0123456789")
            return
        faults: dict[SttTrouble, list[Fault]] = {
            SttTrouble.DROP: [Drop(on=on, nth=10)],
            SttTrouble.CLOSE: [Close(on=on, nth=10, code=1011, reason="internal trouble")],
            SttTrouble.MALFORMED: [MalformedJson(on=on, nth=10, text='{"type": ')],
            SttTrouble.REFUSED: [RefuseUpgrade(status=503)] * self._attempts,
            SttTrouble.RATE_LIMITED: [RefuseUpgrade(status=429, retry_after=30)],
            SttTrouble.HANGING: [HangInHandshake()] * self._attempts,
        }
        self._simulator.script(faults[trouble])


@asynccontextmanager
async def deepgram(transcripts: Sequence[str], **options: Any) -> AsyncIterator[Stage]:
    async with DeepgramSimulator(transcripts=transcripts, api_key=KEY) as vendor:
        yield Stage(
            vendor,
            lambda key: DeepgramSTT(api_key=key, base_url=vendor.url, connect_timeout=1.0, **options),
            "audio",
            1,
        )


@asynccontextmanager
async def elevenlabs(transcripts: Sequence[str], **options: Any) -> AsyncIterator[Stage]:
    async with ElevenLabsSimulator(transcripts=transcripts, api_key=KEY) as vendor:
        yield Stage(
            vendor,
            lambda key: ElevenLabsSTT(api_key=key, base_url=vendor.url, connect_timeout=1.0, **options),
            "input_audio_chunk",
            3,
        )


@asynccontextmanager
async def openai_http(transcripts: Sequence[str], **options: Any) -> AsyncIterator[Stage]:
    async with OpenAISimulator(transcripts=transcripts, api_key=KEY) as vendor:
        yield Stage(vendor, lambda key: OpenAISTT(api_key=key, base_url=vendor.url, **options), "", 3)


@asynccontextmanager
async def openai_realtime(transcripts: Sequence[str], **options: Any) -> AsyncIterator[Stage]:
    brain = ScriptedBrain(transcripts=transcripts)
    async with OpenAIRealtimeSimulator(brain=brain, api_key=KEY, transcription_delay=0) as vendor:
        yield Stage(
            vendor,
            lambda key: OpenAISTT(api_key=key, base_url=vendor.url, connect_timeout=1.0, **options),
            "input_audio_buffer.append",
            1,
        )
