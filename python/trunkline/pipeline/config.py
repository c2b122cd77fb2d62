"""What a bridge joins, and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trunkline.audio import TWILIO, AudioFormat
from trunkline.errors import InvalidConfig
from trunkline.pipeline.barge_in import InterruptionPolicy
from trunkline.pipeline.local_vad import Detector
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider
from trunkline.tools import ToolDefinition, ToolHandler


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeConfig:
    """What a bridge joins, and how.

    Args:
        provider: Whose sessions answer the call.
        process_config: How the session should be.
        from_format: The carrier's format, where the bridge has no port that tells it.
        to_format: The provider's format to ask for; None asks for the carrier's own, which then passes through untouched if the provider
            has it, and is converted if not.
        buffer_size: How many frames of the caller wait for the session at most; beyond that the oldest go, counted.
        lead_ms: How far ahead of the caller's ear audio is sent; None leaves it to the carrier's port.
        interruption: How easily the caller stops the agent.
        detector: Makes a voice activity detector for 16 kHz audio, to notice the caller on this side before the provider does.
        tools: Tools besides those of `process_config`, as definitions or plain functions.
        tool_handlers: What runs each defined tool, by name.
        greeting: A sentence that the agent says first.
        tool_timeout: Seconds that a tool may take.
        close_timeout: Seconds that closing may take.
    """

    provider: RealtimeProvider
    process_config: ProcessConfig = field(default_factory=ProcessConfig)
    from_format: AudioFormat = TWILIO
    to_format: AudioFormat | None = None
    buffer_size: int = 100
    lead_ms: int | None = None
    interruption: InterruptionPolicy = field(default_factory=InterruptionPolicy)
    detector: Callable[[], Detector] | None = None
    tools: Sequence[ToolDefinition | Callable[..., Any]] = ()
    tool_handlers: Mapping[str, ToolHandler] = field(default_factory=dict)
    greeting: str = ""
    tool_timeout: float = 20.0
    close_timeout: float = 5.0

    def __post_init__(self) -> None:
        if self.buffer_size < 1:
            raise InvalidConfig("buffer_size", f"must be at least 1, got {self.buffer_size!r}")
        if self.lead_ms is not None and self.lead_ms < 20:
            raise InvalidConfig("lead_ms", f"must be at least 20, got {self.lead_ms!r}")
        from trunkline.tools import ToolDispatcher

        ToolDispatcher([*self.process_config.functions, *self.tools], self.tool_handlers)
