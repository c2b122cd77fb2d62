"""Suites that a provider runs against itself: what every provider must do, whoever the vendor is."""

from trunkline.testing.suites.llm import LanguageModelSuite, ModelStage, ModelTrouble
from trunkline.testing.suites.realtime import RealtimeProviderSuite
from trunkline.testing.suites.realtime_stage import Scene, Trouble, Vendor
from trunkline.testing.suites.stt import SpeechToTextSuite
from trunkline.testing.suites.stt_stage import SttTrouble, SttVendor
from trunkline.testing.suites.tts import TextToSpeechSuite

__all__ = [
    "LanguageModelSuite",
    "ModelStage",
    "ModelTrouble",
    "RealtimeProviderSuite",
    "Scene",
    "SpeechToTextSuite",
    "SttTrouble",
    "SttVendor",
    "TextToSpeechSuite",
    "Trouble",
    "Vendor",
]
