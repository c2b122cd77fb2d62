"""Buffers between the task that produces audio and the one that plays it."""

from trunkline._native._rust import RingBuffer

__all__ = ["RingBuffer"]
