"""A realtime provider and its session described in one place, for the gateway and the voice facade alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from trunkline.errors import InvalidConfig
from trunkline.realtime.provider import FunctionCallHandler, ProcessConfig, RealtimeProvider
from trunkline.tools.definition import ToolDefinition
from trunkline.tools.dispatch import ToolDispatcher

AN_HOUR = 3600.0
"""Seconds; whoever runs the session sets the deadline of its tools, which is shorter."""


class VADMode(StrEnum):
    """Who decides when the user's turn is over."""

    SERVER = "server"
    """The vendor, by voice activity detection."""
    MANUAL = "manual"
    """The program, with `commit_audio()`; the vendor's detection is off."""
    DISABLED = "disabled"
    """Nobody: the vendor's detection is off, and turns are made of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeConfig:
    """What to connect to and how it should talk; the field names are those of its JSON form.

    Args:
        provider: The vendor's name in the registry; "" leaves it to whoever creates the provider.
        api_key: The vendor's key, never shown; None means the vendor's environment variable.
        model: The vendor's name of the model; None means the provider's default, as for `voice`.
        voice: The vendor's name of the voice.
        instructions: System prompt of the conversation.
        functions: Tools that the model may call.
        tools: The same by the facade's name; both count. A plain function is a tool too: its schema comes from its signature, and it
            runs when the model calls it.
        on_function_call: Runs a tool call, other than one of a plain function.
        temperature: 0 to 2; None leaves it to the vendor. Refused where the vendor's protocol has no such field.
        vad_mode: Who decides when the user's turn is over.
        vad_threshold: Loudness, 0 to 1, above which audio counts as speech.
        vad_prefix_padding_ms: Audio kept from before the detected start.
        vad_silence_duration_ms: Silence that ends a turn.
        max_tokens: Most tokens that one answer may have, at least 1.
        transcribe_input: Whether the user's words are told.
        transcribe_output: Whether the model's words are told.

    Raises:
        InvalidConfig: A value is out of its bounds.
    """

    provider: str = ""
    api_key: str | None = field(default=None, repr=False)
    model: str | None = None
    voice: str | None = None
    instructions: str | None = None
    functions: Sequence[ToolDefinition] = ()
    tools: Sequence[ToolDefinition | Callable[..., Any]] = ()
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
        try:
            object.__setattr__(self, "vad_mode", VADMode(self.vad_mode))
        except ValueError:
            raise InvalidConfig("vad_mode", f"must be server, manual or disabled, got {self.vad_mode!r}") from None
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InvalidConfig("temperature", f"must be between 0 and 2, got {self.temperature!r}")
        if self.vad_threshold is not None and not 0 <= self.vad_threshold <= 1:
            raise InvalidConfig("vad_threshold", f"must be between 0 and 1, got {self.vad_threshold!r}")
        for name in ("vad_prefix_padding_ms", "vad_silence_duration_ms"):
            if (getattr(self, name) or 0) < 0:
                raise InvalidConfig(name, f"must not be negative, got {getattr(self, name)!r}")
        for tool in self.functions:
            if not isinstance(tool, ToolDefinition):
                raise InvalidConfig(
                    "functions", f"must be ToolDefinition, got {tool!r}; a plain function goes to `tools`"
                )
        ToolDispatcher(self.tools)  # refuses what is no tool
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InvalidConfig("max_tokens", f"must be at least 1, got {self.max_tokens!r}")

    def to_process_config(self) -> ProcessConfig:
        """The part that is about one session: plain functions are definitions there, and `on_function_call` runs them."""
        return ProcessConfig(
            instructions=self.instructions,
            voice=self.voice,
            functions=(*self.functions, *self.tools),
            on_function_call=self.on_function_call,
            temperature=self.temperature,
        )


@runtime_checkable
class RealtimeProviderFactory(Protocol):
    """Makes a vendor's provider of a configuration."""

    def name(self) -> str:
        """The vendor's name, as in the registry."""
        ...

    def create(self, config: RealtimeConfig) -> RealtimeProvider:
        """A provider as configured.

        Raises:
            InvalidConfig: The configuration is for another vendor, or asks for what this one does not have.
        """
        ...
