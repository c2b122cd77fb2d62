"""The scripted brain keeps to its script."""

import pytest

from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain, fitting_arguments, sentence_to_say

pytestmark = pytest.mark.anyio


async def test_transcripts_come_in_turn() -> None:
    brain = ScriptedBrain(transcripts=["hello", None])
    assert [await brain.transcribe(b"") for _ in range(3)] == ["hello", None, None]


async def test_answers_come_in_turn_or_from_a_function() -> None:
    script: list[list[Say | CallTool]] = [[Say("Hello.")], [CallTool("f", {"x": 1})]]
    brain = ScriptedBrain(answers=script)
    assert [await brain.answer([], instructions="", tools={}) for _ in range(3)] == [*script, ()]
    parrot = ScriptedBrain(answers=lambda history: [Say(history[-1].text or "?")])
    assert await parrot.answer([Heard("user", "Polly")], instructions="", tools={}) == [Say("Polly")]


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


def text(description: str = "") -> dict[str, str]:
    return {"type": "string", "description": description}


@pytest.mark.parametrize(
    ("properties", "arguments"),
    [
        ({"city": text(), "location": text()}, {"city": "Oslo"}),
        ({"days": {"type": "integer"}, "location": text(), "unit": text()}, {"location": "Oslo"}),
        ({"unit": text(), "location": text("The city to look at")}, {"location": "Oslo"}),
        ({"unit": text(), "city_name": text()}, {"city_name": "Oslo"}),
        ({"place": {"type": ["string", "null"]}}, {"place": "Oslo"}),
        ({"days": {"type": "integer"}}, {}),
        ({}, {}),
    ],
)
def test_arguments_have_the_names_that_the_tool_declares(
    properties: dict[str, object], arguments: dict[str, str]
) -> None:
    schema = {"type": "object", "properties": properties}
    assert fitting_arguments({"city": "Oslo"}, schema) == arguments


def test_two_values_go_to_two_parameters() -> None:
    schema = {"properties": {"where": text(), "when": text("the day")}}
    assert fitting_arguments({"day": "Monday", "city": "Oslo"}, schema) == {"when": "Monday", "where": "Oslo"}
    assert fitting_arguments({"city": "Oslo"}, {"properties": 5}) == {}


def test_sentence_to_say_may_hold_quotes_and_line_breaks() -> None:
    assert sentence_to_say('Say it.\n<say>"Yes", he said.\nNo.</say>') == '"Yes", he said.\nNo.'
    assert sentence_to_say("Say hello.") is None
