"""ElevenLabs, simulated on loopback."""

from trunkline.testing.elevenlabs.server import ElevenLabsSimulator

__all__ = ["ElevenLabsSimulator"]
