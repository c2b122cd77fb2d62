"""Whose sessions answer a gateway's calls."""

from dataclasses import fields
from typing import Final

from trunkline.clock import Clock
from trunkline.errors import InvalidConfig
from trunkline.realtime import RealtimeClient
from trunkline.realtime.config import RealtimeConfig, RealtimeProviderFactory, provider_factory
from trunkline.realtime.provider import RealtimeProvider

_OF_ONE_SESSION: Final = frozenset(
    {"provider", "voice", "instructions", "functions", "tools", "on_function_call", "temperature"}
)
"""The fields of a `RealtimeConfig` that each session is opened with; the others are for whoever makes the provider."""


def make_provider(
    provider: RealtimeProvider | RealtimeProviderFactory | None, config: RealtimeConfig | None, *, clock: Clock
) -> RealtimeProvider:
    """A provider whose sessions last as long as the calls: rotated before the vendor's limit, taken up again when they break.

    Args:
        provider: The provider, a factory of one, or None for the one that `config` names.
        config: What a factory makes it of.
        clock: What its time limits are measured by.

    Raises:
        InvalidConfig: There is none, it is none, or `config` says what a provider that is there already cannot be told.
        UnknownProvider: `config` names a provider that is not installed.
    """
    if provider is None:
        if config is None or not config.provider:
            raise InvalidConfig(
                "realtime_provider", "is needed in realtime mode; or name one in realtime_config.provider"
            )
        provider = provider_factory(config.provider)
    if isinstance(provider, RealtimeProviderFactory):
        provider = provider.create(config or RealtimeConfig())
    elif config is not None:
        _check_unused(config, provider)
    if isinstance(provider, type) or not hasattr(provider, "connect"):
        raise InvalidConfig("realtime_provider", f"must be a provider or a factory of one, got {provider!r}")
    return provider if isinstance(provider, RealtimeClient) else RealtimeClient(provider, clock=clock)


def _check_unused(config: RealtimeConfig, provider: RealtimeProvider) -> None:
    name = getattr(provider, "name", "")
    if config.provider and config.provider != name:
        raise InvalidConfig(
            "realtime_config", f"names the provider {config.provider!r}, but a provider {name!r} was given"
        )
    for field in fields(config):
        if field.name not in _OF_ONE_SESSION and getattr(config, field.name) != field.default:
            raise InvalidConfig(
                "realtime_config",
                f"has {field.name}, but the provider is made already: set it there, or give a factory, or name the provider",
            )
