"""Formats, conversion and buffers of call audio; the one door to the compiled core."""

from trunkline.audio.buffers import RingBuffer
from trunkline.audio.converter import (
    AudioConverter,
    Converter,
    StreamConverter,
    convert,
    gemini_to_twilio,
    openai_to_twilio,
    twilio_to_gemini,
    twilio_to_openai,
)
from trunkline.audio.data import AudioData
from trunkline.audio.formats import (
    GEMINI_INPUT,
    GEMINI_OUTPUT,
    LIVEKIT,
    OPENAI,
    PLIVO,
    QWEN_INPUT,
    QWEN_OUTPUT,
    SAMPLE_RATES,
    TELNYX,
    TWILIO,
    VONAGE,
    AudioFormat,
    Encoding,
)
from trunkline.audio.level import dbfs, rms

__all__ = [
    "GEMINI_INPUT",
    "GEMINI_OUTPUT",
    "LIVEKIT",
    "OPENAI",
    "PLIVO",
    "QWEN_INPUT",
    "QWEN_OUTPUT",
    "SAMPLE_RATES",
    "TELNYX",
    "TWILIO",
    "VONAGE",
    "AudioConverter",
    "AudioData",
    "AudioFormat",
    "Converter",
    "Encoding",
    "RingBuffer",
    "StreamConverter",
    "convert",
    "dbfs",
    "gemini_to_twilio",
    "openai_to_twilio",
    "rms",
    "twilio_to_gemini",
    "twilio_to_openai",
]
