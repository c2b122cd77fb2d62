"""The demo's guide says what the demo does."""

import re
from pathlib import Path

import pytest

from trunkline.cli.demo import WEATHER
from trunkline.testing.local.receptionist import CITIES, RECEPTIONIST_GRAMMAR

GUIDE = (Path(__file__).parents[2] / "docs/guides/demo.md").read_text()
WORDS = " ".join(GUIDE.replace("*", "").split())


def test_every_city_is_published() -> None:
    (listed,) = re.findall(r"City is one of (.*?)\. The tool has a report from (.*?);", WORDS)
    assert tuple(re.split(r", | and ", listed[0])) == CITIES
    assert set(re.split(r", | and ", listed[1])) == WEATHER.keys()


@pytest.mark.parametrize("sentence", RECEPTIONIST_GRAMMAR.sentences)
def test_every_sentence_is_published(sentence: str) -> None:
    city = "|".join(CITIES)
    assert re.sub(rf"\b({city})\b|\{{city\}}", "city", sentence, flags=re.IGNORECASE).lower() in WORDS.lower()
