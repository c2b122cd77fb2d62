"""The suite, run by Gemini's provider against Gemini's simulator."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from tests.testing.suites.gemini_stage import FAULTS, GeminiStage, gemini_stage
from trunkline.realtime.gemini.provider import CAPABILITIES
from trunkline.testing.suites import RealtimeProviderSuite, Scene

pytestmark = pytest.mark.anyio


class TestGemini(RealtimeProviderSuite):
    capabilities = CAPABILITIES
    troubles = frozenset(FAULTS)

    def vendor(self, scene: Scene) -> AbstractAsyncContextManager[GeminiStage]:
        return gemini_stage(scene)


def test_only_what_the_protocol_lacks_is_skipped() -> None:
    lacking = {"cancel", "truncate", "seeds_tool_calls", "clear"}
    assert {reason.split()[0].removeprefix("Capabilities.") for reason in TestGemini.skipped().values()} == lacking


def test_an_older_model_can_do_less() -> None:
    from trunkline.realtime.gemini import GeminiRealtimeProvider

    provider = GeminiRealtimeProvider(api_key="AIzaTest0123456789", model="gemini-2.5-flash-native-audio-latest")
    assert provider.capabilities == replace(CAPABILITIES, speaks_during_calls=False, update_instructions=False)
