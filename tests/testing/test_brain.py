"""The scripted brain keeps to its script."""

import pytest

from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain

pytestmark = pytest.mark.anyio


async def test_transcripts_come_in_turn() -> None:
    brain = ScriptedBrain(transcripts=["hello", None])
    assert [await brain.transcribe(b"") for _ in range(3)] == ["hello", None, None]


async def test_answers_come_in_turn_or_from_a_function() -> None:
    script: list[list[Say | CallTool]] = [[Say("Hello.")], [CallTool("f", {"x": 1})]]
    brain = ScriptedBrain(answers=script)
    assert [await brain.answer([], instructions="", tools=[]) for _ in range(3)] == [*script, ()]
    parrot = ScriptedBrain(answers=lambda history: [Say(history[-1].text or "?")])
    assert await parrot.answer([Heard("user", "Polly")], instructions="", tools=[]) == [Say("Polly")]


async def test_speech_is_a_tone_that_is_as_long_as_the_sentence() -> None:
    brain = ScriptedBrain(ms_per_character=50)
    pcm = await brain.speak("0123456789")
    assert len(pcm) == 24000 // 2 * 2
    assert pcm == await brain.speak("9876543210")
    assert await brain.speak("") == b""


async def test_its_detector_hears_its_speech() -> None:
    brain = ScriptedBrain()
    detector = brain.detector()
    assert set(detector.feed(await brain.speak("hello"))) == {1.0}
    detector.reset()
    assert set(detector.feed(bytes(6400))) == {0.0}
