"""Language models with simulators of their vendors, as the suite wants them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from trunkline.llm import AnthropicLLM, LanguageModel, OpenAILLM
from trunkline.testing.anthropic import AnthropicSimulator
from trunkline.testing.brain import ScriptedBrain
from trunkline.testing.openai_http import ChatCompletions, OpenAISimulator
from trunkline.testing.suites.llm import Answers, ModelTrouble
from trunkline.testing.text_stream import CutOff, EndEarly, ErrorInStream, Refuse, StreamFault

FAULTS: dict[ModelTrouble, StreamFault] = {
    ModelTrouble.WRONG_KEY: Refuse(status=401),
    ModelTrouble.RATE_LIMITED: Refuse(status=429, retry_after="30"),
    ModelTrouble.UNAVAILABLE: Refuse(status=503),
    ModelTrouble.ERROR: ErrorInStream(after=3),
    ModelTrouble.EARLY_END: EndEarly(after=3),
    ModelTrouble.CUT: CutOff(after=3),
}


class SimulatedStage:
    """A model and the simulator behind it; faults are put in front of every request."""

    def __init__(self, model: LanguageModel, part: AnthropicSimulator | ChatCompletions) -> None:
        self.model = model
        self.part = part

    def inflict(self, trouble: ModelTrouble) -> None:
        self.part.script([FAULTS[trouble]] * 5)

    def recover(self) -> None:
        self.part.forget()


@asynccontextmanager
async def anthropic_stage(
    answers: Answers, make: Callable[[str], Any] | None = None, **options: Any
) -> AsyncIterator[SimulatedStage]:
    async with AnthropicSimulator(brain=ScriptedBrain(answers=answers), **options) as vendor:
        model = make(vendor.url) if make else AnthropicLLM(api_key="sk-ant-test", base_url=vendor.url, retries=1)
        yield SimulatedStage(model, vendor)
        await model.aclose()


@asynccontextmanager
async def openai_stage(
    answers: Answers, make: Callable[[str], Any] | None = None, **options: Any
) -> AsyncIterator[SimulatedStage]:
    chat = ChatCompletions(brain=ScriptedBrain(answers=answers), **options)
    async with OpenAISimulator(chat=chat) as vendor:
        model = make(vendor.url) if make else OpenAILLM(api_key="sk-test-key", base_url=vendor.url, retries=1)
        yield SimulatedStage(model, chat)
        await model.aclose()


Vendor = Literal["anthropic", "openai"]
STAGES = {"anthropic": anthropic_stage, "openai": openai_stage}
