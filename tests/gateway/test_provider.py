"""Whose sessions answer: an object, a factory or a name; and what may be said of each."""

from typing import Any

import pytest

from tests.gateway.carrier import PlainGateway, fake
from trunkline import registry
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import InvalidConfig, UnknownProvider
from trunkline.gateway import GatewayConfig
from trunkline.gateway.provider import make_provider
from trunkline.realtime import RealtimeClient, RealtimeConfig
from trunkline.realtime.config import VADMode
from trunkline.testing.fake_provider import FakeProvider
from trunkline.tools import ToolDefinition


class Factory:
    def __init__(self) -> None:
        self.asked: list[RealtimeConfig] = []

    def name(self) -> str:
        return "fake"

    def create(self, config: RealtimeConfig) -> FakeProvider:
        self.asked.append(config)
        return fake()


def made(provider: Any, config: RealtimeConfig | None = None) -> Any:
    settings: dict[str, Any] = {"realtime_provider": provider, "realtime_config": config}
    return make_provider(GatewayConfig(listen_addr="127.0.0.1:0", mode="realtime", **settings), clock=SYSTEM_CLOCK)


def test_factory_is_given_the_configuration() -> None:
    factory, config = Factory(), RealtimeConfig(model="m", api_key="sk-secret", max_tokens=10)
    assert isinstance(made(factory, config), RealtimeClient)
    assert factory.asked == [config]
    made(factory)
    assert factory.asked[1] == RealtimeConfig()


def test_named_provider_is_made_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    factory = Factory()

    class Named:
        @staticmethod
        def factory() -> Factory:
            return factory

    monkeypatch.setattr(registry, "get", lambda kind, name: Named if (kind, name) == ("realtime", "fake") else None)
    config = RealtimeConfig(provider="fake", model="m")
    assert PlainGateway(realtime_config=config)._bridge_config.provider.name
    assert factory.asked == [config]


def test_client_over_several_providers_is_taken_as_it_is() -> None:
    client = RealtimeClient(fake(), fake())
    assert made(client) is client


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", "m"),
        ("api_key", "sk-secret"),
        ("vad_mode", VADMode.MANUAL),
        ("vad_threshold", 0.5),
        ("vad_prefix_padding_ms", 300),
        ("vad_silence_duration_ms", 0),
        ("max_tokens", 4096),
        ("transcribe_input", True),
        ("transcribe_output", False),
    ],
)
def test_setting_that_a_provider_object_cannot_be_told_is_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidConfig, match=f"has {field}, but the provider is made already") as refused:
        made(fake(), RealtimeConfig(**{field: value}))
    assert refused.value.field == "realtime_config"
    assert "secret" not in str(refused.value)


def test_settings_of_one_session_are_taken_with_a_provider_object() -> None:
    def opening_hours() -> str:
        """When the shop is open."""
        return "from seven to six"

    config = RealtimeConfig(
        provider="fake",
        voice="v",
        instructions="Be brief.",
        functions=[ToolDefinition("book")],
        tools=[opening_hours],
        on_function_call=lambda *_: "done",
        temperature=0.5,
    )
    assert made(fake(), config).names == ("fake",)


def test_name_of_another_provider_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="names the provider 'gemini', but a provider 'fake' was given"):
        made(fake(), RealtimeConfig(provider="gemini"))


@pytest.mark.parametrize("provider", [FakeProvider, object()])
def test_what_is_no_provider_is_refused(provider: object) -> None:
    with pytest.raises(InvalidConfig) as refused:
        made(provider)
    assert refused.value.field == "realtime_provider"


def test_nothing_at_all_is_refused() -> None:
    for config in (None, RealtimeConfig()):
        with pytest.raises(InvalidConfig, match="realtime_provider: is needed"):
            made(None, config)
    with pytest.raises(UnknownProvider):
        made(None, RealtimeConfig(provider="nobody"))
