"""The suite, run by OpenAI's provider against OpenAI's simulator."""

from contextlib import AbstractAsyncContextManager

from tests.testing.suites.openai_stage import FAULTS, OpenAIStage, openai_stage
from trunkline.realtime.openai_session import CAPABILITIES
from trunkline.testing.suites import RealtimeProviderSuite, Scene


class TestOpenAI(RealtimeProviderSuite):
    capabilities = CAPABILITIES
    troubles = frozenset(FAULTS)

    def vendor(self, scene: Scene) -> AbstractAsyncContextManager[OpenAIStage]:
        return openai_stage(scene)
