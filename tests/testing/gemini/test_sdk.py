"""Google's own SDK, unchanged, against the simulator over TLS; it speaks asyncio only, so it has a loop and a thread of its own."""

import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import pytest
from google import genai
from google.genai import errors, types
from websockets.exceptions import ConnectionClosed

from tests.oracles import strict_gemini_client_message, strict_gemini_server_message
from trunkline.testing import GeminiLiveSimulator
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain, tone

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The SDK's ephemeral token support is experimental"),
]

MODEL = "gemini-3.8-live"
RATE = 16000
WEATHER = {
    "name": "weather",
    "description": "Tells it.",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}},
}


async def in_a_thread(
    work: Callable[[genai.Client], Awaitable[Any]], url: str, tls: ssl.SSLContext | None, key: str = "k"
) -> Any:
    def run() -> Any:
        options: Any = {
            "base_url": url,
            "api_version": "v1alpha" if key.startswith("auth_tokens/") else "v1beta",
            "async_client_args": {"ssl": tls},
        }
        return anyio.run(work, genai.Client(api_key=key, http_options=options))

    with anyio.fail_after(20):
        return await anyio.to_thread.run_sync(run)


async def say_something(session: Any) -> None:
    pcm = bytes(RATE) + tone(600, rate=RATE) + bytes(2 * RATE)
    for start in range(0, len(pcm), 3200):
        await session.send_realtime_input(
            audio=types.Blob(data=pcm[start : start + 3200], mime_type=f"audio/pcm;rate={RATE}")
        )


async def spoken_turn(client: genai.Client) -> tuple[str, str, bytes, int]:
    config: Any = {
        "response_modalities": ["AUDIO"],
        "input_audio_transcription": {},
        "output_audio_transcription": {},
        "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}},
        "realtime_input_config": {"automatic_activity_detection": {"silence_duration_ms": 300}},
        "session_resumption": {},
    }
    heard, said, audio, tokens = "", "", b"", 0
    async with client.aio.live.connect(model=MODEL, config=config) as session:
        await say_something(session)
        async for message in session.receive():
            audio += message.data or b""
            content = message.server_content
            if content and content.input_transcription:
                heard += content.input_transcription.text or ""
            if content and content.output_transcription:
                said += content.output_transcription.text or ""
            if message.usage_metadata:
                tokens = message.usage_metadata.response_token_count or 0
    return heard, said, audio, tokens


async def tool_turn(client: genai.Client) -> str:
    config: Any = {
        "response_modalities": ["AUDIO"],
        "output_audio_transcription": {},
        "tools": [{"function_declarations": [WEATHER]}],
    }
    said = ""
    async with client.aio.live.connect(model="gemini-3.1-flash-live-preview", config=config) as session:
        await session.send_client_content(
            turns=types.Content(role="user", parts=[types.Part(text="How is the weather?")]), turn_complete=True
        )
        async for message in session.receive():
            for call in message.tool_call.function_calls or () if message.tool_call else ():
                assert call.args == {"city": "Cardiff"}
                response = types.FunctionResponse(id=call.id, name=call.name, response={"output": "rain"})
                await session.send_tool_response(function_responses=[response])
            content = message.server_content
            if content and content.output_transcription:
                said += content.output_transcription.text or ""
    return said


async def interruption(client: genai.Client) -> tuple[bool, bool]:
    interrupted = finished = False
    async with client.aio.live.connect(model=MODEL, config={"response_modalities": ["AUDIO"]}) as session:  # type: ignore[arg-type]
        await session.send_realtime_input(text="Tell me everything.")
        async for message in session.receive():
            if message.data and not interrupted:
                await say_something(session)
            content = message.server_content
            if content:
                interrupted = interrupted or bool(content.interrupted)
                finished = finished or bool(content.generation_complete)
    return interrupted, finished


async def refused(client: genai.Client) -> str:
    try:
        async with client.aio.live.connect(model=MODEL, config={"response_modalities": ["AUDIO"]}) as session:  # type: ignore[arg-type]
            await session.send_realtime_input(text="Hello?")
            async for _ in session.receive():
                pass
    except (errors.APIError, ConnectionClosed) as error:  # by whether it was sending or receiving
        return str(error)
    raise AssertionError("the key must be refused")


def rule(history: Sequence[Heard]) -> list[Say | CallTool]:
    if history[-1].role == "tool":
        return [Say(f"Expect {history[-1].text}.")]
    return [CallTool("weather", {"city": "Cardiff"})]


async def test_sdk_completes_a_spoken_turn() -> None:
    brain = ScriptedBrain(transcripts=["hello there"], answers=[[Say("Good day.")]], ms_per_character=40)
    async with GeminiLiveSimulator(brain=brain, tls=True) as vendor:
        heard, said, audio, tokens = await in_a_thread(spoken_turn, vendor.url, vendor.client_tls)
        assert (heard, said) == ("hello there", "Good day.")
        assert audio == tone(9 * 40, rate=24000)
        assert tokens == 9
        for event in vendor.sent:
            strict_gemini_server_message(json.dumps(event))


async def test_sdk_completes_a_tool_turn() -> None:
    async with GeminiLiveSimulator(brain=ScriptedBrain(answers=rule), tls=True) as vendor:
        assert await in_a_thread(tool_turn, vendor.url, vendor.client_tls) == "Expect rain."
        for event in vendor.sent:
            strict_gemini_server_message(json.dumps(event))


async def test_sdk_interrupts() -> None:
    brain = ScriptedBrain(answers=[[Say("more " * 50)]])
    async with GeminiLiveSimulator(brain=brain, tls=True, speed=1) as vendor:
        assert await in_a_thread(interruption, vendor.url, vendor.client_tls) == (True, False)


async def test_sdk_sees_a_refused_key() -> None:
    async with GeminiLiveSimulator(brain=ScriptedBrain(), tls=True, api_key="right") as vendor:
        told = await in_a_thread(refused, vendor.url, vendor.client_tls, "wrong")
        assert "API key not valid" in told


async def test_sdk_uses_an_ephemeral_token() -> None:
    brain = ScriptedBrain(transcripts=["hello there"], answers=[[Say("Good day.")]])
    async with GeminiLiveSimulator(brain=brain, tls=True, api_key="auth_tokens/abc") as vendor:
        heard, *_ = await in_a_thread(spoken_turn, vendor.url, vendor.client_tls, "auth_tokens/abc")
        assert heard == "hello there"


@pytest.mark.parametrize(
    "message",
    [
        {"setup": {"model": "models/x", "generationConfig": {"responseModality": ["AUDIO"]}}},
        {"realtimeInput": {"audio": {"data": "AA==", "mimetype": "audio/pcm"}}},
        {"setup": {"model": "models/x", "realtimeInputConfig": {"activity": "x"}}},
    ],
)
def test_oracle_refuses_unknown_keys(message: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        strict_gemini_client_message(json.dumps(message))
