"""The sentences a local recogniser knows, written as templates with slots."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from trunkline.errors import InvalidConfig

_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")


@dataclass(frozen=True, slots=True)
class Match:
    """How a sentence came about: its template, and what stands in each slot, spelt as it was when the grammar was built."""

    template: str
    values: Mapping[str, str]


class Grammar:
    """A finite set of sentences.

    Case and punctuation do not matter: words are letters and apostrophes, compared in lower case.

    Args:
        sentences: Templates such as "what is the weather in {city}".
        slots: What may stand in each slot, such as `{"city": ["London", "Tokyo"]}`.

    Raises:
        InvalidConfig: There is no sentence, a slot is unknown or empty, something has no speakable word, or two templates make
            the same sentence.
    """

    def __init__(self, sentences: Iterable[str], *, slots: Mapping[str, Sequence[str]] | None = None) -> None:
        self._slots = {name: tuple(values) for name, values in (slots or {}).items()}
        self._matches: dict[str, Match] = {}
        templates = tuple(sentences)
        for template in templates:
            for sentence, match in self._expand(template):
                if sentence in self._matches:
                    raise InvalidConfig("sentences", f"{sentence!r} is made twice")
                self._matches[sentence] = match
        if not self._matches:
            raise InvalidConfig("sentences", "a grammar needs at least one")
        self._templates = templates

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every sentence that can be recognised, in lower case."""
        return tuple(self._matches)

    @property
    def words(self) -> tuple[str, ...]:
        """Every word that occurs, sorted."""
        return tuple(sorted({word for sentence in self._matches for word in sentence.split()}))

    def match(self, sentence: str) -> Match | None:
        """The template and the slots' values of a sentence, None if the grammar does not have it."""
        return self._matches.get(normalize(sentence))

    def jsgf(self) -> str:
        """The grammar in the Java Speech Grammar Format, version 1.0."""
        lines = ["#JSGF V1.0;", "grammar trunkline;"]
        lines.append(f"public <sentence> = {' | '.join(self._rule(template) for template in self._templates)};")
        lines.extend(f"<{name}> = {' | '.join(map(normalize, values))};" for name, values in self._slots.items())
        return "\n".join(lines)

    def _expand(self, template: str) -> Iterable[tuple[str, Match]]:
        names = _SLOT.findall(template)
        for name in names:
            if not self._slots.get(name):
                raise InvalidConfig("slots", f"{template!r} names the slot {name!r}, which has no values")
            if not all(map(normalize, self._slots[name])):
                raise InvalidConfig("slots", f"a value of {name!r} has no word that can be spoken")
        for values in itertools.product(*(self._slots[name] for name in names)):
            filled = iter(values)
            sentence = normalize(_SLOT.sub(lambda _, filled=filled: next(filled), template))  # type: ignore[misc]
            if not sentence:
                raise InvalidConfig("sentences", f"{template!r} has no word that can be spoken")
            yield sentence, Match(template, MappingProxyType(dict(zip(names, values, strict=True))))

    def _rule(self, template: str) -> str:
        parts = _SLOT.split(template)  # text and slot names by turns
        return " ".join(f"<{part}>" if index % 2 else normalize(part) for index, part in enumerate(parts)).strip()


def normalize(text: str) -> str:
    """The words of a text in lower case, one space between them; digits and signs are not words."""
    return " ".join(_WORD.findall(text.lower()))
