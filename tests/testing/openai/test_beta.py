"""The beta interface (§14), judged by the official SDK's beta types."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import anyio.to_thread
import pytest
from openai import OpenAI
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

from tests.testing.openai.rig import Event, ToneBrain, kinds, tone
from tests.testing.openai.test_sdk import rule, until
from trunkline.testing.brain import Say
from trunkline.testing.openai import OpenAIRealtimeSimulator
from trunkline.transport import WebSocketConnection, connect_websocket

pytestmark = pytest.mark.anyio

_SERVER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
# Seen in recordings of the session (§14), and not in the SDK's types.
_SEEN = {"session.object", "session.client_secret", "session.expires_at"}
MODEL = "gpt-4o-realtime-preview-2024-12-17"


def strict(events: Sequence[Event]) -> None:
    for event in events:
        extras = _extras(_SERVER.validate_python(event), "") - _SEEN
        assert not extras, (event["type"], extras)


def _extras(value: Any, path: str) -> set[str]:
    if isinstance(value, BaseModel):
        found = {f"{path}.{name}".lstrip(".") for name in value.model_extra or {}}
        return found.union(*(_extras(getattr(value, name), f"{path}.{name}") for name in type(value).model_fields))
    if isinstance(value, list):
        return set().union(*(_extras(element, path) for element in value))
    return set()


async def ask(socket: WebSocketConnection, event: Event, last: str) -> list[Event]:
    await socket.send(json.dumps(event))
    told: list[Event] = [json.loads(await socket.receive())]
    while told[-1]["type"] not in {last, "error"}:
        told.append(json.loads(await socket.receive()))
    return told


async def test_a_turn_in_the_betas_order() -> None:
    vendor = OpenAIRealtimeSimulator(brain=ToneBrain(), dialect="beta", transcription_delay=0)
    headers = [("Authorization", "Bearer k"), ("OpenAI-Beta", "realtime=v1")]
    async with vendor, connect_websocket(f"{vendor.url}/realtime?model={MODEL}", headers=headers) as socket:
        created, conversation = [json.loads(await socket.receive()) for _ in range(2)]
        assert {**created["session"], "instructions": ""} == {
            "object": "realtime.session",
            "id": vendor.sessions[0].id,
            "model": MODEL,
            "modalities": ["audio", "text"],
            "instructions": "",
            "voice": "alloy",
            "speed": 1.0,
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "input_audio_transcription": None,
            "input_audio_noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "create_response": True,
                "interrupt_response": True,
            },
            "tools": [],
            "tool_choice": "auto",
            "temperature": 0.8,
            "max_response_output_tokens": "inf",
            "tracing": None,
            "client_secret": None,
            "expires_at": created["session"]["expires_at"],
        }
        assert conversation["type"] == "conversation.created"
        audio = base64.b64encode(bytes(48 * 400) + tone(600) + bytes(48 * 700)).decode()
        turn = await ask(socket, {"type": "input_audio_buffer.append", "audio": audio}, "response.done")
        speech = {"response.audio_transcript.delta", "response.audio.delta"}
        assert [kind for kind in kinds(turn) if kind not in speech] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.created",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.created",
            "response.content_part.added",
            "response.audio.done",
            "response.audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
        done = turn[-1]["response"]
        assert (done["modalities"], done["voice"], done["output_audio_format"]) == (["audio", "text"], "alloy", "pcm16")
        assert done["output"][0]["content"] == [{"type": "audio", "transcript": "It is sunny today."}]
        assert done["conversation_id"] == conversation["conversation"]["id"]
        strict(vendor.sent)


async def test_a_flat_session_is_updated_and_refused_by_its_flat_names() -> None:
    vendor = OpenAIRealtimeSimulator(brain=ToneBrain(lambda *_: [Say("Yes.")]), dialect="beta")
    headers = [("Authorization", "Bearer k")]
    async with vendor, connect_websocket(f"{vendor.url}/realtime?model={MODEL}", headers=headers) as socket:
        wanted = {
            "modalities": ["text"],
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": None,
            "temperature": 0.6,
            "max_response_output_tokens": 99,
        }
        *_, updated = await ask(socket, {"type": "session.update", "session": wanted}, "session.updated")
        transcription = {"model": "whisper-1", "language": None, "prompt": None}
        assert updated["session"] | wanted | {"input_audio_transcription": transcription} == updated["session"]
        assert vendor.sessions[0].settings["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        seeded = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello."}]}
        *_, item = await ask(socket, {"type": "conversation.item.create", "item": seeded}, "conversation.item.created")
        assert item["item"]["content"] == [{"type": "text", "text": "Hello."}]
        options = {"modalities": ["text"], "temperature": 1.2, "input": [seeded]}
        *_, done = await ask(socket, {"type": "response.create", "response": options}, "response.done")
        assert done["response"]["output"][0]["content"] == [{"type": "text", "text": "Yes."}]
        for session, param in [
            ({"audio": {}}, "session.audio"),
            ({"modalities": ["audio"]}, "session.modalities"),
            ({"input_audio_format": "opus"}, "session.input_audio_format"),
            ({"temperature": 2}, "session.temperature"),
            ({"turn_detection": {"type": "server_vad", "threshold": 7}}, "session.turn_detection.threshold"),
        ]:
            *_, refused = await ask(socket, {"type": "session.update", "session": session}, "error")
            assert refused["error"]["param"] == param
        strict(vendor.sent)


def function_call(url: str) -> str:
    address = f"ws{url.removeprefix('http')}"
    with (
        OpenAI(api_key="sk-test", websocket_base_url=address) as client,
        client.beta.realtime.connect(model=MODEL) as line,
    ):
        tool: Any = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
        line.session.update(session={"modalities": ["text"], "tools": [tool]})
        line.response.create()
        call = until(line, "response.function_call_arguments.done")[-1]  # type: ignore[arg-type]
        until(line, "response.done")  # type: ignore[arg-type]
        line.conversation.item.create(item={"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
        line.response.create()
        done = until(line, "response.done")[-1]  # type: ignore[arg-type]
        return str(done.response.output[0].content[0].text)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_sdks_beta_client_completes_a_function_call() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain(rule), dialect="beta") as vendor:
        assert await anyio.to_thread.run_sync(function_call, vendor.url) == "Expect rain."
        strict(vendor.sent)


async def test_there_are_no_transcription_sessions() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain(), dialect="beta") as vendor:
        url = f"{vendor.url}/realtime?intent=transcription"
        async with connect_websocket(url, headers=[("Authorization", "Bearer k")]) as socket:
            assert json.loads(await socket.receive())["error"]["code"] == "invalid_intent"
