"""How loud linear audio is."""

from trunkline._native._rust import dbfs, rms

__all__ = ["dbfs", "rms"]
