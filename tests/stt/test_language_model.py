"""The second opinion's model is a proper ARPA file."""

import re

from trunkline.stt import Grammar
from trunkline.stt.language_model import arpa, vocabulary

GRAMMAR = Grammar(["thank you goodbye", "weather in {city}"], slots={"city": ["London", "Tokyo"]})


def test_the_counts_are_those_of_the_sections() -> None:
    text = arpa(GRAMMAR)
    unigrams, bigrams = (
        re.search(rf"\\{n}-grams:\n(.*?)\n\n", text, re.DOTALL)[1].splitlines()  # type: ignore[index]
        for n in (1, 2)
    )
    assert f"ngram 1={len(unigrams)}\nngram 2={len(bigrams)}" in text
    assert {line.split()[1] for line in unigrams} == {"<s>", "</s>", *vocabulary(GRAMMAR)}


def test_the_probabilities_of_words_add_up_to_one() -> None:
    unigrams = re.search(r"\\1-grams:\n(.*?)\n\n", arpa(GRAMMAR), re.DOTALL)
    assert unigrams is not None
    assert abs(sum(10 ** float(line.split()[0]) for line in unigrams[1].splitlines()) - 1) < 0.01


def test_words_of_the_grammar_and_everyday_words_can_be_heard() -> None:
    assert {"goodbye", "tokyo", "table", "money"} <= vocabulary(GRAMMAR)
    assert re.search(r"^-\S+ in london$", arpa(GRAMMAR), re.MULTILINE)
