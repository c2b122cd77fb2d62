"""Speech to text: vendors' clients, and a local recogniser that needs no network."""

from trunkline.audio.vad import EnergyDetector, SileroDetector, VoiceActivityDetector
from trunkline.stt.grammar import Grammar, Match
from trunkline.stt.local import LocalRecognizer

__all__ = ["EnergyDetector", "Grammar", "LocalRecognizer", "Match", "SileroDetector", "VoiceActivityDetector"]
