"""The suite, run by a client over a provider: conversations that outlive its sessions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.testing.suites.openai_stage import FAULTS, OpenAIStage, openai_stage
from trunkline.realtime import RealtimeClient
from trunkline.realtime.events import SessionEnded
from trunkline.realtime.openai.session import CAPABILITIES
from trunkline.testing import Say
from trunkline.testing.suites import RealtimeProviderSuite, Scene


class TestClient(RealtimeProviderSuite):
    capabilities = CAPABILITIES
    troubles = frozenset(FAULTS)
    lasting = True

    @asynccontextmanager
    async def vendor(self, scene: Scene) -> AsyncIterator[OpenAIStage]:
        async with openai_stage(scene) as stage:
            rotate_after = 0.5 if scene.short_lived else None
            yield OpenAIStage(stage.simulator, RealtimeClient(stage.provider, rotate_after=rotate_after))

    async def test_closing_the_provider_leaves_its_sessions(self) -> None:
        """Not those of a client: it ends the conversations that it keeps going."""
        async with self.playing(Scene(answers=[[Say("Yes.")]])) as on:
            await on.vendor.provider.aclose()
            await on.vendor.provider.aclose()
            assert (await on.listener.until(SessionEnded)).reason == "closed"
