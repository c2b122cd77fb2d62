"""Anthropic Messages, what is asked: the body of a request (sections 1.2 and 1.4)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from trunkline.conversation import HistoryItem
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.llm.history import Called, Said, ordered

VENDOR: Final = "anthropic"
VERSION: Final = "2023-06-01"
"""The version of the protocol: the newer one refuses sampling parameters, and has nothing that calls need."""

Blocks = Sequence[Mapping[str, Any]]


def no_thinking(call_id: str) -> Blocks:
    """No thinking was kept."""
    del call_id
    return ()


def messages_request(
    history: Sequence[HistoryItem],
    *,
    model: str,
    max_tokens: int,
    tools: Sequence[ToolDefinition] = (),
    system_prompt: str = "",
    cache: bool = True,
    thinking_before: Callable[[str], Blocks] = no_thinking,
) -> dict[str, Any]:
    """The body, without `stream` and without what only some models take.

    Args:
        history: The conversation, oldest first.
        model: The vendor's name of the model.
        max_tokens: How long the answer may be.
        tools: What the model may call.
        system_prompt: "" for none; the history's first items from "system" are put behind it.
        cache: Whether the vendor keeps what precedes the conversation, tools and system prompt, for the next request.
        thinking_before: The thinking blocks that stood before the call of this id, which the vendor wants back unchanged.
    """
    leading, messages = ordered(history)
    wire: list[dict[str, Any]] = []
    for message in messages:
        if isinstance(message, Said):
            is_agent = message.role == "agent"
            text = f"[Instructions: {message.text}]" if message.role == "system" else message.text
            _add(wire, "assistant" if is_agent else "user", [{"type": "text", "text": text}])
        else:
            _add(wire, "assistant", _calls(message, thinking_before))
            _add(wire, "user", _results(message))
    body: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "messages": [_plain(message) for message in wire]}
    if system := "\n\n".join(text for text in (system_prompt, *leading) if text.strip()):
        block: dict[str, Any] = {"type": "text", "text": system}
        body["system"] = [block | {"cache_control": {"type": "ephemeral"}} if cache else block]
    declared = [_tool(tool) for tool in tools]
    # A request whose history has calls must have tools, even if none is on offer any more.
    names = {tool.name for tool in tools}
    gone = {item.name for item in history if item.role == "tool_call"} - names
    if gone and not declared:
        declared = [_tool(ToolDefinition(name)) for name in sorted(gone)]
        body["tool_choice"] = {"type": "none"}
    if declared:
        body["tools"] = declared
    return body


def _add(messages: list[dict[str, Any]], role: str, content: list[dict[str, Any]]) -> None:
    """Put blocks behind the last message if it is of the same side; results stand first in theirs by that."""
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += content
    else:
        messages.append({"role": role, "content": content})


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message of one text is written as a text."""
    content = message["content"]
    if len(content) == 1 and content[0]["type"] == "text":
        return {"role": message["role"], "content": content[0]["text"].rstrip()}
    return message


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    schema = {"type": "object", **tool.schema}
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "input_schema": schema}


def _calls(message: Called, thinking_before: Callable[[str], Blocks]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [dict(block) for block in thinking_before(message.calls[0].call.call_id)]
    if message.text:
        blocks.append({"type": "text", "text": message.text})
    for answered in message.calls:
        call = answered.call
        blocks.append({"type": "tool_use", "id": call.call_id, "name": call.name, "input": answered.arguments})
    return blocks


def _results(message: Called) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for answered in message.calls:
        result = {"type": "tool_result", "tool_use_id": answered.call.call_id, "content": answered.result}
        results.append(result | {"is_error": True} if answered.is_error else result)
    return results
