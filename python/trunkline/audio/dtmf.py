"""The keys of a telephone as tones (ITU-T Q.23), made and recognised (ITU-T Q.24)."""

from trunkline._native._rust import DtmfDetector, generate

__all__ = ["DtmfDetector", "generate"]
