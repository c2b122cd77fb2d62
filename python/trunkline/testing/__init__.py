"""Simulators of carriers and vendors, for your tests and ours."""

from trunkline.testing.brain import Brain, CallTool, Heard, Say, ScriptedBrain
from trunkline.testing.gemini import GeminiLiveSimulator
from trunkline.testing.local.brain import LocalBrain
from trunkline.testing.openai import OpenAIRealtimeSimulator
from trunkline.testing.qwen import QwenOmniSimulator
from trunkline.testing.twilio.caller import TwilioCaller
from trunkline.testing.twilio.rest import TwilioSimulator

__all__ = [
    "Brain",
    "CallTool",
    "GeminiLiveSimulator",
    "Heard",
    "LocalBrain",
    "OpenAIRealtimeSimulator",
    "QwenOmniSimulator",
    "Say",
    "ScriptedBrain",
    "TwilioCaller",
    "TwilioSimulator",
]
