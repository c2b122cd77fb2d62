"""Anthropic's own SDK against the simulator, unchanged: what it asks is taken, and what it is sent it understands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import httpx
import pytest

from trunkline.testing.anthropic import AnthropicSimulator
from trunkline.testing.brain import CallTool, Say, ScriptedBrain
from trunkline.testing.text_stream import ErrorInStream, Refuse

pytestmark = [
    pytest.mark.anyio,
    # The SDK leaves its own nested generators unfinished where it stops reading, of which trio complains.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]
TOOL: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
ASKED: Any = [{"role": "user", "content": "Weather?"}]


@asynccontextmanager
async def service(*turns: Any, **options: Any) -> AsyncIterator[tuple[AnthropicSimulator, anthropic.AsyncAnthropic]]:
    async with (
        AnthropicSimulator(brain=ScriptedBrain(answers=turns), **options) as vendor,
        anthropic.AsyncAnthropic(api_key="k", base_url=vendor.url, max_retries=0) as client,
    ):
        yield vendor, client


async def test_the_sdk_streams_text_and_two_calls_behind_thinking() -> None:
    turn = [Say("Let me look."), CallTool("weather", {"city": "Zürich"}), CallTool("weather", {})]
    async with service(turn, turn, thinking="Hm.") as (vendor, client):
        async with client.messages.stream(model="m", max_tokens=64, messages=ASKED, tools=[TOOL]) as stream:
            final = await stream.get_final_message()
        whole = await client.messages.create(model="m", max_tokens=64, messages=ASKED, tools=[TOOL])
        assert vendor.headers[0]["anthropic-version"]
    for message in (final, whole):
        assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
        assert [block.input for block in message.content if block.type == "tool_use"] == [{"city": "Zürich"}, {}]
        assert (message.stop_reason, message.usage.input_tokens) == ("tool_use", 25)


async def test_the_sdk_knows_every_refusal() -> None:
    async with service([Say("one two")], models=["m"]) as (vendor, client):
        vendor.script([Refuse(status=429, retry_after="1"), Refuse(status=529), None, ErrorInStream(after=1)])
        with pytest.raises(anthropic.RateLimitError):
            await client.messages.create(model="m", max_tokens=64, messages=ASKED)
        with pytest.raises(anthropic.APIStatusError) as raised:
            await client.messages.create(model="m", max_tokens=64, messages=ASKED)
        assert raised.value.status_code == 529
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.create(model="other", max_tokens=64, messages=ASKED)
        stream = await client.messages.create(model="m", max_tokens=64, messages=ASKED, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="failed on purpose"):
            async for _ in stream:
                pass


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({}, {"x-api-key": ""}, 401),
        ({}, {"anthropic-version": ""}, 400),
        ({"temperature": 1}, {"anthropic-version": "2026-10-21"}, 400),
        ({"temperature": 1}, {}, 200),
        ({"max_tokens": None}, {}, 400),
        ({"messages": []}, {}, 400),
        ({"messages": [{"role": "assistant", "content": "Hi."}]}, {}, 400),
        ({"messages": [*ASKED, {"role": "assistant", "content": "It is"}]}, {}, 400),
        ({"messages": [{"role": "user", "content": " "}]}, {}, 400),
        (
            {
                "messages": [
                    *ASKED,
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "w", "input": {}}]},
                ]
            },
            {},
            400,
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": ""}]}]},
            {},
            400,
        ),
        ({}, {"x-api-key": "", "authorization": "Bearer k"}, 200),
    ],
)
async def test_the_service_refuses_what_it_documents(body: Any, headers: dict[str, str], status: int) -> None:
    whole = {"model": "m", "max_tokens": 9, "messages": ASKED} | body
    sent = {"x-api-key": "k", "anthropic-version": "2023-06-01"} | headers
    async with service([Say("Fine.")]) as (vendor, _), httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{vendor.url}/v1/messages", json=whole, headers=sent)
    assert answer.status_code == status, answer.text
    assert answer.headers["request-id"]
