"""Deepgram, simulated on loopback."""

from trunkline.testing.deepgram.server import DeepgramSimulator
from trunkline.testing.vendor_simulator import SendEvent

__all__ = ["DeepgramSimulator", "SendEvent"]
