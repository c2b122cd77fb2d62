"""OpenAI's Realtime API."""

from trunkline.realtime.openai.provider import (
    OpenAIRealtimeFactory,
    OpenAIRealtimeProvider,
    SemanticVad,
    ServerVad,
    SessionOptions,
    Transcription,
    TurnDetection,
    new_factory,
)

__all__ = [
    "OpenAIRealtimeFactory",
    "OpenAIRealtimeProvider",
    "SemanticVad",
    "ServerVad",
    "SessionOptions",
    "Transcription",
    "TurnDetection",
    "new_factory",
]
