"""Realtime providers: voice in, voice out."""

from typing import TYPE_CHECKING, Any

from trunkline.conversation import HistoryItem
from trunkline.errors import RealtimeConnectionError, RealtimeError
from trunkline.realtime.config import RealtimeConfig, RealtimeProviderFactory, VADMode
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEnding,
    SessionEvent,
    SessionReady,
    SessionResumable,
    SessionRotated,
    SpeechStarted,
    SpeechStopped,
    ToolCallCancelled,
    ToolCallRequested,
    Usage,
    UserTranscript,
    UserTurnCommitted,
)
from trunkline.realtime.items import AudioChunk, StreamStats, Transcript
from trunkline.realtime.provider import (
    AudioStream,
    Capabilities,
    FunctionCallHandler,
    ProcessConfig,
    RealtimeProvider,
    RealtimeSession,
)
from trunkline.realtime.stream import StreamContract
from trunkline.tools.definition import FunctionDeclaration, ToolDefinition

if TYPE_CHECKING:
    from trunkline.realtime.gemini.provider import GeminiRealtimeProvider
    from trunkline.realtime.openai.provider import OpenAIRealtimeProvider, SemanticVad, ServerVad, Transcription
    from trunkline.realtime.qwen.provider import QwenRealtimeProvider
    from trunkline.realtime.reconnect import Attempt, Client, ClientStats, RealtimeClient, ReconnectPolicy, Watchdog

__all__ = [
    "AgentTranscript",
    "Attempt",
    "AudioChunk",
    "AudioReceived",
    "AudioStream",
    "Capabilities",
    "Client",
    "ClientStats",
    "ErrorReported",
    "FunctionCallHandler",
    "FunctionDeclaration",
    "GeminiRealtimeProvider",
    "HistoryItem",
    "Interrupted",
    "OpenAIRealtimeProvider",
    "ProcessConfig",
    "QwenRealtimeProvider",
    "RealtimeClient",
    "RealtimeConfig",
    "RealtimeConnectionError",
    "RealtimeError",
    "RealtimeProvider",
    "RealtimeProviderFactory",
    "RealtimeSession",
    "ReconnectPolicy",
    "ResponseFinished",
    "ResponseStarted",
    "SemanticVad",
    "ServerVad",
    "SessionEnded",
    "SessionEnding",
    "SessionEvent",
    "SessionReady",
    "SessionResumable",
    "SessionRotated",
    "SpeechStarted",
    "SpeechStopped",
    "StreamContract",
    "StreamStats",
    "ToolCallCancelled",
    "ToolCallRequested",
    "ToolDefinition",
    "Transcript",
    "Transcription",
    "Usage",
    "UserTranscript",
    "UserTurnCommitted",
    "VADMode",
    "Watchdog",
]

# What talks to a network is imported when it is asked for, with all that it needs.
_LATE = {
    "GeminiRealtimeProvider": "trunkline.realtime.gemini.provider",
    **dict.fromkeys(
        ("Attempt", "Client", "ClientStats", "RealtimeClient", "ReconnectPolicy", "Watchdog"),
        "trunkline.realtime.reconnect",
    ),
    **dict.fromkeys(
        ("OpenAIRealtimeProvider", "SemanticVad", "ServerVad", "Transcription"), "trunkline.realtime.openai.provider"
    ),
    "QwenRealtimeProvider": "trunkline.realtime.qwen.provider",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
