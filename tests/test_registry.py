"""Names become classes, ours and a third party's alike."""

from collections.abc import Iterator

import pytest

from trunkline import registry
from trunkline.errors import UnknownProvider


@pytest.fixture
def clean() -> Iterator[None]:
    before = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(before)


def test_our_own_vendors_are_entry_points() -> None:
    assert "openai" in registry.names("realtime")
    assert "twilio" in registry.names("gateways")
    assert registry.get("realtime", "OpenAI").__name__ == "OpenAIRealtimeProvider"


@pytest.mark.usefixtures("clean")
def test_what_is_registered_goes_first() -> None:
    mine = object()
    registry.register("realtime", "OpenAI", mine)
    assert registry.get("realtime", "openai") is mine


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UnknownProvider, match=r"unknown realtime provider 'nobody'; available: .*openai"):
        registry.get("realtime", "nobody")
