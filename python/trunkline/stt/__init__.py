"""Speech to text: vendors' clients, and a local recogniser that needs no network."""

from trunkline.stt.grammar import Grammar, Match
from trunkline.stt.local import LocalRecognizer
from trunkline.stt.vad import EnergyDetector, SileroDetector, VoiceActivityDetector

__all__ = ["EnergyDetector", "Grammar", "LocalRecognizer", "Match", "SileroDetector", "VoiceActivityDetector"]
