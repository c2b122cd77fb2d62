"""The suite, run by a client over a provider: conversations that outlive its sessions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.testing.suites.openai_stage import FAULTS, OpenAIStage, openai_stage
from trunkline.realtime import RealtimeClient
from trunkline.realtime.openai.session import CAPABILITIES
from trunkline.testing.suites import RealtimeProviderSuite, Scene


class TestClient(RealtimeProviderSuite):
    capabilities = CAPABILITIES
    troubles = frozenset(FAULTS)

    @asynccontextmanager
    async def vendor(self, scene: Scene) -> AsyncIterator[OpenAIStage]:
        async with openai_stage(scene) as stage:
            rotate_after = 0.5 if scene.short_lived else None
            yield OpenAIStage(stage.simulator, RealtimeClient(stage.provider, rotate_after=rotate_after))
