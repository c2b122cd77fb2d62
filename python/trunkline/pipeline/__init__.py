"""A call from end to end: bridge, playout, interruption, events, transcript, metrics."""

from trunkline.conversation import ToolCall, Turn
from trunkline.pipeline.bridge import BridgeConfig, RealtimeBridge
from trunkline.pipeline.events import Event, EventType
from trunkline.pipeline.metrics import Metrics

__all__ = ["BridgeConfig", "Event", "EventType", "Metrics", "RealtimeBridge", "ToolCall", "Turn"]
