"""A call from end to end: bridge, playout, interruption, events, transcript, metrics."""

from trunkline.conversation import ToolCall, Turn
from trunkline.pipeline.bridge import RealtimeBridge
from trunkline.pipeline.bridge_config import BridgeConfig
from trunkline.pipeline.events import Event, EventType
from trunkline.pipeline.interruption import InterruptionMode, InterruptionPolicy
from trunkline.pipeline.metrics import Metrics
from trunkline.pipeline.receipt import LatencyReceipt

__all__ = [
    "BridgeConfig",
    "Event",
    "EventType",
    "InterruptionMode",
    "InterruptionPolicy",
    "LatencyReceipt",
    "Metrics",
    "RealtimeBridge",
    "ToolCall",
    "Turn",
]
