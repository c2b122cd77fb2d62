"""OpenAI's Realtime service, simulated on loopback."""

from trunkline.testing.openai_realtime.faults import Close, Drop, ErrorEvent, Fault
from trunkline.testing.openai_realtime.server import OpenAIRealtimeSimulator
from trunkline.testing.openai_realtime.session import Session

__all__ = ["Close", "Drop", "ErrorEvent", "Fault", "OpenAIRealtimeSimulator", "Session"]
