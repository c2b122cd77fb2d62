"""OpenAI's own SDK against the simulator of Chat Completions, unchanged."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest

from trunkline.testing.brain import CallTool, Say, ScriptedBrain
from trunkline.testing.openai_http import ChatCompletions, OpenAISimulator
from trunkline.testing.text_stream import EndEarly, ErrorInStream, Refuse

pytestmark = [
    pytest.mark.anyio,
    # The SDK leaves its own nested generators unfinished where it stops reading, of which trio complains.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
ASKED: Any = [{"role": "user", "content": "Weather?"}]
CALL = {"id": "c", "type": "function", "function": {"name": "w", "arguments": "{}"}}


@asynccontextmanager
async def service(*turns: Any, **options: Any) -> AsyncIterator[tuple[OpenAISimulator, openai.AsyncOpenAI]]:
    chat = ChatCompletions(brain=ScriptedBrain(answers=turns), **options)
    async with (
        OpenAISimulator(chat=chat) as vendor,
        openai.AsyncOpenAI(api_key="k", base_url=vendor.url, max_retries=0) as client,
    ):
        yield vendor, client


async def test_the_sdk_streams_text_calls_and_usage() -> None:
    turn = [Say("Let me look."), CallTool("weather", {"city": "Zürich"}), CallTool("weather", {})]
    async with service(turn, turn) as (_, client):
        async with client.chat.completions.stream(
            model="m", messages=ASKED, tools=[TOOL], stream_options={"include_usage": True}
        ) as stream:
            final = await stream.get_final_completion()
        whole = await client.chat.completions.create(model="m", messages=ASKED, tools=[TOOL])
    for completion in (final, whole):
        choice = completion.choices[0]
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", "Let me look.")
        calls = [call.function.arguments for call in choice.message.tool_calls or () if call.type == "function"]
        assert calls == ['{"city": "Zürich"}', "{}"]
        assert completion.usage is not None


async def test_the_sdk_knows_every_refusal_and_not_an_early_end() -> None:
    async with service([Say("one two")], [Say("one two")], models=["m"]) as (vendor, client):
        vendor.chat.script([Refuse(status=429, code="insufficient_quota"), Refuse(status=503), None])
        with pytest.raises(openai.RateLimitError) as raised:
            await client.chat.completions.create(model="m", messages=ASKED)
        assert raised.value.code == "insufficient_quota"
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=ASKED)
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="other", messages=ASKED)
        vendor.chat.script([ErrorInStream(after=1), EndEarly(after=1)])
        stream = await client.chat.completions.create(model="m", messages=ASKED, stream=True)
        with pytest.raises(openai.APIError, match="failed on purpose"):
            async for _ in stream:
                pass
        stream = await client.chat.completions.create(model="m", messages=ASKED, stream=True)
        texts = [chunk.choices[0].delta.content async for chunk in stream]
        assert texts == ["", "one "]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 200),
        ({"model": ""}, 400),
        ({"messages": []}, 400),
        ({"messages": [{"role": "robot", "content": "Hi."}]}, 400),
        ({"messages": [{"role": "user", "content": None}]}, 400),
        ({"messages": [*ASKED, {"role": "assistant", "content": None, "tool_calls": [CALL]}]}, 400),
        ({"messages": [*ASKED, {"role": "tool", "tool_call_id": "c", "content": "x"}]}, 400),
        ({"model": "gpt-6-luna", "tools": [TOOL]}, 400),
        ({"model": "gpt-6-luna", "tools": [TOOL], "reasoning_effort": "none"}, 200),
        ({"model": "gpt-6-astra", "tools": [TOOL], "reasoning_effort": "none"}, 400),
        ({"model": "gpt-6-luna", "max_tokens": 9}, 400),
        ({"model": "gpt-6-luna", "temperature": 0.5}, 400),
    ],
)
async def test_the_service_refuses_what_it_documents(body: Any, status: int) -> None:
    async with service([Say("Fine.")]) as (vendor, _), httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{vendor.url}/chat/completions",
            json={"model": "m", "messages": ASKED} | body,
            headers={"authorization": "Bearer k"},
        )
        keyless = await http.post(f"{vendor.url}/chat/completions", json={"model": "m", "messages": ASKED})
    assert answer.status_code == status, answer.text
    assert (keyless.status_code, bool(answer.headers["x-request-id"])) == (401, True)
