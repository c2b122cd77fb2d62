"""Text to speech: vendors' clients, and a local voice that needs no network."""

from trunkline.tts.local import LocalSynthesizer, Speech, SpokenWord

__all__ = ["LocalSynthesizer", "Speech", "SpokenWord"]
