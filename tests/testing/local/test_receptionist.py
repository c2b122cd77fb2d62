"""The receptionist answers what is published, and admits the rest."""

import json

import pytest

from trunkline.testing.brain import CallTool, Heard, Say
from trunkline.testing.local.receptionist import CITIES, RECEPTIONIST_GRAMMAR, WEATHER_TOOL, answer, reply, report

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize("sentence", RECEPTIONIST_GRAMMAR.sentences)
def test_every_published_sentence_has_an_answer(sentence: str) -> None:
    said = reply(sentence, tools={WEATHER_TOOL: WEATHER})
    if "weather" in sentence:
        assert isinstance(said, CallTool)
        assert said.name == "get_weather"
        assert said.arguments["city"] in CITIES
        assert str(said.arguments["city"]).lower() in sentence
    else:
        assert isinstance(said, Say)
        assert "did not get" not in said.text


def test_weather_is_asked_for_by_the_name_that_the_tool_declares() -> None:
    schema = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
    said = reply("what is the weather in london", tools={WEATHER_TOOL: schema})
    assert said == CallTool("get_weather", {"location": "London"})


def test_marked_sentence_is_said_word_for_word() -> None:
    instructions = 'Say the text.\n<say>They call it "home".\nReally.</say>'
    assert answer([Heard("user", "where are you")], instructions=instructions) == Say('They call it "home".\nReally.')


def test_different_questions_have_different_answers() -> None:
    assert "nine" in say("what are your opening hours")
    assert "Street" in say("where are you")
    assert "Goodbye" in say("thank you goodbye")
    assert len(say("tell me about your services")) > 200  # long enough to be interrupted


@pytest.mark.parametrize("heard", [None, "", "order a pizza"])
def test_what_was_not_understood_gets_a_hint(heard: str | None) -> None:
    said = reply(heard)
    assert isinstance(said, Say)
    assert said.text.startswith("Sorry, I did not get that.")
    assert "opening hours" in said.text


def test_a_tool_that_is_not_on_offer_is_not_called() -> None:
    assert reply("what is the weather in london", tools={"hang_up": {}}) == Say(
        "Sorry, I cannot look that up at the moment."
    )


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (json.dumps({"conditions": "light rain", "temperature": 13.6}), "In Tokyo it is now: light rain, 14 degrees."),
        (json.dumps({"city": "Oslo", "conditions": "snow"}), "In Oslo it is now: snow."),
        ("It is sunny.", "It is sunny."),
        (json.dumps("It is sunny."), "It is sunny."),
        (json.dumps({"error": "timed out"}), "Sorry, I could not find that out."),
        ("[]", "Sorry, I could not find that out."),
        ("{}", "Sorry, I could not find that out."),
        ("", "Sorry, I could not find that out."),
        (None, "Sorry, I could not find that out."),
    ],
)
def test_a_tools_result_becomes_a_sentence(result: str | None, sentence: str) -> None:
    history = [
        Heard("user", "what is the weather in london"),
        Heard("user", "what is the weather in tokyo"),
        Heard("tool", result, name=WEATHER_TOOL),
    ]
    assert answer(history) == Say(sentence)
    assert report(result, city="Tokyo") == sentence


@pytest.mark.parametrize("history", [[], [Heard("system", "Be kind.")], [Heard("assistant", "Hello.")]])
def test_a_conversation_without_a_question_is_greeted(history: list[Heard]) -> None:
    assert answer(history) == Say("Hello, this is the Trunkline demo. How can I help you?")


def test_a_quoted_sentence_is_said_as_it_stands() -> None:
    assert answer([], instructions='Say exactly: "Hello, I am Ada."') == Say("Hello, I am Ada.")
    assert answer([], instructions="Greet the caller: say “Good day.”") == Say("Good day.")
    assert answer([], instructions='You work at "Trunkline".') != Say("Trunkline")


def say(heard: str) -> str:
    said = reply(heard)
    assert isinstance(said, Say)
    return said.text
