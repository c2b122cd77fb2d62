"""OpenAI's Realtime service, simulated on loopback."""

from trunkline.testing.faults import (
    Close,
    Drop,
    Duplicate,
    Fault,
    FaultAtTheDoor,
    HalfOpen,
    HangInHandshake,
    MalformedJson,
    OversizedMessage,
    RefuseUpgrade,
    Reorder,
    Slow,
    Stall,
)
from trunkline.testing.openai.faults import ErrorEvent, RateLimited
from trunkline.testing.openai.server import OpenAIRealtimeSimulator
from trunkline.testing.openai.session import Session

__all__ = [
    "Close",
    "Drop",
    "Duplicate",
    "ErrorEvent",
    "Fault",
    "FaultAtTheDoor",
    "HalfOpen",
    "HangInHandshake",
    "MalformedJson",
    "OpenAIRealtimeSimulator",
    "OversizedMessage",
    "RateLimited",
    "RefuseUpgrade",
    "Reorder",
    "Session",
    "Slow",
    "Stall",
]
