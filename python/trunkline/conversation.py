"""What was said and done in a call: turns, the tool calls made in them, and the history that a model is given."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any, Final, Literal

Role = Literal["user", "agent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryItem:
    """One thing that a new session is told of what went before it.

    Attributes:
        role: Who it is from: the user, the agent, or the program itself ("system"); or a call of a tool and its result.
        text: The words; of a "tool_result" the result, of a "tool_call" nothing.
        call_id: Which call it is, the same in the call and in its result; only of tools, as `name` and `arguments`.
        name: The tool's name; only of a "tool_call".
        arguments: JSON text; only of a "tool_call".
    """

    role: Literal["user", "agent", "system", "tool_call", "tool_result"]
    text: str = ""
    call_id: str = ""
    name: str = ""
    arguments: str = ""

    def __post_init__(self) -> None:
        if self.role in {"tool_call", "tool_result"} and not self.call_id:
            raise ValueError(f"a {self.role} must say which call it is")
        if self.role == "tool_call" and not self.name:
            raise ValueError("a tool_call must say which tool it calls")


def pending_calls(history: Sequence[HistoryItem]) -> tuple[str, ...]:
    """The ids of the tool calls that have no result, in their order."""
    answered = {item.call_id for item in history if item.role == "tool_result"}
    return tuple(item.call_id for item in history if item.role == "tool_call" and item.call_id not in answered)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One run of a tool; `error` is empty when it succeeded and `result` is what the model was given."""

    name: str
    arguments: Mapping[str, Any]
    result: str = ""
    error: str = ""
    duration_ms: int = 0

    def to_json(self) -> dict[str, Any]:
        """The call as JSON-able values; `error` only where there is one."""
        told: dict[str, Any] = {
            "name": self.name,
            "arguments": dict(self.arguments),
            "result": self.result,
            "duration_ms": self.duration_ms,
        }
        if self.error:
            told["error"] = self.error
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one side said without the other in between.

    Attributes:
        text: For the agent, the words that the caller heard: a turn that was interrupted ends where it was cut.
        timestamp: When the turn began, in UTC.
        duration_ms: Milliseconds of speech, measured in samples.
        item_id: The provider's id of it.
        interrupted: Whether the caller cut it short.
    """

    role: Role
    text: str
    timestamp: datetime
    duration_ms: int = 0
    tool_calls: tuple[ToolCall, ...] = field(default=())
    item_id: str = ""
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The turn as JSON-able values, named as in the gateway's documents."""
        told: dict[str, Any] = {
            "role": self.role,
            "text": self.text,
            "timestamp": self.timestamp.isoformat(),
            "duration_ms": self.duration_ms,
        }
        if self.tool_calls:
            told["tool_calls"] = [call.to_json() for call in self.tool_calls]
        if self.interrupted:
            told["interrupted"] = True
        return told


_SENTENCE_END: Final = re.compile(
    "[.!?\u2026\u061f\u06d4\u0589\u0964\u0965\u1362\u1367\u17d4\u104b\u0f0d]+[\"')\\]\u201d\u2019\u00bb]*(?=\\s|$)"
    "|[\u3002\uff01\uff1f\uff61\uff0e]+[\u300d\u300f\u201d\u2019)\uff09]*"
)
"""The marks of Latin, Greek and Cyrillic, Arabic and Urdu, Armenian, the Indic scripts, Ethiopic, Khmer, Burmese and Tibetan, which are
followed by white space; those of Chinese and Japanese are not."""
_TITLES: Final = (
    "dr drs mr mrs ms mx messrs prof rev fr hon gen col maj capt cpt lt sgt cmdr gov sen rep pres st ste mt ft sr sra srta dra "
    "hr fra mme mlle mgr sig dott ing dipl mag vs bzw bsp evtl ggf inkl vgl ca approx"
)
_BEFORE_A_NAME: Final = frozenset(_TITLES.split())
"""Abbreviations that something always follows."""
_PLACES: Final = "no nos nr art fig figs vol ch sec p pp pg par para ext tel apt rm ref est bldg"
_BEFORE_A_NUMBER: Final = frozenset(_PLACES.split())
"""Abbreviations if a number follows, else words or the end of a sentence."""
_ENDINGS: Final = "a.m p.m etc inc ltd co corp dept jr usw al bros ave blvd rd hrs min max tel incl excl bc ad jan feb aug sept oct nov dec"
_MAY_END: Final = frozenset(_ENDINGS.split())
"""Abbreviations that may also end a sentence: a small letter or a number behind them goes on with it."""
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff00-\uffef\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""Scripts that put no blanks between words: Thai, Lao, Tibetan, Burmese, Khmer, Chinese and Japanese."""


class SpokenText:
    """The words of something spoken, beside the audio that speaks them, so that they can be cut where the listener stopped listening."""

    def __init__(self) -> None:
        self.text = ""
        self.duration_ms = 0
        self.is_final = False
        self.is_cut = False
        self._aligned: list[tuple[int, int]] = []
        """(characters, audio milliseconds) that belong together, noted as audio arrives, both rising."""

    def add_text(self, text: str, *, is_final: bool) -> None:
        """The next words, or with `is_final` all of them; ignored once it was cut or all of it is known."""
        if self.is_cut or self.is_final:
            return
        self.text = text if is_final else self.text + text
        self.is_final = is_final
        if self._aligned and is_final:
            self._aligned[-1] = (len(text), self._aligned[-1][1])

    def add_audio(self, duration_ms: int) -> None:
        """So much audio has been generated by now, in all."""
        self.duration_ms = duration_ms
        if self._aligned and self._aligned[-1][0] == len(self.text):
            self._aligned[-1] = (len(self.text), duration_ms)
        else:
            self._aligned.append((len(self.text), duration_ms))

    def cut(self, heard_ms: int) -> str:
        """Only the first `heard_ms` were heard; returns the whole words among them."""
        self.text = _whole_words(self.text, self._characters_at(heard_ms))
        self.duration_ms = heard_ms
        self.is_cut = True
        return self.text

    def sentence_end(self, heard_ms: int) -> int | None:
        """Where in the audio the sentence ends of which `heard_ms` has come, in milliseconds; None if nothing is known of it."""
        if not self._aligned or not self.text:
            return None
        heard = self._characters_at(heard_ms)
        end = next((end for end in _sentence_ends(self.text) if end > heard), None)
        return self._aligned[-1][1] if end is None else self._milliseconds_at(end)

    def _milliseconds_at(self, position: int) -> int:
        """The inverse of `_characters_at`, rounded up."""
        before = (0, 0)
        for characters, audio_ms in self._aligned:
            if position <= characters:
                share = (position - before[0]) / (characters - before[0]) if characters > before[0] else 1.0
                return before[1] + ceil((audio_ms - before[1]) * share)
            before = (characters, audio_ms)
        return before[1]

    def _characters_at(self, heard_ms: int) -> int:
        """Interpolate between the noted points, rounded down."""
        before = (0, 0)
        for characters, audio_ms in self._aligned:
            if heard_ms < audio_ms:
                share = (heard_ms - before[1]) / (audio_ms - before[1])
                return before[0] + int((characters - before[0]) * share)
            before = (characters, audio_ms)
        return before[0]


def _whole_words(text: str, characters: int) -> str:
    """The first so many characters, back to the last border between words; in a script without blanks each character is a word."""
    end = min(characters, len(text))
    while 0 < end < len(text) and not _is_border(text, end):
        end -= 1
    return text[:end].rstrip()


def _is_border(text: str, position: int) -> bool:
    before, after = text[position - 1], text[position]
    if before.isspace() or after.isspace():
        return True
    joined = unicodedata.category(after).startswith(("M", "P")) or "\u200d" in (before, after)
    return not joined and any(_UNSPACED.match(character) for character in (before, after))


def _sentence_ends(text: str) -> Iterator[int]:
    """Where sentences end: behind their marks and the quotes and brackets that follow these."""
    for found in _SENTENCE_END.finditer(text):
        if found[0].rstrip("\"')]\u201d\u2019\u00bb") != "." or not _is_abbreviation(text, found.start(), found.end()):
            yield found.end()


def _is_abbreviation(text: str, point: int, end: int) -> bool:
    """Whether the point belongs to a word, such as a title, an initial or "e.g.", and the sentence goes on."""
    following = text[end:].lstrip()[:1]
    words = text[:point].split()
    word = words[-1].lstrip("\"'([\u201c\u2018\u00ab\u00bf\u00a1").lower() if words else ""
    if word in _BEFORE_A_NAME:
        return True
    if word in _BEFORE_A_NUMBER:
        return following.isdigit()
    if word in _MAY_END:
        return following.islower() or following.isdigit()
    is_initial = len(word) == 1 and word.isalpha() and word != "i" and not _UNSPACED.match(word)
    is_dotted = "." in word and all(len(part) == 1 and part.isalpha() for part in word.split("."))
    return bool(following) and (is_initial or is_dotted)
