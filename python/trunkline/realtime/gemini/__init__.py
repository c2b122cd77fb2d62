"""Google's Gemini Live API."""

from trunkline.realtime.gemini.provider import (
    AutomaticActivity,
    ContextCompression,
    GeminiRealtimeFactory,
    GeminiRealtimeProvider,
    SessionOptions,
)

__all__ = [
    "AutomaticActivity",
    "ContextCompression",
    "GeminiRealtimeFactory",
    "GeminiRealtimeProvider",
    "SessionOptions",
]
