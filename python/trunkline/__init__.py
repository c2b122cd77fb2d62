"""An AI voice agent on a telephone line.

The names that people use daily are here; each package below has the rest. Nothing is imported until it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunkline.audio import AudioFormat, StreamConverter
    from trunkline.errors import CallRejected, ProviderError, TrunklineError
    from trunkline.gateway import (
        CallInfo,
        CallSession,
        get_gateway_provider,
        has_gateway_provider,
        list_gateway_providers,
        register_gateway_provider,
        with_api_key,
        with_extension,
    )
    from trunkline.gateway.twilio import TwilioGateway
    from trunkline.pipeline import BridgeConfig, Event, EventType, Metrics, RealtimeBridge, ToolCall, Turn
    from trunkline.realtime import OpenAIRealtimeProvider, ProcessConfig, RealtimeConfig
    from trunkline.tools import FunctionDeclaration, ToolDefinition

__all__ = [
    "AudioFormat",
    "BridgeConfig",
    "CallInfo",
    "CallRejected",
    "CallSession",
    "Event",
    "EventType",
    "FunctionDeclaration",
    "Metrics",
    "OpenAIRealtimeProvider",
    "ProcessConfig",
    "ProviderError",
    "RealtimeBridge",
    "RealtimeConfig",
    "StreamConverter",
    "ToolCall",
    "ToolDefinition",
    "TrunklineError",
    "Turn",
    "TwilioGateway",
    "get_gateway_provider",
    "has_gateway_provider",
    "list_gateway_providers",
    "register_gateway_provider",
    "with_api_key",
    "with_extension",
]

_HOMES = {
    "trunkline.audio": ("AudioFormat", "StreamConverter"),
    "trunkline.errors": ("CallRejected", "ProviderError", "TrunklineError"),
    "trunkline.gateway": (
        "CallInfo",
        "CallSession",
        "get_gateway_provider",
        "has_gateway_provider",
        "list_gateway_providers",
        "register_gateway_provider",
        "with_api_key",
        "with_extension",
    ),
    "trunkline.gateway.twilio": ("TwilioGateway",),
    "trunkline.pipeline": ("BridgeConfig", "Event", "EventType", "Metrics", "RealtimeBridge", "ToolCall", "Turn"),
    "trunkline.realtime": ("OpenAIRealtimeProvider", "ProcessConfig", "RealtimeConfig"),
    "trunkline.tools": ("FunctionDeclaration", "ToolDefinition"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
