"""What is asked of the vendors: conversations in an order they take, and bodies that the official SDKs' types know."""

import json
from typing import Any

import pytest
from anthropic.types import message_create_params
from openai.types.chat import completion_create_params
from pydantic import ConfigDict, TypeAdapter, with_config

from trunkline.conversation import HistoryItem
from trunkline.testing.anthropic.validation import VERSIONS, check_body
from trunkline.tools import ToolDefinition
from trunkline.wire.llm.anthropic.request import messages_request
from trunkline.wire.llm.history import CALL_BEGINS, GO_ON, Called, Said, ordered
from trunkline.wire.llm.openai.request import OPENAI, Dialect, chat_request

TOOL = ToolDefinition("weather", "The weather.", {"properties": {"city": {"type": "string"}}})


def item(role: Any, text: str = "", **more: str) -> HistoryItem:
    return HistoryItem(role=role, text=text, **more)


def call(number: int, arguments: str = "{}") -> HistoryItem:
    return item("tool_call", call_id=f"c{number}", name="weather", arguments=arguments)


def result(number: int, text: str = "rain") -> HistoryItem:
    return item("tool_result", text, call_id=f"c{number}")


CONVERSATION = [
    item("system", "Be kind."),
    item("agent", "Hello."),
    item("user", "Weather?"),
    item("user", "In Bonn."),
    item("agent", "One moment."),
    call(1, '{"city": "Bonn"}'),
    call(2, "not json"),
    item("agent", "Still there?"),
    item("system", "Be brief."),
    result(2),
    result(1, ""),
    call(3),
]


def strict(params: Any, body: dict[str, Any]) -> None:
    """Check a body with an SDK's type; a member that the type does not have is an error."""
    TypeAdapter(with_config(ConfigDict(extra="forbid"))(params)).validate_python(body)


def test_results_stand_with_their_calls_and_rounds_stay_apart() -> None:
    leading, messages = ordered(CONVERSATION)
    assert leading == ["Be kind."]
    assert [type(message).__name__ for message in messages] == [
        "Said",
        "Said",
        "Said",
        "Called",
        "Said",
        "Said",
        "Called",
    ]
    assert messages[0] == Said("user", CALL_BEGINS)
    assert messages[2] == Said("user", "Weather?\nIn Bonn.")
    first, last = messages[3], messages[-1]
    assert isinstance(first, Called)
    assert (first.text, [(each.call.call_id, each.result) for each in first.calls]) == (
        "One moment.",
        [("c1", ""), ("c2", "rain")],
    )
    assert isinstance(last, Called)
    assert last.calls[0].is_error


@pytest.mark.parametrize("history", [[], [item("agent", "Hello.")], [item("agent", " ")]])
def test_a_conversation_begins_and_ends_with_the_user(history: list[HistoryItem]) -> None:
    _, messages = ordered(history)
    assert messages[0] == Said("user", CALL_BEGINS)
    assert messages[-1].__class__ is Said
    assert messages[-1].text == (GO_ON if len(messages) > 1 else CALL_BEGINS)


def test_a_result_without_its_call_is_told_in_words() -> None:
    assert ordered([result(9), item("user", "Well?")])[1] == [
        Said("user", "[Result of an earlier tool call: rain]\nWell?")
    ]


@pytest.mark.parametrize("tools", [[], [TOOL]])
@pytest.mark.parametrize("history", [[], CONVERSATION, CONVERSATION[:6]])
def test_anthropic_takes_every_request(history: list[HistoryItem], tools: list[ToolDefinition]) -> None:
    body = messages_request(history, model="m", max_tokens=9, tools=tools, system_prompt="Hi.")
    strict(message_create_params.MessageCreateParamsStreaming, {**body, "stream": True})
    check_body(body, VERSIONS[1], prefill=False)
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}


def test_anthropic_is_told_which_results_are_missing_and_gets_objects_for_arguments() -> None:
    body = messages_request(CONVERSATION, model="m", max_tokens=9, tools=[TOOL])
    blocks = [
        block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]
    ]
    uses = [block["input"] for block in blocks if block["type"] == "tool_use"]
    assert uses == [{"city": "Bonn"}, {"arguments": "not json"}, {}]
    assert [block.get("is_error", False) for block in blocks if block["type"] == "tool_result"] == [False, False, True]
    assert body["system"][0]["text"] == "Be kind."


@pytest.mark.parametrize("tools", [[], [TOOL]])
@pytest.mark.parametrize("history", [[], CONVERSATION])
def test_openai_takes_every_request(history: list[HistoryItem], tools: list[ToolDefinition]) -> None:
    for dialect in (OPENAI, Dialect(system_role="developer", usage=False)):
        body = chat_request(history, model="m", max_tokens=9, tools=tools, system_prompt="Hi.", dialect=dialect)
        strict(completion_create_params.CompletionCreateParamsStreaming, {**body, "stream": True})
        json.dumps(body)


def test_a_compatible_server_gets_no_newer_members() -> None:
    body = chat_request([], model="m", max_tokens=9)
    assert set(body) == {"model", "messages", "max_tokens", "stream_options"}
    assert body["stream_options"] == {"include_usage": True}
