"""Pure tones, for tests and signals."""

from trunkline._native._rust import tone

__all__ = ["tone"]
