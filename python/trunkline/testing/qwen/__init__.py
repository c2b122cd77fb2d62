"""Alibaba Cloud's Qwen-Omni-Realtime, simulated on loopback; its faults are those of `trunkline.testing.openai`, and two of its own."""

from trunkline.testing.qwen.faults import quota_used_up, throttled
from trunkline.testing.qwen.server import QwenOmniSimulator

__all__ = ["QwenOmniSimulator", "quota_used_up", "throttled"]
