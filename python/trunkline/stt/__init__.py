"""Speech to text: vendors' clients, and a local recogniser that needs no network."""

from trunkline.audio.vad import EnergyDetector, SileroDetector, VoiceActivityDetector
from trunkline.stt.deepgram import DeepgramSTT
from trunkline.stt.elevenlabs import ElevenLabsSTT
from trunkline.stt.grammar import Grammar, Match
from trunkline.stt.local import LocalRecognizer, LocalSTT
from trunkline.stt.openai import OpenAISTT
from trunkline.stt.provider import (
    ErrorReported,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    SpeechToText,
    SttCapabilities,
    SttEvent,
    SttSession,
    Transcriber,
    Transcript,
    Transcription,
    TurnEndLikely,
    TurnResumed,
)
from trunkline.stt.utterances import UtteranceOptions, utterance_session

__all__ = [
    "DeepgramSTT",
    "ElevenLabsSTT",
    "EnergyDetector",
    "ErrorReported",
    "Grammar",
    "LocalRecognizer",
    "LocalSTT",
    "Match",
    "OpenAISTT",
    "SessionEnded",
    "SileroDetector",
    "SpeechStarted",
    "SpeechStopped",
    "SpeechToText",
    "SttCapabilities",
    "SttEvent",
    "SttSession",
    "Transcriber",
    "Transcript",
    "Transcription",
    "TurnEndLikely",
    "TurnResumed",
    "UtteranceOptions",
    "VoiceActivityDetector",
    "utterance_session",
]
