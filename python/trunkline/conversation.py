"""What was said and done in a call: turns, the tool calls made in them, and the history that a model is given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

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
