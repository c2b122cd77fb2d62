"""The suite, run by sessions that last over sessions that do not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.testing.suites.openai_stage import FAULTS, OpenAIStage, openai_stage
from trunkline.realtime.openai.session import CAPABILITIES
from trunkline.realtime.reconnect import LastingProvider
from trunkline.testing.suites import RealtimeProviderSuite, Scene


class TestLasting(RealtimeProviderSuite):
    capabilities = replace(CAPABILITIES, resume=True, session_limit=None)
    troubles = frozenset(FAULTS)

    @asynccontextmanager
    async def vendor(self, scene: Scene) -> AsyncIterator[OpenAIStage]:
        async with openai_stage(scene) as stage:
            rotate_after = 0.5 if scene.short_lived else None
            yield OpenAIStage(stage.simulator, LastingProvider(stage.provider, rotate_after=rotate_after))
