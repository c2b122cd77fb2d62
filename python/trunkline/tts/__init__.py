"""Text to speech: vendors' clients, and a local voice that needs no network."""

from trunkline.tts.deepgram import DeepgramTTS
from trunkline.tts.elevenlabs import ElevenLabsTTS
from trunkline.tts.local import LocalSynthesizer, LocalTTS, Speech
from trunkline.tts.openai import OpenAITTS
from trunkline.tts.provider import (
    SpeechCapabilities,
    SpeechPiece,
    SpeechSession,
    SpokenWord,
    TextToSpeech,
    Utterance,
    synthesize,
)

__all__ = [
    "DeepgramTTS",
    "ElevenLabsTTS",
    "LocalSynthesizer",
    "LocalTTS",
    "OpenAITTS",
    "Speech",
    "SpeechCapabilities",
    "SpeechPiece",
    "SpeechSession",
    "SpokenWord",
    "TextToSpeech",
    "Utterance",
    "synthesize",
]
