"""Calls, sessions and the carriers' front doors."""

from trunkline.errors import CallRejected
from trunkline.gateway.call import CallSession
from trunkline.gateway.config import CallInfo, GatewayConfig, PipelineMode, ProviderName
from trunkline.gateway.gateway import Gateway
from trunkline.gateway.gc_pacing import pace_garbage_collection
from trunkline.pipeline import Event, EventType, Metrics, ToolCall, Turn
from trunkline.realtime.config import RealtimeProviderFactory

Session = CallSession

__all__ = [
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
    "RealtimeProviderFactory",
    "Session",
    "ToolCall",
    "Turn",
    "pace_garbage_collection",
]
