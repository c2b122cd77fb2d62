"""The official SDK, unchanged: its two clients in a thread of their own, the simulator on either backend."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import anyio
import anyio.to_thread
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import RealtimeConnection

from tests.oracles import strict_server_event
from tests.testing.openai.rig import ToneBrain, tone
from trunkline.testing.brain import CallTool, Heard, Say, Tools
from trunkline.testing.openai import OpenAIRealtimeSimulator

pytestmark = pytest.mark.anyio


def until(connection: RealtimeConnection, kind: str) -> list[Any]:
    received: list[Any] = [connection.recv()]
    while received[-1].type != kind:
        received.append(connection.recv())
    return received


def spoken_turn(url: str) -> tuple[str, bytes]:
    with OpenAI(api_key="sk-test", base_url=url) as client, client.realtime.connect(model="gpt-realtime-2.1") as line:
        assert line.recv().type == "session.created"
        line.session.update(session={"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}})
        assert line.recv().type == "session.updated"
        for piece in (bytes(48 * 400), tone(600), bytes(48 * 700)):
            line.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
        events = until(line, "response.done")
        heard = [event for event in events if event.type == "conversation.item.input_audio_transcription.completed"]
        heard = heard or until(line, "conversation.item.input_audio_transcription.completed")
        audio = [base64.b64decode(event.delta) for event in events if event.type == "response.output_audio.delta"]
        return heard[-1].transcript, b"".join(audio)


def function_call(url: str) -> str:
    with OpenAI(api_key="sk-test", base_url=url) as client, client.realtime.connect(model="gpt-realtime-2.1") as line:
        line.session.update(
            session={
                "type": "realtime",
                "output_modalities": ["text"],
                "tools": [
                    {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
                ],
            }
        )
        content: Any = [{"type": "input_text", "text": "What is the weather?"}]
        line.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        line.response.create()
        call = until(line, "response.function_call_arguments.done")[-1]
        assert (call.name, call.arguments) == ("get_weather", '{"city": "London"}')
        until(line, "response.done")
        line.conversation.item.create(item={"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
        line.response.create()
        done = until(line, "response.done")[-1]
        return str(done.response.output[0].content[0].text)


def cancel(url: str) -> tuple[str, str]:
    with OpenAI(api_key="sk-test", base_url=url) as client, client.realtime.connect(model="gpt-realtime-2.1") as line:
        line.response.create()
        item_id = until(line, "response.output_audio.delta")[-1].item_id
        line.response.cancel()
        done = until(line, "response.done")[-1]
        line.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=40)
        until(line, "conversation.item.truncated")
        return done.response.status, done.response.status_details.reason


def truncate(url: str) -> tuple[Any, int]:
    """What the model remembers of an answer of which 250 ms were heard: its words, and how much of its audio."""
    with OpenAI(api_key="sk-test", base_url=url) as client, client.realtime.connect(model="gpt-realtime-2.1") as line:
        line.response.create()
        item = until(line, "response.done")[-1].response.output[0]
        line.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=250)
        told = until(line, "conversation.item.truncated")[-1]
        assert (told.item_id, told.audio_end_ms) == (item.id, 250)
        line.conversation.item.retrieve(item_id=item.id)
        (content,) = until(line, "conversation.item.retrieved")[-1].item.content
        return content.transcript, len(base64.b64decode(content.audio))


async def turns_of_the_async_client(url: str) -> list[str]:
    said: list[str] = []
    async with (
        AsyncOpenAI(api_key="sk-test", base_url=url) as client,
        client.realtime.connect(model="gpt-realtime-2.1") as line,
    ):
        await line.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        for _ in range(2):
            await line.response.create()
            async for event in line:
                if event.type == "response.output_text.done":
                    said.append(event.text)
                if event.type == "response.done":
                    break
    return said


def rule(history: Sequence[Heard], tools: Tools) -> list[Say | CallTool]:
    if history and history[-1].role == "tool":
        return [Say(f"Expect {history[-1].text}.")]
    return [CallTool("get_weather", {"city": "London"})] if tools else [Say("more " * 50)]


async def test_the_sdk_completes_a_spoken_turn() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain(), transcription_delay=0.05) as vendor:
        heard, audio = await anyio.to_thread.run_sync(spoken_turn, vendor.url)
        assert heard == "what is the weather"
        assert audio == tone(400)
        for event in vendor.sent:
            strict_server_event(json.dumps(event))


async def test_the_sdk_completes_a_function_call() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain(rule)) as vendor:
        assert await anyio.to_thread.run_sync(function_call, vendor.url) == "Expect rain."


async def test_the_sdk_cancels_and_truncates() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain(rule), speed=1, chunk_ms=50) as vendor:
        assert await anyio.to_thread.run_sync(cancel, vendor.url) == ("cancelled", "client_cancelled")


async def test_the_sdk_truncates_what_was_not_heard() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        assert await anyio.to_thread.run_sync(truncate, vendor.url) == (None, 250 * 48)


async def test_the_sdks_async_client() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        said = await anyio.to_thread.run_sync(anyio.run, turns_of_the_async_client, vendor.url)
        assert said == ["It is sunny today."] * 2
