"""Google's Gemini Live service, simulated on loopback."""

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
from trunkline.testing.gemini.codec import GoAway
from trunkline.testing.gemini.server import GeminiLiveSimulator
from trunkline.testing.gemini.session import Session

__all__ = [
    "Close",
    "Drop",
    "Duplicate",
    "Fault",
    "FaultAtTheDoor",
    "GeminiLiveSimulator",
    "GoAway",
    "HalfOpen",
    "HangInHandshake",
    "MalformedJson",
    "OversizedMessage",
    "RefuseUpgrade",
    "Reorder",
    "Session",
    "Slow",
    "Stall",
]
