"""Templates and slots become sentences, and a grammar that a decoder can read."""

import pytest

from trunkline.errors import InvalidConfig
from trunkline.stt import Grammar, Match

WEATHER = Grammar(["Good-bye!", "What's the weather in {city}?"], slots={"city": ["London", "New York"]})


def test_every_sentence_is_known() -> None:
    assert WEATHER.sentences == ("good bye", "what's the weather in london", "what's the weather in new york")
    assert WEATHER.words == ("bye", "good", "in", "london", "new", "the", "weather", "what's", "york")


def test_a_match_gives_the_slots_as_they_were_spelt() -> None:
    assert WEATHER.match("what's the weather in NEW  york") == Match(
        "What's the weather in {city}?", {"city": "New York"}
    )
    assert WEATHER.match("what's the weather in") is None


def test_jsgf() -> None:
    assert WEATHER.jsgf().splitlines() == [
        "#JSGF V1.0;",
        "grammar trunkline;",
        "public <sentence> = good bye | what's the weather in <city>;",
        "<city> = london | new york;",
    ]


@pytest.mark.parametrize(
    ("sentences", "slots", "reason"),
    [
        ([], {}, "at least one"),
        (["in {city}"], {}, "no values"),
        (["in {city}"], {"city": []}, "no values"),
        (["in {city}"], {"city": ["42"]}, "no word"),
        (["?!"], {}, "no word"),
        (["hello", "Hello!"], {}, "made twice"),
    ],
)
def test_a_grammar_that_cannot_work_is_refused(sentences: list[str], slots: dict[str, list[str]], reason: str) -> None:
    with pytest.raises(InvalidConfig, match=reason):
        Grammar(sentences, slots=slots)
