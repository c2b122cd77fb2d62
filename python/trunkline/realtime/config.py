"""A realtime provider and its session described in one place, for the gateway and the voice facade alike."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Protocol, Self, cast, runtime_checkable

from trunkline import registry
from trunkline.errors import InvalidConfig
from trunkline.realtime.provider import FunctionCallHandler, ProcessConfig, RealtimeProvider
from trunkline.tools.definition import ToolDefinition

ToolLike = ToolDefinition | Callable[..., Any] | Mapping[str, Any]
"""A definition, a plain function, a pydantic model, or the JSON form of a definition."""


class VADMode(StrEnum):
    """Who decides when the user's turn is over."""

    SERVER = "server"
    """The vendor, by voice activity detection."""
    MANUAL = "manual"
    """The program, with `commit_audio()`; the vendor's detection is off."""
    DISABLED = "disabled"
    """Nobody: the vendor's detection is off, and turns are made of text."""


_BOUNDS: Mapping[str, tuple[type, float, float]] = {
    "temperature": (float, 0, 2),
    "vad_threshold": (float, 0, 1),
    "vad_prefix_padding_ms": (int, 0, math.inf),
    "vad_silence_duration_ms": (int, 0, math.inf),
    "max_tokens": (int, 1, math.inf),
}
_NOT_JSON = {"api_key", "tools", "on_function_call"}
"""A key belongs in the environment, and functions cannot be written down; definitions are all in `functions`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeConfig:
    """What to connect to and how it should talk; the field names are those of its JSON form.

    What is None is left to the provider and its vendor. What is set and the vendor's protocol has no field for is refused.

    Args:
        provider: The vendor's name in the registry; "" leaves it to whoever creates the provider.
        api_key: The vendor's key, never shown; None means the vendor's environment variable.
        model: The vendor's name of the model.
        voice: The vendor's name of the voice.
        instructions: System prompt of the conversation.
        functions: Tools that the model may call: definitions, plain functions, pydantic models, or definitions as JSON mappings. A plain
            function has its schema from its signature, and runs when the model calls it.
        tools: The same by the facade's name; both count.
        on_function_call: Runs the calls of definitions.
        temperature: 0 to 2.
        vad_mode: Who decides when the user's turn is over.
        vad_threshold: Loudness, 0 to 1, above which audio counts as speech.
        vad_prefix_padding_ms: Audio kept from before the detected start.
        vad_silence_duration_ms: Silence that ends a turn.
        max_tokens: Most tokens that one answer may have, at least 1.
        transcribe_input: Whether the session tells the user's words.
        transcribe_output: Whether it tells the model's words.

    Raises:
        InvalidConfig: A value is out of its bounds, or a tool cannot be one.
    """

    provider: str = ""
    api_key: str | None = field(default=None, repr=False)
    model: str | None = None
    voice: str | None = None
    instructions: str | None = None
    functions: Sequence[ToolLike] = ()
    tools: Sequence[ToolLike] = ()
    on_function_call: FunctionCallHandler | None = None
    temperature: float | None = None
    vad_mode: VADMode = VADMode.SERVER
    vad_threshold: float | None = None
    vad_prefix_padding_ms: int | None = None
    vad_silence_duration_ms: int | None = None
    max_tokens: int | None = None
    transcribe_input: bool | None = None
    transcribe_output: bool | None = None

    def __post_init__(self) -> None:
        for name, (kind, least, most) in _BOUNDS.items():
            _check_number(name, getattr(self, name), kind, least, most)
        for name in ("transcribe_input", "transcribe_output"):
            if getattr(self, name) not in (None, True, False):
                raise InvalidConfig(name, f"must be true, false or None, got {getattr(self, name)!r}")
        try:
            object.__setattr__(self, "vad_mode", VADMode(self.vad_mode))
        except ValueError:
            raise InvalidConfig("vad_mode", f"must be server, manual or disabled, got {self.vad_mode!r}") from None
        for name in ("functions", "tools"):
            tools = tuple(
                ToolDefinition.from_json(tool) if isinstance(tool, Mapping) else tool for tool in getattr(self, name)
            )
            object.__setattr__(self, name, tools)
        self.to_process_config().compiled_tools  # noqa: B018 - refuses what is no tool

    def to_process_config(self) -> ProcessConfig:
        """The part that is about one session; whoever runs the session runs its tools."""
        return ProcessConfig(
            instructions=self.instructions,
            voice=self.voice,
            functions=cast("tuple[ToolDefinition | Callable[..., Any], ...]", (*self.functions, *self.tools)),
            on_function_call=self.on_function_call,
            temperature=self.temperature,
        )

    @classmethod
    def from_json(cls, text: str | bytes | Mapping[str, Any]) -> Self:
        """The configuration that JSON text, or what was read from it, holds; null is as if it were not there.

        Raises:
            InvalidConfig: It is not JSON, has an unknown member, or a value is out of its bounds.
        """
        try:
            values = text if isinstance(text, Mapping) else json.loads(text)
        except ValueError as error:
            raise InvalidConfig("realtime_config", f"is not JSON: {error}") from error
        if not isinstance(values, Mapping):
            raise InvalidConfig("realtime_config", "must be a JSON object")
        known = {about.name for about in fields(cls)} - {"on_function_call"}
        if unknown := sorted(set(values) - known):
            raise InvalidConfig(unknown[0], f"is unknown; known are {', '.join(sorted(known))}")
        return cls(**{name: value for name, value in values.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """What is set, as JSON-able values. The key is left out; of functions there is what the model is told of them."""
        values = {about.name: getattr(self, about.name) for about in fields(self) if about.name not in _NOT_JSON}
        values["vad_mode"] = str(self.vad_mode)
        values["functions"] = [definition.to_json() for definition in self.to_process_config().definitions]
        return {name: value for name, value in values.items() if value not in (None, "", [])}


def _check_number(name: str, value: object, kind: type, least: float, most: float) -> None:
    if value is None:
        return
    is_number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]  # NaN is not between either
        bounds = f"between {least:g} and {most:g}" if math.isfinite(most) else f"at least {least:g}"
        whole = "a whole number, " if kind is int else ""
        raise InvalidConfig(name, f"must be {whole}{bounds}, got {value!r}")


@runtime_checkable
class RealtimeProviderFactory(Protocol):
    """Makes a vendor's provider of a configuration.

    This is what an entry point of the group `trunkline.realtime` must offer: it names such a factory, or a class whose static method
    `factory()` gives one. `registry.register("realtime", name, ...)` takes the same.
    """

    def name(self) -> str:
        """The vendor's name, as in the registry."""
        ...

    def create(self, config: RealtimeConfig) -> RealtimeProvider:
        """A provider as configured.

        Raises:
            InvalidConfig: The configuration is for another vendor, or asks for what this one does not have.
        """
        ...


def provider_factory(name: str) -> RealtimeProviderFactory:
    """The factory of the provider that is registered under a name.

    Raises:
        UnknownProvider: Nothing has this name.
        InvalidConfig: What has it is no factory and does not offer one.
    """
    registered = registry.get("realtime", name)
    factory = registered.factory() if callable(getattr(registered, "factory", None)) else registered
    if isinstance(factory, type) or not isinstance(factory, RealtimeProviderFactory):
        raise InvalidConfig("provider", f"{name!r} names {registered!r}, which offers no RealtimeProviderFactory")
    return factory
