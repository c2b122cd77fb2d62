"""A call that moves between OpenAI and Qwen, in either order, before and during the session; the formats change under way."""

import anyio
import pytest

from tests.realtime.qwen.scripted_qwen import KEY
from trunkline.realtime.events import AgentTranscript, ResponseFinished, SessionReady, SessionRotated
from trunkline.realtime.openai import OpenAIRealtimeProvider
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider
from trunkline.realtime.qwen import QwenRealtimeProvider
from trunkline.realtime.reconnect import RealtimeClient
from trunkline.testing.brain import Say, ScriptedBrain
from trunkline.testing.openai import Drop, OpenAIRealtimeSimulator, RefuseUpgrade
from trunkline.testing.qwen import QwenOmniSimulator
from trunkline.testing.suites.realtime_listener import Listener

pytestmark = pytest.mark.anyio

MODEL = "qwen3-omni-flash-realtime"  # whose rates are fixed; newer ones take OpenAI's too
RATES = {"openai": (24_000, 24_000), "qwen": (16_000, 24_000)}
DELTAS = {"openai": "response.output_audio.delta", "qwen": "response.audio.delta"}


def brain() -> ScriptedBrain:
    return ScriptedBrain(answers=lambda _: [Say("At seven.")], ms_per_character=20)


@pytest.mark.parametrize("first", ["openai", "qwen"])
@pytest.mark.parametrize("during", [False, True])
async def test_call_moves_to_the_other_vendor(first: str, during: bool) -> None:
    second = "qwen" if first == "openai" else "openai"
    with anyio.fail_after(15):
        async with OpenAIRealtimeSimulator(brain=brain()) as openai, QwenOmniSimulator(brain=brain()) as qwen:
            simulators = {"openai": openai, "qwen": qwen}
            providers: dict[str, RealtimeProvider] = {
                "openai": OpenAIRealtimeProvider(api_key=KEY, base_url=openai.url),
                "qwen": QwenRealtimeProvider(api_key=KEY, base_url=qwen.url, model=MODEL),
            }
            refusals = [RefuseUpgrade(status=503) for _ in range(20)]
            simulators[first].script([Drop(on=DELTAS[first]), *refusals] if during else refusals)
            client = RealtimeClient(providers[first], providers[second])
            async with client, client.connect(ProcessConfig(instructions="Be brief.")) as session:
                listener = Listener(session)
                ready = await listener.until(SessionReady)
                began = first if during else second
                assert (ready.input_format.sample_rate, ready.output_format.sample_rate) == RATES[began]
                await session.send_text("When do you open?")
                if during:
                    moved = await listener.until(SessionRotated)
                    assert moved.provider == second
                    assert (moved.input_format.sample_rate, moved.output_format.sample_rate) == RATES[second]
                finished = await listener.until(ResponseFinished, lambda event: event.status == "completed")
                words = [
                    event.text for event in listener.events if isinstance(event, AgentTranscript) and event.is_final
                ]
    assert words[-1] == "At seven."
    assert finished.error is None
