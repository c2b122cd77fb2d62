"""The local brain hears a caller on the phone and answers aloud."""

import pytest

from trunkline.audio import TWILIO, AudioFormat, Converter
from trunkline.testing.brain import CallTool, Heard, Say
from trunkline.testing.local.brain import LocalBrain
from trunkline.tts import LocalSynthesizer

pytestmark = pytest.mark.anyio

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def brain() -> LocalBrain:
    return LocalBrain()


async def test_a_spoken_question_becomes_a_tool_call_and_a_spoken_answer(brain: LocalBrain) -> None:
    speech = await LocalSynthesizer().synthesize("What is the weather in Madrid?")
    source = AudioFormat(encoding="linear16", sample_rate=speech.sample_rate)
    line = Converter().convert(speech.pcm, source, TWILIO)
    pcm = Converter().convert(line, TWILIO, AudioFormat(encoding="linear16", sample_rate=16000))
    assert max(brain.detector().feed(pcm)) > 0.9
    heard = await brain.transcribe(pcm)
    assert heard == "what is the weather in madrid"
    history = [Heard("user", heard)]
    assert await brain.answer(history, instructions="", tools={"get_weather": WEATHER}) == (
        CallTool("get_weather", {"city": "Madrid"}),
    )
    history.append(Heard("tool", '{"conditions": "sunshine"}', name="get_weather"))
    (answer,) = await brain.answer(history, instructions="", tools={})
    assert answer == Say("In Madrid it is now: sunshine.")


async def test_the_agent_speaks_at_24_khz(brain: LocalBrain) -> None:
    pcm = await brain.speak("Hello, this is the Trunkline demo.")
    assert 1.5 < len(pcm) / 48000 < 4
    assert len(pcm) % 2 == 0
    assert await brain.speak("") == b""


async def test_the_services_take_long_enough_to_be_interrupted(brain: LocalBrain) -> None:
    (answer,) = await brain.answer([Heard("user", "tell me about your services")], instructions="", tools={})
    assert isinstance(answer, Say)
    assert len(await brain.speak(answer.text)) / 48000 > 8


async def test_what_was_not_understood_is_said_so(brain: LocalBrain) -> None:
    heard = await brain.transcribe(bytes(48000))
    (answer,) = await brain.answer([Heard("user", heard)], instructions="", tools={})
    assert isinstance(answer, Say)
    assert answer.text.startswith("Sorry")
