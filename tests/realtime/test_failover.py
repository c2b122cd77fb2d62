"""A call that moves through OpenAI, Gemini and Qwen, in every order, during an answer; the formats change under way."""

from itertools import permutations

import anyio
import pytest

from tests.realtime.qwen.scripted_qwen import KEY
from trunkline.realtime.events import AgentTranscript, ResponseFinished, SessionReady, SessionRotated
from trunkline.realtime.gemini import GeminiRealtimeProvider
from trunkline.realtime.openai import OpenAIRealtimeProvider
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider
from trunkline.realtime.qwen import QwenRealtimeProvider
from trunkline.realtime.reconnect import RealtimeClient
from trunkline.testing.brain import Say, ScriptedBrain
from trunkline.testing.gemini import GeminiLiveSimulator
from trunkline.testing.openai import Drop, OpenAIRealtimeSimulator, RefuseUpgrade
from trunkline.testing.qwen import QwenOmniSimulator
from trunkline.testing.suites.realtime_listener import Listener

pytestmark = pytest.mark.anyio

MODEL = "qwen3-omni-flash-realtime"  # whose rates are fixed; newer ones take OpenAI's too
RATES = {"openai": (24_000, 24_000), "gemini": (16_000, 24_000), "qwen": (16_000, 24_000)}
DELTAS = {"openai": "response.output_audio.delta", "gemini": "serverContent.modelTurn", "qwen": "response.audio.delta"}


def brain() -> ScriptedBrain:
    return ScriptedBrain(answers=lambda _: [Say("At seven.")], ms_per_character=20)


@pytest.mark.parametrize("order", list(permutations(RATES)), ids="-".join)
async def test_call_moves_through_all_vendors(order: tuple[str, str, str]) -> None:
    with anyio.fail_after(30):
        async with (
            OpenAIRealtimeSimulator(brain=brain()) as openai,
            GeminiLiveSimulator(brain=brain()) as gemini,
            QwenOmniSimulator(brain=brain()) as qwen,
        ):
            simulators: dict[str, OpenAIRealtimeSimulator | GeminiLiveSimulator | QwenOmniSimulator] = {
                "openai": openai,
                "gemini": gemini,
                "qwen": qwen,
            }
            providers: dict[str, RealtimeProvider] = {
                "openai": OpenAIRealtimeProvider(api_key=KEY, base_url=openai.url),
                "gemini": GeminiRealtimeProvider(api_key=KEY, base_url=gemini.url),
                "qwen": QwenRealtimeProvider(api_key=KEY, base_url=qwen.url, model=MODEL),
            }
            for name in order[:2]:
                simulators[name].script([Drop(on=DELTAS[name]), *(RefuseUpgrade(status=503) for _ in range(20))])
            client = RealtimeClient(*(providers[name] for name in order))
            async with client, client.connect(ProcessConfig(instructions="Be brief.")) as session:
                listener = Listener(session)
                ready = await listener.until(SessionReady)
                assert (ready.input_format.sample_rate, ready.output_format.sample_rate) == RATES[order[0]]
                await session.send_text("When do you open?")
                for name in order[1:]:
                    moved = await listener.until(SessionRotated)
                    assert moved.provider == name
                    rates = RATES[order[0] if name == "gemini" else name]  # Gemini takes what the call began with
                    assert (moved.input_format.sample_rate, moved.output_format.sample_rate) == rates
                finished = await listener.until(ResponseFinished, lambda event: event.status == "completed")
                words = [
                    event.text for event in listener.events if isinstance(event, AgentTranscript) and event.is_final
                ]
    assert words[-1] == "At seven."
    assert finished.error is None
