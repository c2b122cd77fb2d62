"""What was said in a simulated session, as far as the service remembers it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio

from trunkline.clock import Clock
from trunkline.testing.brain import Heard
from trunkline.testing.delivery import Delivery
from trunkline.testing.gemini.codec import invalid_argument

HANDLE_LIFE = 7200.0
"""Seconds for which a session can be taken up."""


def _understood() -> anyio.Event:
    event = anyio.Event()
    event.set()
    return event


@dataclass(slots=True, eq=False)
class Line:
    """One line; `understood` is set once its words are known."""

    role: Literal["user", "assistant", "tool", "system"]
    text: str | None = None
    name: str = ""
    understood: anyio.Event = field(default_factory=_understood)

    def heard(self) -> Heard:
        """The line as a brain is told it."""
        return Heard(self.role, self.text, self.name)


@dataclass(slots=True)
class Memory:
    """The sessions that can be taken up, over all connections: by handle what was said and until when it is kept."""

    kept: dict[str, tuple[list[Line], float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a session needs of the simulator; times are seconds."""

    clock: Clock
    delivery: Delivery
    memory: Memory
    version: str
    connection_limit: float
    go_away_lead: float


def lines_of(turns: Sequence[Mapping[str, Any]]) -> list[Line]:
    """What the client wrote, one line for each part.

    Raises:
        Refusal: Function calls and their results cannot be told.
    """
    lines: list[Line] = []
    for turn in turns:
        role: Literal["user", "assistant"] = "assistant" if turn.get("role") == "model" else "user"
        for part in turn.get("parts", ()):
            if not isinstance(part.get("text"), str):
                raise invalid_argument()
            lines.append(Line(role, part["text"]))
    return lines


def text_of(content: Mapping[str, Any] | None) -> str:
    """The text of a content such as the system instruction."""
    return "\n".join(part.get("text", "") for part in (content or {}).get("parts", ()))


def result_of(response: Any) -> str:
    """What a tool's response says."""
    if isinstance(response, Mapping) and len(response) == 1:
        for key in ("output", "result", "error"):
            if isinstance(response.get(key), str):
                return str(response[key])
    return json.dumps(response)


@dataclass(slots=True)
class Spent:
    """The tokens of one turn: text four letters each, audio 25 a second."""

    prompt: int = 0
    audio_ms: float = 0.0
    letters: int = 0

    def read(self, instructions: str, lines: Sequence[Line]) -> None:
        """The model reads the conversation."""
        self.prompt = (len(instructions) + sum(len(line.text or "") for line in lines)) // 4 + 1

    def to_json(self) -> dict[str, Any]:
        """The object of `usageMetadata`."""
        audio = round(self.audio_ms / 40)
        answer = audio or self.letters // 4
        usage: dict[str, Any] = {
            "promptTokenCount": self.prompt,
            "totalTokenCount": self.prompt + answer,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": self.prompt}],
        }
        if answer:
            usage["responseTokenCount"] = answer
            modality = "AUDIO" if audio else "TEXT"
            usage["responseTokensDetails"] = [{"modality": modality, "tokenCount": answer}]
        return usage
