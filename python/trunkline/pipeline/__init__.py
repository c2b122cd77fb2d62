"""A call from end to end: bridge, playout, interruption, events, transcript, metrics."""

from trunkline.conversation import ToolCall, Turn
from trunkline.pipeline.barge_in import InterruptionMode, InterruptionPolicy
from trunkline.pipeline.bridge import RealtimeBridge
from trunkline.pipeline.config import BridgeConfig
from trunkline.pipeline.events import Event, EventType
from trunkline.pipeline.latency import TurnLatency
from trunkline.pipeline.metrics import Metrics

__all__ = [
    "BridgeConfig",
    "Event",
    "EventType",
    "InterruptionMode",
    "InterruptionPolicy",
    "Metrics",
    "RealtimeBridge",
    "ToolCall",
    "Turn",
    "TurnLatency",
]
