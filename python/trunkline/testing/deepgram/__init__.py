"""Deepgram, simulated on loopback."""

from trunkline.testing.deepgram.server import DeepgramSimulator

__all__ = ["DeepgramSimulator"]
