"""Qwen-Omni-Realtime, what went before a session: told in its instructions, since items of the model's cannot be created."""

from collections.abc import Sequence
from typing import Final

from trunkline.conversation import HistoryItem

_INTRODUCTION: Final = "This conversation began before. Go on with it; answer nothing of it again. So far:"


def instructions_with_history(instructions: str, history: Sequence[HistoryItem]) -> str:
    """The system prompt, with the conversation so far behind it."""
    lines = [line for item in history if (line := _line(item))]
    if not lines:
        return instructions
    told = "\n".join((_INTRODUCTION, *lines))
    return f"{instructions}\n\n{told}" if instructions else told


def _line(item: HistoryItem) -> str:
    match item.role:
        case "user":
            return f"User: {item.text}"
        case "agent":
            return f"You: {item.text}"
        case "system":
            return item.text
        case "tool_call":
            return f"You called the tool {item.name} with {item.arguments}"
        case "tool_result":
            return f"The tool answered: {item.text}"
