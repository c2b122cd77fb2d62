"""What a bridge joins, and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trunkline.audio import TWILIO, AudioConverter, AudioFormat
from trunkline.audio.vad import VoiceActivityDetector
from trunkline.errors import InvalidConfig
from trunkline.pipeline.barge_in import InterruptionPolicy
from trunkline.pipeline.observer import MediaObserver
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider
from trunkline.tools import ToolDefinition, ToolHandler
from trunkline.tools.compiled import CompiledTools


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeConfig:
    """What a bridge joins, and how. One configuration serves any number of calls: its tools are made ready once.

    Args:
        provider: Whose sessions answer the call.
        process_config: How the session should be; its `input_format` and `output_format` go before `to_format`.
        from_format: The carrier's format, where the bridge has no line that tells it.
        to_format: The provider's format to ask for, both ways; None asks for the carrier's own, which then passes through untouched if the
            provider has it, and is converted if not. What the session says it uses decides.
        buffer_size: How many frames of the caller wait for the session at most; beyond that the oldest go, counted.
        lead_ms: How far ahead of the caller's ear audio is sent; None leaves it to the carrier's line.
        interruption: How easily the caller stops the agent.
        detector: Makes a voice activity detector, to notice the caller on this side before the provider does. Where the provider does not
            report speech one is needed: an `EnergyDetector` if this is None. `SileroDetector`, of the extra `local`, is better in noise.
        tools: Tools besides those of `process_config`, as definitions, plain functions or models.
        tool_handlers: What runs each defined tool, by name.
        greeting: A sentence that the agent says first.
        greeting_interruptible: Whether the caller may interrupt it. If not, they are not heard before its end.
        tool_timeout: Seconds that a tool may take.
        close_timeout: Seconds that closing may take.
        media_timeout: Seconds without audio of the caller after which the line counts as lost; None waits for ever.
        converter: Makes what converts the audio in place of ours, one for each direction of a call.
        media_observer: Is shown the audio of both sides, in the event loop and in the order in which it passes, so it must not block. One
            that raises is not called again in that call.

    Attributes:
        compiled_tools: All the tools, ready to be called.

    Raises:
        InvalidConfig: A number is out of its bounds, or something cannot be a tool.
    """

    provider: RealtimeProvider
    process_config: ProcessConfig = field(default_factory=ProcessConfig)
    from_format: AudioFormat = TWILIO
    to_format: AudioFormat | None = None
    buffer_size: int = 100
    lead_ms: int | None = None
    interruption: InterruptionPolicy = field(default_factory=InterruptionPolicy)
    detector: Callable[[], VoiceActivityDetector] | None = None
    tools: Sequence[ToolDefinition | Callable[..., Any]] = ()
    tool_handlers: Mapping[str, ToolHandler] = field(default_factory=dict)
    greeting: str = ""
    greeting_interruptible: bool = True
    tool_timeout: float = 20.0
    close_timeout: float = 5.0
    media_timeout: float | None = None
    converter: Callable[[], AudioConverter] | None = None
    media_observer: MediaObserver | None = None
    compiled_tools: CompiledTools = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.buffer_size < 1:
            raise InvalidConfig("buffer_size", f"must be at least 1, got {self.buffer_size!r}")
        if self.lead_ms is not None and self.lead_ms < 20:
            raise InvalidConfig("lead_ms", f"must be at least 20, got {self.lead_ms!r}")
        compiled = CompiledTools(
            [*self.process_config.functions, *self.tools],
            self.tool_handlers,
            on_function_call=self.process_config.on_function_call,
        )
        object.__setattr__(self, "compiled_tools", compiled)

    def session_config(self, line_format: AudioFormat) -> ProcessConfig:
        """What a session on a line of this format is asked for."""
        own = self.process_config
        asked = self.to_format or line_format
        return replace(
            own,
            functions=self.compiled_tools.definitions,
            input_format=own.input_format or asked,
            output_format=own.output_format or asked,
            allow_interruption=own.allow_interruption and self.interruption.left_to_provider,
        )

    def new_converter(self) -> AudioConverter | None:
        """What converts one direction of a call in place of ours, if anything."""
        return None if self.converter is None else self.converter()
