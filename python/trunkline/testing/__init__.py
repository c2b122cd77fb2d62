"""Simulators of carriers and vendors, for your tests and ours."""

from trunkline.testing.anthropic import AnthropicSimulator
from trunkline.testing.brain import Brain, CallTool, Heard, Say, ScriptedBrain
from trunkline.testing.deepgram import DeepgramSimulator
from trunkline.testing.elevenlabs import ElevenLabsSimulator
from trunkline.testing.gemini import GeminiLiveSimulator
from trunkline.testing.local.brain import LocalBrain
from trunkline.testing.openai import OpenAIRealtimeSimulator
from trunkline.testing.openai_http import OpenAISimulator
from trunkline.testing.qwen import QwenOmniSimulator
from trunkline.testing.twilio.caller import TwilioCaller
from trunkline.testing.twilio.rest import TwilioSimulator

__all__ = [
    "AnthropicSimulator",
    "Brain",
    "CallTool",
    "DeepgramSimulator",
    "ElevenLabsSimulator",
    "GeminiLiveSimulator",
    "Heard",
    "LocalBrain",
    "OpenAIRealtimeSimulator",
    "OpenAISimulator",
    "QwenOmniSimulator",
    "Say",
    "ScriptedBrain",
    "TwilioCaller",
    "TwilioSimulator",
]
