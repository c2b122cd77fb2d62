"""Formats, conversion and buffers of call audio; the one door to the compiled core."""

from trunkline.audio.buffers import JitterBuffer, JitterStats, RingBuffer
from trunkline.audio.chunks import chunk_audio
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
    LIVEKIT_24K,
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
from trunkline.audio.samples import float32_to_pcm16, pcm16_to_float32, resample_pcm16
from trunkline.audio.tones import tone

__all__ = [
    "GEMINI_INPUT",
    "GEMINI_OUTPUT",
    "LIVEKIT",
    "LIVEKIT_24K",
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
    "JitterBuffer",
    "JitterStats",
    "RingBuffer",
    "StreamConverter",
    "chunk_audio",
    "convert",
    "dbfs",
    "float32_to_pcm16",
    "gemini_to_twilio",
    "openai_to_twilio",
    "pcm16_to_float32",
    "resample_pcm16",
    "rms",
    "tone",
    "twilio_to_gemini",
    "twilio_to_openai",
]
