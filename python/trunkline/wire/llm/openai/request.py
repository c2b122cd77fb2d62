"""Chat Completions, what is asked: the body of a request (sections 2.1, 2.3 and 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from trunkline.conversation import HistoryItem
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.llm.history import Called, Said, ordered

VENDOR: Final = "openai"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """In what servers of this protocol differ. The defaults are what every one of them takes.

    Args:
        max_tokens_field: What the limit of tokens is called.
        system_role: What the role of the system prompt is called.
        usage: Whether `stream_options` may ask for the usage.
        obfuscation: Whether `stream_options` may switch the padding of the stream off; OpenAI alone has it.
        empty_content: What stands for the text of a message that has only tool calls.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    system_role: Literal["system", "developer"] = "system"
    usage: bool = True
    obfuscation: bool = False
    empty_content: Literal[""] | None = None


OPENAI: Final = Dialect(max_tokens_field="max_completion_tokens", obfuscation=True)
COMPATIBLE: Final = Dialect()


def chat_request(
    history: Sequence[HistoryItem],
    *,
    model: str,
    max_tokens: int | None = None,
    tools: Sequence[ToolDefinition] = (),
    system_prompt: str = "",
    dialect: Dialect = COMPATIBLE,
) -> dict[str, Any]:
    """The body, without `stream` and without what only some models take.

    Args:
        history: The conversation, oldest first.
        model: The server's name of the model.
        max_tokens: How long the answer may be; None leaves it to the server.
        tools: What the model may call.
        system_prompt: "" for none; the history's first items from "system" are put behind it.
        dialect: How the server differs from others.
    """
    leading, messages = ordered(history)
    wire: list[dict[str, Any]] = []
    if system := "\n\n".join(text for text in (system_prompt, *leading) if text.strip()):
        wire.append({"role": dialect.system_role, "content": system})
    roles = {"user": "user", "agent": "assistant", "system": dialect.system_role}
    for message in messages:
        if isinstance(message, Said):
            wire.append({"role": roles[message.role], "content": message.text})
        else:
            wire += _calls(message, dialect)
    body: dict[str, Any] = {"model": model, "messages": wire}
    if max_tokens is not None:
        body[dialect.max_tokens_field] = max_tokens
    if tools:
        body["tools"] = [_tool(tool) for tool in tools]
    options = {"include_usage": True} if dialect.usage else {}
    if dialect.obfuscation:
        options["include_obfuscation"] = False
    if options:
        body["stream_options"] = options
    return body


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "parameters": {"type": "object", **tool.schema}}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _calls(message: Called, dialect: Dialect) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for answered in message.calls:
        function = {"name": answered.call.name, "arguments": answered.arguments_text}
        calls.append({"id": answered.call.call_id, "type": "function", "function": function})
        results.append({"role": "tool", "tool_call_id": answered.call.call_id, "content": answered.result})
    return [{"role": "assistant", "content": message.text or dialect.empty_content, "tool_calls": calls}, *results]
