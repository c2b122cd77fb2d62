"""Gateways by name, and the options that they are built with: `get_gateway_provider("twilio", with_api_key(…), with_greeting(…))`."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from trunkline import registry
from trunkline.errors import InvalidConfig
from trunkline.gateway.config import Logger, PipelineMode
from trunkline.gateway.gateway import Gateway
from trunkline.pipeline import InterruptionMode, InterruptionPolicy
from trunkline.realtime.config import RealtimeConfig, RealtimeProviderFactory
from trunkline.tools import ToolDefinition, ToolHandler

_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ALIASES: Final = {
    "base_url": "api_base_url",
    "endpoint": "api_base_url",
    "webhook_url": "public_url",
    "pipeline_mode": "mode",
    "realtime_provider_factory": "realtime_provider",
}
_OF_SESSIONS: Final = frozenset({"voice", "model", "instructions"})
"""Options that are fields of `realtime_config`."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: a keyword of the gateway as the caller wrote it, and its value."""

    key: str
    value: Any

    def __repr__(self) -> str:
        return f"Option({self.key!r})"  # the value may be a secret


# ── the registry ─────────────────────────────────────────────────────────────────────────────────────────────────────


def get_gateway_provider(name: str, *options: Option) -> Any:
    """The gateway that is registered under a name, built with options; of two options with the same key the later counts.

    Raises:
        UnknownProvider: Nothing has this name; the error lists what does.
        InvalidConfig: An option is unknown to this gateway, or the values cannot work; the error names all of them.
    """
    factory = registry.get("gateways", name)
    return factory(**_settings(factory, options))


def register_gateway_provider(name: str, factory: Callable[..., Any], *, priority: int = registry.THIN) -> None:
    """Make a gateway class, or a function that makes one of keywords, known under a name; see `registry.register`."""
    registry.register("gateways", name, factory, priority=priority)


def list_gateway_providers() -> list[str]:
    """The names that there are, sorted."""
    return registry.names("gateways")


def has_gateway_provider(name: str) -> bool:
    """Whether there is a gateway of this name."""
    return registry.has("gateways", name)


def get_gateway_provider_priority(name: str) -> int:
    """The priority with which a name is registered; -1 if it is not."""
    return registry.priority_of("gateways", name)


def _settings(factory: Any, options: Sequence[Option]) -> dict[str, Any]:
    is_gateway = isinstance(factory, type) and issubclass(factory, Gateway)
    aliases = _ALIASES | (dict(factory.config_class.aliases) if is_gateway else {})
    known = _known(factory) if is_gateway else None
    settings: dict[str, Any] = {}
    of_sessions: dict[str, Any] = {}
    problems = []
    for option in options:
        name = _WORDS.sub("_", option.key).lower()
        name = aliases.get(name, name)
        if name in _OF_SESSIONS and is_gateway:
            of_sessions[name] = option.value
        elif known is not None and name not in known:
            problems.append(InvalidConfig(option.key, f"is unknown; known are {', '.join(sorted(known))}"))
        elif name == "tool_handlers":
            settings[name] = settings.get(name, {}) | dict(option.value)
        else:
            settings[name] = option.value
    if problems:
        raise InvalidConfig.all_of(problems)
    if of_sessions:
        config = settings.get("realtime_config") or RealtimeConfig()
        config = RealtimeConfig.from_json(config) if isinstance(config, Mapping) else config
        settings["realtime_config"] = replace(config, **of_sessions)
    return settings


def _known(gateway: type[Gateway]) -> set[str]:
    keywords = inspect.signature(gateway).parameters.values()
    named = {keyword.name for keyword in keywords if keyword.kind is inspect.Parameter.KEYWORD_ONLY}
    return named | set(gateway.config_class.model_fields)


# ── the options ──────────────────────────────────────────────────────────────────────────────────────────────────────


def with_extension(key: str, value: object) -> Option:
    """Any keyword of the gateway, in either spelling: `accountSID` or `account_sid`."""
    return Option(key, value)


def with_api_key(key: str) -> Option:
    """The carrier's secret: its API key, or what it signs with."""
    return Option("api_key", key)


def with_base_url(url: str) -> Option:
    """Where the carrier's REST interface is."""
    return Option("base_url", url)


def with_endpoint(url: str) -> Option:
    """The same as `with_base_url`."""
    return Option("endpoint", url)


def with_webhook_url(url: str) -> Option:
    """The same as `with_public_url`."""
    return Option("webhook_url", url)


def with_account_sid(account_sid: str) -> Option:
    """Say the account, as Twilio calls it."""
    return Option("account_sid", account_sid)


def with_auth_token(auth_token: str) -> Option:
    """Say what the carrier signs with."""
    return Option("auth_token", auth_token)


def with_phone_number(phone_number: str) -> Option:
    """Say the number that is answered."""
    return Option("phone_number", phone_number)


def with_connection_id(connection_id: str) -> Option:
    """Say the connection, as Telnyx calls it."""
    return Option("connection_id", connection_id)


def with_region(region: str) -> Option:
    """Say the carrier's region."""
    return Option("region", region)


def with_public_url(public_url: str) -> Option:
    """Say where the carrier reaches the gateway."""
    return Option("public_url", public_url)


def with_listen_addr(listen_addr: str) -> Option:
    """Say where it listens."""
    return Option("listen_addr", listen_addr)


def with_greeting(greeting: str) -> Option:
    """Say what the agent says first."""
    return Option("greeting", greeting)


def with_max_session_duration(max_session_duration: float) -> Option:
    """Say the seconds that a call may last."""
    return Option("max_session_duration", max_session_duration)


def with_logger(logger: Logger) -> Option:
    """Say where the gateway logs."""
    return Option("logger", logger)


def with_stt_provider(provider: object) -> Option:
    """Speech to text: who does it, by name or as an object."""
    return Option("stt_provider", provider)


def with_stt_api_key(api_key: str) -> Option:
    """Speech to text: the vendor's key."""
    return Option("stt_api_key", api_key)


def with_stt_model(model: str) -> Option:
    """Speech to text: the vendor's name of the model."""
    return Option("stt_model", model)


def with_stt_language(language: str) -> Option:
    """Speech to text: the language of the caller."""
    return Option("stt_language", language)


def with_tts_provider(provider: object) -> Option:
    """Text to speech: who does it, by name or as an object."""
    return Option("tts_provider", provider)


def with_tts_api_key(api_key: str) -> Option:
    """Text to speech: the vendor's key."""
    return Option("tts_api_key", api_key)


def with_tts_voice_id(voice_id: str) -> Option:
    """Text to speech: the vendor's name of the voice."""
    return Option("tts_voice_id", voice_id)


def with_tts_model(model: str) -> Option:
    """Text to speech: the vendor's name of the model."""
    return Option("tts_model", model)


def with_llm_provider(provider: object) -> Option:
    """The language model: who does it, by name or as an object."""
    return Option("llm_provider", provider)


def with_llm_api_key(api_key: str) -> Option:
    """The language model: the vendor's key."""
    return Option("llm_api_key", api_key)


def with_llm_model(model: str) -> Option:
    """The language model: the vendor's name of the model."""
    return Option("llm_model", model)


def with_llm_system_prompt(system_prompt: str) -> Option:
    """The language model: what the model is told about its task."""
    return Option("llm_system_prompt", system_prompt)


def with_llm_client(client: object) -> Option:
    """A language model, or a client of one, in place of its name and key."""
    return Option("llm_client", client)


def with_voice(voice: str) -> Option:
    """The voice of the realtime sessions."""
    return Option("voice", voice)


def with_model(model: str) -> Option:
    """The model of the realtime sessions."""
    return Option("model", model)


def with_instructions(instructions: str) -> Option:
    """What the model of the realtime sessions is told about its task."""
    return Option("instructions", instructions)


def with_realtime_provider_factory(factory: RealtimeProviderFactory) -> Option:
    """What makes the realtime provider."""
    return Option("realtime_provider_factory", factory)


def with_realtime_config(config: RealtimeConfig | Mapping[str, Any]) -> Option:
    """What it is made of."""
    return Option("realtime_config", config)


def with_pipeline_mode(mode: PipelineMode | str) -> Option:
    """How calls are answered: `text` or `realtime`."""
    return Option("pipeline_mode", mode)


def with_interruption_mode(mode: InterruptionMode | InterruptionPolicy | str) -> Option:
    """What the caller's speech does to the agent's."""
    return Option("interruption_mode", mode)


def with_tools(tools: Sequence[ToolDefinition | Callable[..., Any]]) -> Option:
    """The tools of all calls."""
    return Option("tools", tools)


def with_tool_handlers(handlers: Mapping[str, ToolHandler]) -> Option:
    """What runs each defined tool, by name; added to those that were given before."""
    return Option("tool_handlers", handlers)


def with_tool_handler(name: str, handler: ToolHandler) -> Option:
    """What runs one defined tool."""
    return Option("tool_handlers", {name: handler})
