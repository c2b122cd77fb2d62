"""The vendors' official SDKs, unchanged, against the simulators: async clients where the loop allows, others in a thread."""

from base64 import b64decode
from collections.abc import Iterator

import anyio.to_thread
import httpx
import pytest
from deepgram import AsyncDeepgramClient, DeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from deepgram.speak.v1.types import SpeakV1Text
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.errors import UnprocessableEntityError
from openai import AsyncOpenAI, AuthenticationError

from trunkline.testing.deepgram import DeepgramSimulator
from trunkline.testing.elevenlabs import ElevenLabsSimulator
from trunkline.testing.faults import RefuseUpgrade
from trunkline.testing.openai_http import OpenAISimulator

# The SDKs use what websockets calls old, and leave generators to be collected.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

VOICE = "21m00Tcm4TlvDq8ikWAM"
HELLO = "Hello there."  # 12 characters, 720 ms
MULAW_BYTES = 12 * 60 * 8


def environment(url: str) -> DeepgramClientEnvironment:
    sockets = url.replace("http", "ws")
    return DeepgramClientEnvironment(base=url, production=sockets, agent=sockets, agent_rest=url)


async def test_elevenlabs_streams_over_http() -> None:
    async with ElevenLabsSimulator(api_key="test") as vendor, httpx.AsyncClient() as http:
        client = AsyncElevenLabs(api_key="test", base_url=vendor.url, httpx_client=http)
        audio = client.text_to_speech.stream(VOICE, text=HELLO, output_format="ulaw_8000")
        assert len(b"".join([chunk async for chunk in audio])) == MULAW_BYTES
        timed = client.text_to_speech.stream_with_timestamps(VOICE, text=HELLO, output_format="ulaw_8000")
        lines = [line async for line in timed]
        assert b"".join(b64decode(line.audio_base_64) for line in lines)
        assert [c for line in lines if line.alignment for c in line.alignment.characters] == list(HELLO)


async def test_elevenlabs_errors_are_read() -> None:
    async with ElevenLabsSimulator(api_key="test", voices=[VOICE]) as vendor, httpx.AsyncClient() as http:
        client = AsyncElevenLabs(api_key="wrong", base_url=vendor.url, httpx_client=http)
        with pytest.raises(ApiError) as caught:
            _ = [chunk async for chunk in client.text_to_speech.stream(VOICE, text=HELLO, output_format="ulaw_8000")]
        assert caught.value.status_code == 401
        vendor.script([RefuseUpgrade(status=422, code="validation_error", message="no")])
        with pytest.raises(UnprocessableEntityError):
            _ = [chunk async for chunk in client.text_to_speech.stream(VOICE, text=HELLO, output_format="ulaw_8000")]


async def test_elevenlabs_streams_over_a_socket() -> None:
    def speak(url: str) -> int:
        http = httpx.Client()
        client = ElevenLabs(api_key="test", base_url=url, httpx_client=http)
        client.text_to_speech._ws_base_url = url.replace("http", "ws")  # the client forces TLS otherwise

        def text() -> Iterator[str]:
            yield from ("Hello ", "there. ")

        audio = client.text_to_speech.convert_realtime(VOICE, text=text(), output_format="ulaw_8000")
        with http:
            return len(b"".join(audio))

    async with ElevenLabsSimulator() as vendor:
        length = await anyio.to_thread.run_sync(speak, vendor.url)
        assert length >= MULAW_BYTES
        assert " ".join(vendor.voice.spoken) == HELLO
        assert vendor.received[0]["text"] == " "
        assert vendor.received[-1] == {"text": ""}


async def test_openai_streams_speech() -> None:
    async with OpenAISimulator(api_key="test") as vendor:
        async with AsyncOpenAI(api_key="test", base_url=vendor.url, max_retries=0) as client:
            asked = client.audio.speech.with_streaming_response.create(
                model="gpt-4o-mini-tts", voice="alloy", input=HELLO, response_format="pcm", instructions="Calm."
            )
            async with asked as response:
                assert len(await response.read()) == 12 * 60 * 48
            events = client.audio.speech.with_streaming_response.create(
                model="gpt-4o-mini-tts", voice="nova", input=HELLO, response_format="pcm", stream_format="sse"
            )
            async with events as response:
                assert "speech.audio.done" in (await response.read()).decode()
        async with AsyncOpenAI(api_key="wrong", base_url=vendor.url, max_retries=0) as client:
            with pytest.raises(AuthenticationError):
                await client.audio.speech.create(
                    model="gpt-4o-mini-tts", voice="alloy", input=HELLO, response_format="pcm"
                )


async def test_deepgram_streams_over_http() -> None:
    async with DeepgramSimulator(api_key="test") as vendor, httpx.AsyncClient() as http:
        client = AsyncDeepgramClient(api_key="test", environment=environment(vendor.url), httpx_client=http)
        audio = client.speak.v1.audio.generate(
            text=HELLO, model="aura-2-thalia-en", encoding="mulaw", sample_rate=8000, container="none"
        )
        assert len(b"".join([chunk async for chunk in audio])) == MULAW_BYTES


async def test_deepgram_speaks_over_a_socket() -> None:
    def speak(url: str) -> tuple[list[str], int]:
        http = httpx.Client()
        client = DeepgramClient(api_key="test", environment=environment(url), httpx_client=http)
        kinds: list[str] = []
        length = 0
        with http, client.speak.v1.connect(model="aura-2-thalia-en", encoding="mulaw", sample_rate=8000) as line:
            line.send_text(SpeakV1Text(text=HELLO))
            line.send_flush()
            while "Flushed" not in kinds:
                message = line.recv()
                if isinstance(message, bytes):
                    length += len(message)
                else:
                    kinds.append(message.type)
            line.send_clear()
            while "Cleared" not in kinds:
                message = line.recv()
                if not isinstance(message, bytes):
                    kinds.append(message.type)
            line.send_close()
        return kinds, length

    async with DeepgramSimulator(api_key="test") as vendor:
        kinds, length = await anyio.to_thread.run_sync(speak, vendor.url)
        assert kinds == ["Metadata", "Flushed", "Cleared"]
        assert length == MULAW_BYTES
