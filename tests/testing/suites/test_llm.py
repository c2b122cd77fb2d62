"""The suite of language models, run by our clients, by official clients and by a function."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import anthropic
import openai
import pytest

from tests.testing.suites.model_stages import FAULTS, SimulatedStage, anthropic_stage, openai_stage
from trunkline.conversation import HistoryItem
from trunkline.llm import LanguageModel, language_model
from trunkline.testing.brain import Heard, Say, ScriptedBrain
from trunkline.testing.suites.llm import Answers, LanguageModelSuite, ModelStage, ModelTrouble

pytestmark = pytest.mark.anyio

# The SDKs leave their own nested generators unfinished where they stop reading, of which trio complains.
sdk_generators = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]


class TestAnthropic(LanguageModelSuite):
    troubles = tuple(FAULTS)

    def stage(self, answers: Answers) -> AbstractAsyncContextManager[SimulatedStage]:
        return anthropic_stage(answers)


class TestOpenAI(LanguageModelSuite):
    troubles = tuple(FAULTS)

    def stage(self, answers: Answers) -> AbstractAsyncContextManager[SimulatedStage]:
        return openai_stage(answers)


class TestOfficialAnthropic(LanguageModelSuite):
    pytestmark = sdk_generators
    troubles = tuple(FAULTS)

    @asynccontextmanager
    async def stage(self, answers: Answers) -> AsyncIterator[SimulatedStage]:
        clients: list[anthropic.AsyncAnthropic] = []

        def make(url: str) -> LanguageModel:
            clients.append(anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0))
            return language_model(clients[0])

        async with anthropic_stage(answers, make) as stage:
            yield stage
            await clients[0].close()


class TestOfficialOpenAI(LanguageModelSuite):
    pytestmark = sdk_generators
    troubles = tuple(FAULTS)

    @asynccontextmanager
    async def stage(self, answers: Answers) -> AsyncIterator[SimulatedStage]:
        clients: list[openai.AsyncOpenAI] = []

        def make(url: str) -> LanguageModel:
            clients.append(openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0))
            return language_model(clients[0])

        async with openai_stage(answers, make) as stage:
            yield stage
            await clients[0].close()


class FunctionStage:
    """A generator that thinks with a brain."""

    def __init__(self, answers: Answers) -> None:
        self.brain = ScriptedBrain(answers=answers)
        self.model = language_model(self.generate)

    async def generate(self, input: str, history: Sequence[HistoryItem]) -> AsyncIterator[Any]:  # noqa: A002
        heard = [Heard("user", input)]
        if history and history[-1].role == "tool_result":
            heard.append(Heard("tool", history[-1].text))
        for part in await self.brain.answer(heard, instructions="", tools={}):
            if isinstance(part, Say):
                for word in part.text.split(" ")[:-1]:
                    yield f"{word} "
                yield part.text.split(" ")[-1]
            else:
                yield (part.name, part.arguments)

    def inflict(self, trouble: ModelTrouble) -> None:
        raise NotImplementedError(trouble)

    def recover(self) -> None:
        pass


class TestFunction(LanguageModelSuite):
    troubles: ClassVar[tuple[ModelTrouble, ...]] = ()

    @asynccontextmanager
    async def stage(self, answers: Answers) -> AsyncIterator[ModelStage]:
        yield FunctionStage(answers)


async def test_the_suite_fails_a_model_that_loses_text() -> None:
    class Lossy(LanguageModelSuite):
        @asynccontextmanager
        async def stage(self, answers: Answers) -> AsyncIterator[ModelStage]:
            stage = FunctionStage([[Say("It is 9 degrees.")]])
            yield stage

    with pytest.raises(AssertionError, match="told was"):
        await Lossy().test_an_answer_comes_as_text_and_ends()
