"""Calls, sessions and the carriers' front doors."""

from trunkline.errors import CallRejected
from trunkline.gateway.config import CallInfo, GatewayConfig, PipelineMode, ProviderName
from trunkline.gateway.garbage import pace_garbage_collection
from trunkline.gateway.gateway import Gateway
from trunkline.gateway.session import CallSession
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
