"""What a simulated voice model thinks with: it hears, answers and speaks."""

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import pi, sin
from typing import Any, Literal, Protocol

from trunkline.audio.vad import EnergyDetector, VoiceActivityDetector

Tools = Mapping[str, Mapping[str, Any]]
"""The tools on offer: the JSON schema of each one's arguments, by its name."""

_TONE_HZ = 400
_TONE_RATE = 24000
_TONE_LEVEL = 8000


@dataclass(frozen=True, slots=True)
class Say:
    """Say this sentence to the caller."""

    text: str


@dataclass(frozen=True, slots=True)
class CallTool:
    """Ask the application to run one of its tools."""

    name: str
    arguments: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Heard:
    """One line of the conversation so far.

    Attributes:
        role: Whose line it is.
        text: The words, or a tool's result; None is speech that was not understood.
        name: The tool's name, if it is a tool's line.
    """

    role: Literal["user", "assistant", "tool", "system"]
    text: str | None
    name: str = ""


_SENTENCE_TO_SAY = re.compile(r"^<say>(.*)</say>$", re.DOTALL | re.MULTILINE)


def sentence_to_say(instructions: str) -> str | None:
    """What the instructions of one answer ask to be said word for word, as `session.say` does; None if they do not."""
    found = _SENTENCE_TO_SAY.search(instructions)
    return None if found is None else found[1]


def fitting_arguments(wanted: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, str]:
    """Arguments as a tool declares them, out of what is known by names of our own.

    Args:
        wanted: The values, such as `{"city": "London"}`.
        schema: The JSON schema of the tool's arguments.

    Returns:
        Each value under its own name where the tool has it; else under the parameter that takes text and whose name or description speaks
        of it, else under the first one that takes text. Values that no parameter is left for are dropped.
    """
    declared = schema.get("properties")
    parameters = declared if isinstance(declared, Mapping) else {}
    free = [name for name, parameter in parameters.items() if name not in wanted and _takes_text(parameter)]
    arguments: dict[str, str] = {}
    for name, value in wanted.items():
        if name in parameters:
            arguments[name] = value
        elif free:
            place = next(
                (parameter for parameter in free if _speaks_of(name, parameter, parameters[parameter])), free[0]
            )
            free.remove(place)
            arguments[place] = value
    return arguments


def _takes_text(parameter: object) -> bool:
    kind = parameter.get("type", "string") if isinstance(parameter, Mapping) else None
    return kind == "string" or (isinstance(kind, list) and "string" in kind)


def _speaks_of(name: str, parameter: str, described: Mapping[str, Any]) -> bool:
    return name.lower() in f"{parameter} {described.get('description', '')}".lower()


class Brain(Protocol):
    """The part of a simulated model that is not protocol."""

    def detector(self) -> VoiceActivityDetector:
        """A new detector for one session's audio, PCM16 mono at 16 kHz."""
        ...

    async def transcribe(self, pcm: bytes) -> str | None:
        """The words of one utterance, PCM16 mono at 16 kHz; None if it was not understood."""
        ...

    async def answer(self, history: Sequence[Heard], *, instructions: str, tools: Tools) -> Sequence[Say | CallTool]:
        """What to do next, with these tools on offer."""
        ...

    async def speak(self, text: str) -> bytes:
        """The sentence as PCM16 mono at 24 kHz."""
        ...


class ScriptedBrain:
    """A brain that needs no extra and knows its lines by heart, for fast tests.

    Args:
        transcripts: What each utterance is heard as, in turn; once they are used up, nothing is understood.
        answers: What each response is, in turn, and nothing once they are used up; or a function of the history.
        ms_per_character: How long each character of a sentence sounds, as a steady tone.
    """

    def __init__(
        self,
        *,
        transcripts: Iterable[str | None] = (),
        answers: Iterable[Sequence[Say | CallTool]] | Callable[[Sequence[Heard]], Sequence[Say | CallTool]] = (),
        ms_per_character: int = 60,
    ) -> None:
        self._transcripts = iter(transcripts)
        if callable(answers):
            self._answer = answers
        else:
            lines = iter(answers)
            self._answer = lambda _history: next(lines, ())
        self._ms_per_character = ms_per_character

    def detector(self) -> VoiceActivityDetector:
        """A detector that takes every loud sound for speech."""
        return EnergyDetector()

    async def transcribe(self, pcm: bytes) -> str | None:
        """The next transcript, whatever the audio."""
        del pcm
        return next(self._transcripts, None)

    async def answer(self, history: Sequence[Heard], *, instructions: str, tools: Tools) -> Sequence[Say | CallTool]:
        """The next answer of the script."""
        del instructions, tools
        return self._answer(history)

    async def speak(self, text: str) -> bytes:
        """A tone as long as the sentence, the same for the same length."""
        return tone(len(text) * self._ms_per_character, rate=_TONE_RATE)


def tone(duration_ms: int, *, rate: int) -> bytes:
    """A steady tone of 400 Hz, loud enough for any detector, PCM16 mono at `rate` hertz."""
    period = rate // _TONE_HZ
    wave = array("h", (round(_TONE_LEVEL * sin(2 * pi * index / period)) for index in range(period)))
    samples = duration_ms * rate // 1000
    return (wave * (samples // period + 1))[:samples].tobytes()
