"""Every engine passes the suite, against its vendor on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from trunkline.testing.deepgram import DeepgramSimulator
from trunkline.testing.elevenlabs import ElevenLabsSimulator
from trunkline.testing.invented_speech import Voice
from trunkline.testing.openai_http import OpenAISimulator
from trunkline.testing.suites.tts import TextToSpeechSuite
from trunkline.tts import DeepgramTTS, ElevenLabsTTS, LocalTTS, OpenAITTS, TextToSpeech

pytestmark = pytest.mark.anyio


class TestElevenLabsOverSockets(TextToSpeechSuite):
    @asynccontextmanager
    async def engine(self) -> AsyncIterator[TextToSpeech]:
        async with ElevenLabsSimulator() as vendor:
            yield ElevenLabsTTS(api_key="any", base_url=vendor.url, proxy=None)


class TestElevenLabsInTheOtherSpelling(TextToSpeechSuite):
    @asynccontextmanager
    async def engine(self) -> AsyncIterator[TextToSpeech]:
        async with ElevenLabsSimulator(voice=Voice(snake_case=True, message_ms=60)) as vendor:
            yield ElevenLabsTTS(api_key="any", base_url=vendor.url, proxy=None)


class TestElevenLabsOverHttp(TextToSpeechSuite):
    @asynccontextmanager
    async def engine(self) -> AsyncIterator[TextToSpeech]:
        async with ElevenLabsSimulator() as vendor:
            tts = ElevenLabsTTS(api_key="any", base_url=vendor.url, transport="http", proxy=None)
            yield tts
            await tts.aclose()


class TestDeepgramOverSockets(TextToSpeechSuite):
    @asynccontextmanager
    async def engine(self) -> AsyncIterator[TextToSpeech]:
        async with DeepgramSimulator() as vendor:
            yield DeepgramTTS(api_key="any", base_url=vendor.url, proxy=None)


class TestDeepgramOverHttp(TextToSpeechSuite):
    @asynccontextmanager
    async def engine(self) -> AsyncIterator[TextToSpeech]:
        async with DeepgramSimulator() as vendor:
            tts = DeepgramTTS(api_key="any", base_url=vendor.url, transport="http", proxy=None)
            yield tts
            await tts.aclose()


class TestOpenAI(TextToSpeechSuite):
    @asynccontextmanager
    async def engine(self) -> AsyncIterator[TextToSpeech]:
        async with OpenAISimulator() as vendor:
            tts = OpenAITTS(api_key="any", base_url=vendor.url, proxy=None)
            yield tts
            await tts.aclose()


class TestLocal(TextToSpeechSuite):
    @asynccontextmanager
    async def engine(self) -> AsyncIterator[TextToSpeech]:
        yield LocalTTS()
