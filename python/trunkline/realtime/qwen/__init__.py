"""Qwen-Omni-Realtime of Alibaba Cloud Model Studio (DashScope)."""

from trunkline.realtime.qwen.provider import QwenRealtimeFactory, QwenRealtimeProvider, new_factory
from trunkline.wire.realtime.qwen.session import SessionOptions, TurnDetection

__all__ = ["QwenRealtimeFactory", "QwenRealtimeProvider", "SessionOptions", "TurnDetection", "new_factory"]
