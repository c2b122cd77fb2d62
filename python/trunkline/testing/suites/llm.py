"""The suite that every language model passes, ours and yours.

    from trunkline.testing.suites.llm import LanguageModelSuite, ModelStage, ModelTrouble

    class TestMyModel(LanguageModelSuite):
        troubles = {ModelTrouble.UNAVAILABLE}

        def stage(self, answers: Answers) -> AbstractAsyncContextManager[ModelStage]:
            return my_model_with_a_vendor_on_loopback(answers)

Under pytest the class is collected like any other, with anyio's plugin, on every event loop that your `anyio_backend` fixture names.
"""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final, Protocol, TypeAlias

import anyio

from trunkline.conversation import HistoryItem
from trunkline.errors import AuthFailed, ConnectionFailed, ProviderError, ProviderUnavailable, RateLimited
from trunkline.llm import AnswerFinished, LanguageModel, TextReceived, ToolCallRequested
from trunkline.testing.brain import CallTool, Heard, Say
from trunkline.testing.suites.cancellation import cut_at
from trunkline.tools import ToolDefinition

Turn: TypeAlias = Sequence[Say | CallTool]
Answers: TypeAlias = Sequence[Turn] | Callable[[Sequence[Heard]], Turn]
"""What the vendor's model answers, in turn, or as a function of the conversation; what `ScriptedBrain` takes."""

PATIENCE: Final = 20.0
"""Seconds that a check may take."""

WEATHER: Final = ToolDefinition(
    "weather", "The weather in a city.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
SENTENCE: Final = "It is 9 degrees in Zürich, and it rains."
LONG: Final = "one two three four five six seven eight nine ten"


class ModelTrouble(StrEnum):
    """What a vendor can be made to suffer. Each strikes every request from then on."""

    WRONG_KEY = "wrong_key"
    """The key is refused."""
    RATE_LIMITED = "rate_limited"
    """There are too many requests."""
    UNAVAILABLE = "unavailable"
    """The service is overloaded, and says so."""
    ERROR = "error"
    """The stream tells an error after some pieces."""
    EARLY_END = "early_end"
    """The stream ends in order, and the answer does not."""
    CUT = "cut"
    """The connection breaks in the middle of the answer."""


EXPECTED: Final[dict[ModelTrouble, type[ProviderError]]] = {
    ModelTrouble.WRONG_KEY: AuthFailed,
    ModelTrouble.RATE_LIMITED: RateLimited,
    ModelTrouble.UNAVAILABLE: ProviderUnavailable,
    ModelTrouble.ERROR: ProviderUnavailable,
    ModelTrouble.EARLY_END: ConnectionFailed,
    ModelTrouble.CUT: ConnectionFailed,
}


class ModelStage(Protocol):
    """A model and its vendor, under the suite's control."""

    @property
    def model(self) -> LanguageModel:
        """The model."""
        ...

    def inflict(self, trouble: ModelTrouble) -> None:
        """Let this happen from now on; those of a stream after at least one piece of text."""
        ...

    def recover(self) -> None:
        """Let nothing go wrong any more."""
        ...


def user(text: str) -> HistoryItem:
    """Something that the user says."""
    return HistoryItem(role="user", text=text)


def expect(condition: bool, complaint: str) -> None:
    """Fail the check, with a sentence that says what was wrong."""
    if not condition:
        raise AssertionError(complaint)


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """One answer, read to its end."""

    text: str
    calls: tuple[ToolCallRequested, ...]
    finished: AnswerFinished


async def answer_of(
    model: LanguageModel,
    history: Sequence[HistoryItem],
    *,
    tools: Sequence[ToolDefinition] = (),
    system_prompt: str | None = None,
) -> WholeAnswer:
    """Ask for one answer and read all of it.

    Raises:
        AssertionError: Its events are not in the order that they must have.
    """
    texts: list[str] = []
    calls: list[ToolCallRequested] = []
    finished: list[AnswerFinished] = []
    with anyio.fail_after(PATIENCE):
        async with model.stream(history, tools=tools, system_prompt=system_prompt) as stream:
            async for event in stream:
                expect(not finished, f"AnswerFinished must be the last event, but {event} came behind it")
                match event:
                    case TextReceived(text=text):
                        expect(bool(text), "no text may be empty")
                        texts.append(text)
                    case ToolCallRequested():
                        calls.append(event)
                    case AnswerFinished():
                        finished.append(event)
    expect(len(finished) == 1, "the last event must be AnswerFinished")
    return WholeAnswer("".join(texts), tuple(calls), finished[0])


class LanguageModelSuite:
    """Subclass it, say what the vendor can suffer, and write `stage`.

    Attributes:
        troubles: What your vendor can be made to suffer by `ModelStage.inflict`.
    """

    troubles: ClassVar[Collection[ModelTrouble]] = ()

    def stage(self, answers: Answers) -> AbstractAsyncContextManager[ModelStage]:
        """A model whose vendor answers so."""
        raise NotImplementedError

    async def test_an_answer_comes_as_text_and_ends(self) -> None:
        """The pieces are the text, whole, and the last event says that it is complete."""
        async with self.stage([[Say(SENTENCE)]]) as stage:
            answer = await answer_of(stage.model, [user("What is the weather?")])
        expect(answer.text == SENTENCE, f"the answer was {SENTENCE!r}, told was {answer.text!r}")
        expect(not answer.calls, f"nothing was called, told was {answer.calls}")
        expect(answer.finished.reason == "stop", f"the reason must be stop, not {answer.finished.reason}")

    async def test_a_tool_call_is_answered_by_its_result(self) -> None:
        """The model asks for a call, gets call and result in the history, and goes on with them."""

        def answers(history: Sequence[Heard]) -> Turn:
            last = history[-1]
            return [Say(f"It is {last.text}.")] if last.role == "tool" else [CallTool("weather", {"city": "Zürich"})]

        async with self.stage(answers) as stage:
            history = [user("What is the weather in Zürich?")]
            answer = await answer_of(stage.model, history, tools=[WEATHER])
            expect(answer.finished.reason == "tool_calls", f"the reason must be tool_calls, got {answer.finished}")
            expect(not answer.text and len(answer.calls) == 1, f"there must be one call and no text, got {answer}")
            call = answer.calls[0]
            asked = (call.name, json.loads(call.arguments))
            expect(asked == ("weather", {"city": "Zürich"}), f"another call than the model's was told: {call}")
            history += [
                HistoryItem(role="tool_call", call_id=call.call_id, name=call.name, arguments=call.arguments),
                HistoryItem(role="tool_result", call_id=call.call_id, text="mild"),
            ]
            text = (await answer_of(stage.model, history, tools=[WEATHER])).text
            expect(text == "It is mild.", f"the model was not told the result: {text!r}")

    async def test_two_calls_of_one_answer_have_ids_of_their_own(self) -> None:
        """Their arguments are not mixed, either."""
        both = [CallTool("weather", {"city": "Rome"}), CallTool("weather", {"city": "Oslo"})]
        async with self.stage([both]) as stage:
            calls = (await answer_of(stage.model, [user("Rome and Oslo?")], tools=[WEATHER])).calls
        cities = [json.loads(call.arguments) for call in calls]
        expect(cities == [{"city": "Rome"}, {"city": "Oslo"}], f"the calls were for Rome and Oslo, told was {calls}")
        expect(len({call.call_id for call in calls}) == len(both), f"two calls have one id: {calls}")

    async def test_what_is_said_before_a_call_comes_before_it(self) -> None:
        """An answer may hold both; a call without arguments has none."""
        async with self.stage([[Say("One moment."), CallTool("weather", {})]]) as stage:
            answer = await answer_of(stage.model, [user("Weather?")], tools=[WEATHER])
        expect(answer.text == "One moment.", f"the text was lost: {answer}")
        expect([json.loads(call.arguments or "{}") for call in answer.calls] == [{}], f"the call was lost: {answer}")

    async def test_conversations_as_they_happen_on_the_telephone_are_taken(self) -> None:
        """The agent speaks first, talks while a tool runs, is asked to go on; results are late or never come."""
        call = HistoryItem(role="tool_call", call_id="call_1", name="weather", arguments='{"city": "Bonn"}')
        result = HistoryItem(role="tool_result", call_id="call_1", text="rain")
        agent = HistoryItem(role="agent", text="Hello.")
        histories: list[list[HistoryItem]] = [
            [],
            [agent],
            [agent, user("Hi."), user("Are you there?")],
            [user("Weather?"), call],
            [user("Weather?"), call, HistoryItem(role="agent", text="One moment."), result],
            [user("Weather?"), call, user("Hello?"), result],
            [HistoryItem(role="agent", text=""), user("Hi."), HistoryItem(role="system", text="Be brief.")],
            [result, user("Well?")],
        ]
        for history in histories:
            async with self.stage([[Say("Fine.")]]) as stage:
                text = (await answer_of(stage.model, history)).text
                expect(text == "Fine.", f"no answer to {history}")

    async def test_leaving_an_answer_closes_its_stream_and_the_model_goes_on(self) -> None:
        """A caller who interrupts makes an end of the answer."""
        async with self.stage([[Say(LONG)], [Say("Fine.")]]) as stage:
            with anyio.fail_after(PATIENCE):
                async with stage.model.stream([user("Count.")]) as stream:
                    first = await anext(aiter(stream))
                    expect(isinstance(first, TextReceived), f"the first event must be text, not {first}")
            expect((await answer_of(stage.model, [user("Hi.")])).text == "Fine.", "the next answer is another one")

    async def test_a_cancelled_answer_leaves_nothing_behind(self) -> None:
        """Wherever in it the cancellation strikes."""
        async with self.stage(lambda _history: [Say(LONG)]) as stage:

            async def ask() -> None:
                await answer_of(stage.model, [user("Count.")])

            step = 1
            while await cut_at(step, ask):
                step += 1
            expect(step > 1, "an answer must wait for something")
            expect((await answer_of(stage.model, [user("Count.")])).text == LONG, "the next answer is not whole")

    async def test_answers_at_once_do_not_mix(self) -> None:
        """One model serves all calls."""
        async with self.stage(lambda history: [Say(f"You said {history[-1].text}")]) as stage:
            texts: dict[int, str] = {}

            async def ask(number: int) -> None:
                texts[number] = (await answer_of(stage.model, [user(f"number {number}")])).text

            async with anyio.create_task_group() as tasks:
                for number in range(5):
                    tasks.start_soon(ask, number)
        expect(texts == {number: f"You said number {number}" for number in range(5)}, f"answers were mixed: {texts}")

    async def test_a_closed_model_answers_again(self) -> None:
        """Closing gives connections back, and may be done twice."""
        async with self.stage([[Say("One.")], [Say("Two.")]]) as stage:
            expect((await answer_of(stage.model, [user("1?")])).text == "One.", "the first answer is another one")
            await stage.model.aclose()
            await stage.model.aclose()
            expect((await answer_of(stage.model, [user("2?")])).text == "Two.", "the second answer is another one")
            await stage.model.aclose()

    async def test_troubles_are_errors_of_their_class_and_pass(self) -> None:
        """Each is raised as what it is; once it is over the model answers."""
        async with self.stage(lambda _history: [Say(LONG)]) as stage:
            for trouble in self.troubles:
                stage.inflict(trouble)
                raised = await failure_of(stage.model)
                expect(type(raised) is EXPECTED[trouble], f"{trouble} must be {EXPECTED[trouble]}, not {raised!r}")
                expect(raised.vendor == stage.model.name, f"{trouble} is an error of {raised.vendor!r}")
                stage.recover()
                expect(
                    (await answer_of(stage.model, [user("Count.")])).text == LONG, f"after {trouble} it is not whole"
                )


async def failure_of(model: LanguageModel) -> ProviderError:
    """The error that an answer ends with."""
    try:
        answer = await answer_of(model, [user("Count.")])
    except ProviderError as error:
        return error
    raise AssertionError(f"an error was to be raised, but there is an answer: {answer}")
