"""Buffers between the task that produces audio and the one that plays it."""

from trunkline._native._rust import JitterBuffer, JitterStats, RingBuffer

__all__ = ["JitterBuffer", "JitterStats", "RingBuffer"]
