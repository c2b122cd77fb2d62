"""The suite, run by the fake provider as the barest and as the fullest of vendors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.testing.suites.fake_stage import TROUBLES, FakeStage
from trunkline.testing.fake_provider import BAREST, FULL
from trunkline.testing.suites import RealtimeProviderSuite, Scene

pytestmark = pytest.mark.anyio


class TestBarest(RealtimeProviderSuite):
    capabilities = BAREST
    troubles = frozenset(TROUBLES)

    @asynccontextmanager
    async def vendor(self, scene: Scene) -> AsyncIterator[FakeStage]:
        yield FakeStage(scene, self.capabilities)


class TestFull(TestBarest):
    capabilities = FULL


def test_only_capabilities_keep_checks_from_the_barest_vendor() -> None:
    assert TestFull.skipped().keys() < TestBarest.skipped().keys() | TestFull.skipped().keys()
    for name, reason in TestBarest.skipped().items():
        capability = reason.removeprefix("Capabilities.").removesuffix(" is False").removesuffix(" is True")
        assert getattr(BAREST, capability) is False, name
