"""Whose sessions answer a gateway's calls."""

from dataclasses import fields
from typing import Final

from trunkline.clock import Clock
from trunkline.errors import InvalidConfig
from trunkline.gateway.config import GatewayConfig, PipelineMode
from trunkline.realtime import RealtimeClient
from trunkline.realtime.config import RealtimeConfig, RealtimeProviderFactory, provider_factory
from trunkline.realtime.provider import RealtimeProvider

_OF_ONE_SESSION: Final = frozenset(
    {"provider", "voice", "instructions", "functions", "tools", "on_function_call", "temperature"}
)
"""The fields of a `RealtimeConfig` that each session is opened with; the others are for whoever makes the provider."""


def make_provider(config: GatewayConfig, *, clock: Clock) -> RealtimeProvider:
    """A provider whose sessions last as long as the calls: rotated before the vendor's limit, taken up again when they break.

    Args:
        config: Which provider, or what it is made of.
        clock: What its time limits are measured by.

    Raises:
        InvalidConfig: There is none, it is none, or `realtime_config` says what a provider that is there already cannot be told.
        UnknownProvider: A provider is named that is not installed.
    """
    provider = _cascade(config) if config.mode is PipelineMode.TEXT else _realtime(config)
    return provider if isinstance(provider, RealtimeClient) else RealtimeClient(provider, clock=clock)


def _cascade(config: GatewayConfig) -> RealtimeProvider:  # noqa: ARG001 - what it is made of
    """The provider of text mode, made of the `stt_*`, `llm_*` and `tts_*` of the configuration."""
    raise InvalidConfig(
        "mode", "text mode needs trunkline.pipeline.CascadeProvider; give a realtime_provider or a realtime_config"
    )


def _realtime(config: GatewayConfig) -> RealtimeProvider:
    provider, session = config.realtime_provider, config.realtime_config
    if provider is None:
        if session is None or not session.provider:
            raise InvalidConfig(
                "realtime_provider", "is needed in realtime mode; or name one in realtime_config.provider"
            )
        provider = session.provider
    if isinstance(provider, str):
        provider = provider_factory(provider)
    if isinstance(provider, RealtimeProviderFactory):
        provider = provider.create(session or RealtimeConfig())
    elif session is not None:
        _check_unused(session, provider)
    if isinstance(provider, type) or not hasattr(provider, "connect"):
        raise InvalidConfig("realtime_provider", f"must be a provider, its name or a factory of one, got {provider!r}")
    return provider


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
