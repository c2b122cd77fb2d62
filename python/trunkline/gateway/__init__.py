"""Calls, sessions and the carriers' front doors."""

from trunkline.audio import (
    GEMINI_INPUT,
    GEMINI_OUTPUT,
    LIVEKIT,
    OPENAI,
    PLIVO,
    QWEN_INPUT,
    QWEN_OUTPUT,
    TELNYX,
    TWILIO,
    VONAGE,
    AudioConverter,
    AudioFormat,
)
from trunkline.errors import CallRejected
from trunkline.gateway.call import CallSession
from trunkline.gateway.config import CallInfo, GatewayConfig, PipelineMode, ProviderName
from trunkline.gateway.gateway import Gateway
from trunkline.gateway.gc_pacing import pace_garbage_collection
from trunkline.pipeline import Event, EventType, Metrics, ToolCall, Turn
from trunkline.realtime.config import RealtimeConfig, RealtimeProviderFactory

Session = CallSession

__all__ = [
    "GEMINI_INPUT",
    "GEMINI_OUTPUT",
    "LIVEKIT",
    "OPENAI",
    "PLIVO",
    "QWEN_INPUT",
    "QWEN_OUTPUT",
    "TELNYX",
    "TWILIO",
    "VONAGE",
    "AudioConverter",
    "AudioFormat",
    "CallInfo",
    "CallRejected",
    "CallSession",
    "Event",
    "EventType",
    "Gateway",
    "GatewayConfig",
    "Metrics",
    "PipelineMode",
    "ProviderName",
    "RealtimeConfig",
    "RealtimeProviderFactory",
    "Session",
    "ToolCall",
    "Turn",
    "pace_garbage_collection",
]
