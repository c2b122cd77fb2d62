"""ElevenLabs, simulated on loopback."""

from trunkline.testing.elevenlabs.server import ElevenLabsSimulator
from trunkline.testing.vendor_simulator import SendEvent

__all__ = ["ElevenLabsSimulator", "SendEvent"]
