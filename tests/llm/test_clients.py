"""Our clients against simulators: retries, deadlines, faults in streams, and what servers do in their own way."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.testing.suites.model_stages import STAGES, SimulatedStage, Vendor, anthropic_stage, openai_stage
from trunkline import registry
from trunkline.clock import SYSTEM_CLOCK
from trunkline.conversation import HistoryItem
from trunkline.errors import (
    ConnectionFailed,
    InvalidConfig,
    ModelUnavailable,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
)
from trunkline.llm import PHONE_SYSTEM_PROMPT, AnswerTimeouts, AnthropicLLM, OpenAILLM, TextReceived
from trunkline.testing.anthropic import AnthropicSimulator
from trunkline.testing.brain import CallTool, Heard, Say
from trunkline.testing.openai_http import Quirk
from trunkline.testing.suites.llm import LONG, WEATHER, answer_of, user
from trunkline.testing.text_stream import (
    CutOff,
    EndEarly,
    ErrorInStream,
    Malformed,
    Refuse,
    Sending,
    SlowHeaders,
    Stall,
    StreamFault,
    TokenLimit,
)

pytestmark = pytest.mark.anyio
both = pytest.mark.parametrize("vendor", ["anthropic", "openai"])
COUNT = [user("Count.")]


def counting(_history: Sequence[Heard]) -> Sequence[Say | CallTool]:
    return [Say(LONG)]


@both
@pytest.mark.parametrize(
    "fault",
    [
        Refuse(status=500),
        Refuse(status=503, retry_after="0"),
        Refuse(status=429, retry_after="0"),
        Refuse(status=502, body="<html>Bad gateway</html>"),
        ErrorInStream(after=0),
        EndEarly(after=0),
        CutOff(after=0),
    ],
)
async def test_what_may_pass_is_asked_again_before_anything_is_told(vendor: Vendor, fault: StreamFault) -> None:
    async with STAGES[vendor](counting) as stage:
        stage.part.script([fault])
        assert (await answer_of(stage.model, COUNT)).text == LONG


@both
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Refuse(status=400), RequestRejected),
        (Refuse(status=404), ModelUnavailable),
        (Refuse(status=413, body="too large"), RequestRejected),
        (Refuse(status=402), QuotaExceeded),
        (Refuse(status=429, retry_after="300"), RateLimited),
    ],
)
async def test_what_does_not_pass_is_raised_at_once(vendor: Vendor, fault: Refuse, kind: type[ProviderError]) -> None:
    async with STAGES[vendor](counting) as stage:
        stage.part.script([fault])
        with pytest.raises(kind) as raised:
            await answer_of(stage.model, COUNT)
        assert type(raised.value) is kind
        assert raised.value.retry_after == (300 if fault.retry_after else None)
        assert not stage.part.received
        assert (await answer_of(stage.model, COUNT)).text == LONG


async def test_a_used_up_quota_is_no_limit_of_rate() -> None:
    async with openai_stage(counting) as stage:
        stage.part.script([Refuse(status=429, code="insufficient_quota")])
        with pytest.raises(QuotaExceeded):
            await answer_of(stage.model, COUNT)


@both
async def test_a_failure_after_the_first_words_is_raised_with_them_told(vendor: Vendor) -> None:
    async with STAGES[vendor](counting) as stage:
        stage.part.script([EndEarly(after=3)])
        texts: list[Any] = []
        with pytest.raises(ConnectionFailed, match="truncated"):  # noqa: PT012
            async with stage.model.stream(COUNT) as events:
                async for event in events:
                    assert isinstance(event, TextReceived)
                    texts.append(event.text)
        assert "".join(texts) == "one two three "
        assert len(stage.part.received) == 1


@both
@pytest.mark.parametrize("fault", [Stall(after=0), Stall(after=2), SlowHeaders(seconds=30)])
async def test_silence_ends_with_a_deadline(vendor: Vendor, fault: StreamFault) -> None:
    timeouts = AnswerTimeouts(headers=0.3, first=0.3, gap=0.3)

    def make(url: str) -> AnthropicLLM | OpenAILLM:
        kind: Callable[..., Any] = AnthropicLLM if vendor == "anthropic" else OpenAILLM
        model: AnthropicLLM | OpenAILLM = kind(api_key="k", base_url=url, retries=0, timeouts=timeouts)
        return model

    async with STAGES[vendor](counting, make) as stage:
        stage.part.script([fault])
        with pytest.raises(ConnectionFailed) as raised:
            await answer_of(stage.model, COUNT)
        assert raised.value.code == "timeout"


@both
async def test_a_message_that_cannot_be_read_costs_nothing_else(vendor: Vendor) -> None:
    async with STAGES[vendor](counting) as stage:
        stage.part.script([Malformed(after=2)])
        assert (await answer_of(stage.model, COUNT)).text == LONG


@both
@pytest.mark.parametrize("segments", ["all", "byte"])
@pytest.mark.parametrize("pieces", ["character", "whole"])
async def test_answers_are_whole_however_they_are_cut(vendor: Vendor, segments: str, pieces: str) -> None:
    answer: list[Say | CallTool] = [Say("Größe: 9 €."), CallTool("weather", {"city": "Zürich"})]
    options: dict[str, Any] = {"segments": segments, "pieces": pieces}
    if vendor == "openai":
        options = {"sending": Sending(clock=SYSTEM_CLOCK, **options)}
    async with STAGES[vendor]([answer], **options) as stage:
        told = await answer_of(stage.model, COUNT, tools=[WEATHER])
    assert (told.text, [call.arguments for call in told.calls]) == ("Größe: 9 €.", ['{"city": "Zürich"}'])
    assert told.finished.usage is not None
    assert told.finished.usage.input_tokens > told.finished.usage.cached_tokens > 0


@both
async def test_a_call_that_the_token_limit_cut_is_not_told(vendor: Vendor) -> None:
    async with STAGES[vendor]([[CallTool("weather", {"city": "New York"})]]) as stage:
        stage.part.script([TokenLimit(after=3)])
        told = await answer_of(stage.model, COUNT, tools=[WEATHER])
    assert (told.calls, told.finished.reason) == ((), "length")


@both
async def test_leaving_an_answer_is_seen_by_the_vendor(vendor: Vendor) -> None:
    async with STAGES[vendor](counting) as stage:
        stage.part.script([Stall(after=2)])
        async with stage.model.stream(COUNT) as events:
            await anext(aiter(events))
        with anyio.fail_after(5):
            while not stage.part.aborted:
                await anyio.lowlevel.checkpoint()


async def test_connections_are_kept_from_answer_to_answer() -> None:
    async with anthropic_stage(counting) as stage:
        for _ in range(3):
            await answer_of(stage.model, COUNT)
        assert isinstance(stage.part, AnthropicSimulator)
        assert stage.part.connections == 1


@both
async def test_the_system_prompt_is_ours_unless_another_is_given(vendor: Vendor) -> None:
    def told(stage: SimulatedStage) -> str:
        body = stage.part.received[-1]
        return str(body["system"][0]["text"] if vendor == "anthropic" else body["messages"][0]["content"])

    async with STAGES[vendor](counting) as stage:
        await answer_of(stage.model, COUNT)
        assert told(stage) == PHONE_SYSTEM_PROMPT
        await answer_of(stage.model, [HistoryItem(role="system", text="Be kind."), *COUNT], system_prompt="Be brief.")
        assert told(stage) == "Be brief.\n\nBe kind."


async def test_thinking_goes_back_with_the_results() -> None:
    def answers(history: Sequence[Heard]) -> Sequence[Say | CallTool]:
        return [Say("Mild.")] if history[-1].role == "tool" else [CallTool("weather", {})]

    async with anthropic_stage(answers, thinking="Let me see.") as stage:
        call = (await answer_of(stage.model, COUNT, tools=[WEATHER])).calls[0]
        history = [
            *COUNT,
            HistoryItem(role="tool_call", call_id=call.call_id, name=call.name),
            HistoryItem(role="tool_result", call_id=call.call_id, text="mild"),
        ]
        assert (await answer_of(stage.model, history, tools=[WEATHER])).text == "Mild."
        blocks = stage.part.received[-1]["messages"][1]["content"]
    assert blocks[0] == {"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmF0dXJl"}
    assert blocks[1]["type"] == "tool_use"


@pytest.mark.parametrize(
    "quirks",
    [
        ["no_index"],
        ["index_zero"],
        ["whole_arguments"],
        ["object_arguments"],
        ["no_id"],
        ["no_id", "no_index", "whole_arguments"],
        ["stop_with_calls"],
        ["no_done"],
        ["comments"],
        ["think_in_content"],
        ["reasoning_content"],
        ["empty_first_chunk"],
    ],
)
async def test_compatible_servers_are_understood(quirks: list[Quirk]) -> None:
    answer: list[Say | CallTool] = [
        Say("Both."),
        CallTool("weather", {"city": "Rome"}),
        CallTool("weather", {"city": "Oslo"}),
    ]
    async with openai_stage([answer], quirks=quirks, thinking="Hm, let me see.") as stage:
        told = await answer_of(stage.model, COUNT, tools=[WEATHER])
    assert told.text == "Both."
    assert [call.arguments for call in told.calls] == ['{"city": "Rome"}', '{"city": "Oslo"}']
    assert told.finished.reason == "tool_calls"


async def test_a_number_for_a_code_and_a_refusal_are_understood() -> None:
    async with openai_stage(counting, quirks=["integer_code"], finish_reason="content_filter") as stage:
        assert (await answer_of(stage.model, COUNT)).finished.reason == "refusal"
        stage.part.script([Refuse(status=404)])
        with pytest.raises(ModelUnavailable) as raised:
            await answer_of(stage.model, COUNT)
        assert raised.value.code == "404"


@both
async def test_the_key_is_shown_nowhere(vendor: Vendor) -> None:
    async with STAGES[vendor](counting) as stage:
        stage.part.script([Refuse(status=401, message="the key sk-ant-test or sk-test-key is wrong")])
        with pytest.raises(ProviderError) as raised:
            await answer_of(stage.model, COUNT)
        key = "sk-ant-test" if vendor == "anthropic" else "sk-test-key"
        assert key not in str(raised.value) + repr(raised.value) + repr(stage.model)


def test_values_that_cannot_work_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    with pytest.raises(InvalidConfig, match="ANTHROPIC_API_KEY"):
        AnthropicLLM()
    with pytest.raises(InvalidConfig, match="https"):
        OpenAILLM(base_url="http://example.com/v1")
    with pytest.raises(InvalidConfig, match="messages"):
        OpenAILLM(extra_body={"messages": []})
    with pytest.raises(InvalidConfig, match="max_tokens"):
        AnthropicLLM(api_key="k", max_tokens=0)
    with pytest.raises(InvalidConfig, match="retries"):
        AnthropicLLM(api_key="k", retries=-1)
    with pytest.raises(InvalidConfig, match="gap"):
        AnswerTimeouts(gap=0)
    assert os.environ["OPENAI_API_KEY"] not in repr(OpenAILLM())


def test_both_are_registered() -> None:
    assert registry.names("llm") == ["anthropic", "openai"]
    assert registry.get("llm", "anthropic") is AnthropicLLM
