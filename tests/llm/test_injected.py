"""Whatever else answers: functions of every kind, objects with generate, official clients that block."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import anthropic
import anyio
import openai
import pytest

from tests.testing.suites.model_stages import anthropic_stage, openai_stage
from trunkline.conversation import HistoryItem, ToolCall
from trunkline.errors import AuthFailed, InvalidConfig, ProviderError, QuotaExceeded
from trunkline.llm import AnthropicLLM, ToolCallRequested, language_model
from trunkline.testing.brain import CallTool, Say
from trunkline.testing.suites.llm import WEATHER, answer_of, user
from trunkline.testing.text_stream import EndEarly, ErrorInStream, Refuse, StreamFault

pytestmark = pytest.mark.anyio
HELLO = [HistoryItem(role="agent", text="Hi."), user("hello")]


def plain(words: str, history: Sequence[HistoryItem]) -> str:
    return f"{words} {len(history)}"


async def coroutine(words: str, history: Sequence[HistoryItem]) -> str:
    return plain(words, history)


def generator(words: str, history: Sequence[HistoryItem]) -> Iterator[str]:
    yield from (words, "", f" {len(history)}")


async def async_generator(words: str, history: Sequence[HistoryItem]) -> AsyncIterator[str]:
    for piece in generator(words, history):
        yield piece


def answering(result: Any) -> Callable[[str, Sequence[HistoryItem]], Any]:
    def answer(_words: str, _history: Sequence[HistoryItem]) -> Any:
        return result

    return answer


class Plain:
    def generate(self, input: str, history: Sequence[HistoryItem]) -> tuple[str, None]:  # noqa: A002
        return plain(input, history), None


class Streaming:
    async def generate(self, input: str, history: Sequence[HistoryItem]) -> AsyncIterator[str]:  # noqa: A002
        return async_generator(input, history)


@pytest.mark.parametrize(
    "source",
    [plain, coroutine, generator, async_generator, Plain(), Streaming(), partial(plain)],
)
async def test_anything_that_answers_is_a_model(source: Any) -> None:
    model = language_model(source, model="mine")
    told = await answer_of(model, HELLO)
    assert (told.text, told.finished.reason, model.name, model.model) == ("hello 1", "stop", "custom", "mine")


@pytest.mark.parametrize(
    "call",
    [
        ToolCallRequested("c1", "weather", '{"city":"Bonn"}'),
        ToolCall(name="weather", arguments={"city": "Bonn"}),
        ("weather", {"city": "Bonn"}),
        {"name": "weather", "arguments": '{"city":"Bonn"}', "id": "c1"},
    ],
)
async def test_tool_calls_are_told_in_every_form(call: Any) -> None:
    made = ToolCall(name="other", arguments={}, result="done")
    told = await answer_of(language_model(answering(("Wait.", [call, made]))), HELLO, tools=[WEATHER])
    assert told.text == "Wait."
    assert [(each.name, each.arguments) for each in told.calls] == [("weather", '{"city":"Bonn"}')]
    assert told.finished.reason == "tool_calls"


async def test_a_function_that_asks_is_given_tools_and_prompt() -> None:
    def asks(words: str, history: object, *, tools: Sequence[Any], system_prompt: str) -> str:
        return f"{tools[0].name}, {system_prompt}"

    assert (
        await answer_of(language_model(asks), HELLO, tools=[WEATHER], system_prompt="Be brief.")
    ).text == "weather, Be brief."


@pytest.mark.parametrize("result", [None, "", ("", [])])
async def test_no_answer_is_one_without_words(result: Any) -> None:
    assert (await answer_of(language_model(answering(result)), HELLO)).text == ""


async def test_plain_functions_do_not_hold_up_the_event_loop() -> None:
    threads: set[int] = set()

    def blocks(words: str, history: object) -> Iterator[str]:
        threads.add(threading.get_ident())
        yield words

    await answer_of(language_model(blocks), HELLO)
    assert threads
    assert threading.get_ident() not in threads


async def test_leaving_an_answer_closes_the_generator() -> None:
    ended: list[str] = []

    async def endless(words: str, history: object) -> AsyncIterator[str]:
        try:
            while True:
                yield "la "
        finally:
            ended.append("async")

    def endless_too(words: str, history: object) -> Iterator[str]:
        try:
            while True:
                yield "la "
        finally:
            ended.append("plain")

    for source in (endless, endless_too):
        async with language_model(source).stream(HELLO) as events:
            await anext(aiter(events))
    assert ended == ["async", "plain"]


@pytest.mark.parametrize("result", [7, [object()]])
async def test_an_odd_answer_and_an_exception_are_errors_of_the_function(result: Any) -> None:
    with pytest.raises(ProviderError, match="TypeError"):
        await answer_of(language_model(answering(result)), HELLO)

    def fails(words: str, history: object) -> str:
        raise RuntimeError("secret words")

    with pytest.raises(ProviderError, match="RuntimeError") as raised:
        await answer_of(language_model(fails), HELLO)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("source", [None, 7, "gpt", Plain, object()])
def test_what_cannot_answer_is_refused(source: Any) -> None:
    with pytest.raises(InvalidConfig, match="LanguageModel"):
        language_model(source)


def test_a_model_stays_as_it_is() -> None:
    model = AnthropicLLM(api_key="k")
    assert language_model(model) is model


async def test_official_clients_that_block_answer_in_a_thread() -> None:
    answer = [Say("Fine."), CallTool("weather", {"city": "Bonn"})]
    clients: list[Any] = []

    def remembered(client: Any) -> Any:
        clients.append(client)
        return language_model(client, model="m")

    makes: list[tuple[Any, Callable[[str], Any]]] = [
        (anthropic_stage, lambda url: remembered(anthropic.Anthropic(api_key="k", base_url=url, max_retries=0))),
        (openai_stage, lambda url: remembered(openai.OpenAI(api_key="k", base_url=url, max_retries=0))),
    ]
    for stage_of, make in makes:
        async with stage_of([answer], make) as stage:
            told = await answer_of(stage.model, HELLO, tools=[WEATHER])
            await anyio.to_thread.run_sync(clients[-1].close)
        assert (told.text, [call.arguments for call in told.calls]) == ("Fine.", ['{"city": "Bonn"}'])


async def test_errors_of_a_blocking_client_are_ours() -> None:
    clients: list[openai.OpenAI] = []

    def make(url: str) -> Any:
        clients.append(openai.OpenAI(api_key="k", base_url=url, max_retries=0))
        return language_model(clients[0])

    async with openai_stage(lambda _history: [Say("one two three")], make) as stage:
        faults: list[StreamFault] = [
            Refuse(status=401),
            Refuse(status=429, code="insufficient_quota"),
            EndEarly(after=1),
            ErrorInStream(after=1),
        ]
        codes: list[Any] = []
        for fault in faults:
            stage.part.script([fault])
            with pytest.raises(ProviderError) as raised:
                await answer_of(stage.model, HELLO)
            codes.append((type(raised.value), raised.value.code))
        await anyio.to_thread.run_sync(clients[0].close)
    assert codes[:2] == [(AuthFailed, "invalid_api_key"), (QuotaExceeded, "insufficient_quota")]
    assert codes[2][1] == "truncated"
