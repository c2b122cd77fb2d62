"""A conversation in the order that every vendor of language models takes it in.

Vendors refuse a conversation in which a tool call has no result directly behind it, a text is empty, or, some of them, the first or the
last message is not the user's. Telephone calls give such conversations: the agent speaks first, talks while a tool runs, and is
interrupted before it has said anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic_core import from_json

from trunkline.conversation import HistoryItem

CALL_BEGINS: Final = "[The call begins.]"
"""Stands for the user where the agent speaks first."""
GO_ON: Final = "[Go on.]"
"""Stands for the user where the agent is asked to say something more."""
NOT_ANSWERED: Final = '{"error": "not answered yet"}'
"""The result of a tool call that has none."""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said, all that he said in one go."""

    role: Literal["user", "agent", "system"]
    text: str


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A tool call with its result; `is_error` where it has none."""

    call: HistoryItem
    result: str
    is_error: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as an object; what is not one is kept as a text under `arguments`."""
        try:
            values = from_json(self.call.arguments or "{}")
        except ValueError:
            values = None
        return values if isinstance(values, dict) else {"arguments": self.call.arguments}

    @property
    def arguments_text(self) -> str:
        """The arguments as JSON text, "{}" where there are none."""
        return self.call.arguments or "{}"


@dataclass(frozen=True, slots=True)
class Called:
    """Tool calls that were made in one answer, and what was said before them in it."""

    text: str
    calls: tuple[AnsweredCall, ...]


Message = Said | Called


def ordered(history: Sequence[HistoryItem]) -> tuple[list[str], list[Message]]:
    """The system's words that stand before everything else, and the messages.

    Words of one side that follow each other are one message; results stand with their calls, in the order of the calls; a result without
    its call is told in words. The first message is the user's, and so is the last one, unless it holds results.
    """
    items = [item for item in history if item.role in {"tool_call", "tool_result"} or item.text.strip()]
    leading = 0
    while leading < len(items) and items[leading].role == "system":
        leading += 1
    results = {item.call_id: item.text for item in items if item.role == "tool_result"}
    calls = {item.call_id for item in items if item.role == "tool_call"}
    messages: list[Message] = []
    answered = False  # whether a result stands behind the last calls, so that the next call is of another answer
    for item in items[leading:]:
        if item.role == "tool_call":
            _add_call(messages, item, results.get(item.call_id), begins=answered)
            answered = False
        elif item.role != "tool_result":
            _add_words(messages, item.role, item.text)
        elif item.call_id in calls:
            answered = True
        else:
            _add_words(messages, "user", f"[Result of an earlier tool call: {item.text}]")
    first = messages[0] if messages else None
    if not (isinstance(first, Said) and first.role == "user"):
        messages.insert(0, Said("user", CALL_BEGINS))
    last = messages[-1]
    if isinstance(last, Said) and last.role == "agent":
        messages.append(Said("user", GO_ON))
    return [item.text for item in items[:leading]], messages


def _add_words(messages: list[Message], role: Literal["user", "agent", "system"], text: str) -> None:
    last = messages[-1] if messages else None
    if isinstance(last, Said) and last.role == role:
        messages[-1] = Said(role, f"{last.text}\n{text}")
    else:
        messages.append(Said(role, text))


def _add_call(messages: list[Message], item: HistoryItem, result: str | None, *, begins: bool) -> None:
    answered = AnsweredCall(item, NOT_ANSWERED, is_error=True) if result is None else AnsweredCall(item, result)
    last = messages[-1] if messages else None
    match last:
        case Called(text=text, calls=calls) if not begins:
            messages[-1] = Called(text, (*calls, answered))
        case Said(role="agent", text=text):
            messages[-1] = Called(text, (answered,))
        case _:
            messages.append(Called("", (answered,)))
