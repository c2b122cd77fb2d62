"""The official SDK, unchanged: its two interfaces in a thread of their own, the simulator on either backend."""

import base64
import json
import queue
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest
from dashscope import Client
from dashscope.audio.qwen_omni import MultiModality, OmniRealtimeCallback, OmniRealtimeConversation

from tests.testing.openai.rig import ToneBrain, tone
from trunkline.audio import AudioFormat
from trunkline.realtime.events import AudioReceived, ResponseFinished, ToolCallRequested, UserTranscript
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.qwen import QwenRealtimeProvider, TurnDetection
from trunkline.testing.brain import CallTool, Heard, Say, Tools
from trunkline.testing.qwen import QwenOmniSimulator
from trunkline.testing.suites.realtime_listener import Listener
from trunkline.tools.definition import ToolDefinition

pytestmark = pytest.mark.anyio

MODEL = "qwen3.5-omni-flash-realtime"
NEWEST = "qwen3.8-omni-flash-realtime"
BOTH = [MultiModality.TEXT, MultiModality.AUDIO]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "", "parameters": SCHEMA}}
INPUT = 32
"""Bytes of a millisecond of the user's audio."""


class Heart(OmniRealtimeCallback):
    """Keeps what the SDK passes on."""

    def __init__(self) -> None:
        self.coming: queue.Queue[dict[str, Any]] = queue.Queue()

    def on_event(self, message: Any) -> None:
        self.coming.put(message)

    def until(self, kind: str) -> list[dict[str, Any]]:
        received = [self.coming.get(timeout=5)]
        while received[-1]["type"] != kind:
            received.append(self.coming.get(timeout=5))
        return received


class Classic:
    """A conversation of the older interface."""

    def __init__(self, url: str, model: str = MODEL, **session: Any) -> None:
        self.heart = Heart()
        self.line = OmniRealtimeConversation(model=model, callback=self.heart, url=url, api_key="sk-test")
        self.line.connect()
        self.heart.until("session.created")
        session = {"voice": "Tina", "input_audio_transcription_model": "qwen3-asr-flash-realtime", **session}
        self.line.update_session(output_modalities=BOTH, **session)
        self.updated = self.heart.until("session.updated")[-1]["session"]

    def speak(self) -> None:
        for piece in (bytes(INPUT * 400), tone(600, rate=16000), bytes(INPUT * 1000)):
            self.line.append_audio(base64.b64encode(piece).decode())

    def close(self) -> None:
        self.line.close()
        self.line.thread.join(5)


def audio_of(events: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(event["delta"]) for event in events if event["type"] == "response.audio.delta")


def rule(history: Sequence[Heard], tools: Tools) -> list[Say | CallTool]:
    if history and history[-1].role == "tool":
        return [Say(f"Expect {history[-1].text}.")]
    return [CallTool("get_weather", {"city": "London"})] if tools else [Say("more " * 50)]


# ── the classic interface ────────────────────────────────────────────────────────────────────────────────────────────


def spoken_turn(url: str) -> tuple[str, list[dict[str, Any]]]:
    call = Classic(url)
    call.speak()
    events = call.heart.until("response.done")
    call.close()
    heard = [e for e in events if e["type"] == "conversation.item.input_audio_transcription.completed"]
    return heard[-1]["transcript"], events


async def test_the_sdk_completes_a_spoken_turn() -> None:
    async with QwenOmniSimulator(brain=ToneBrain(), transcription_delay=0, speed=4) as vendor:
        heard, events = await anyio.to_thread.run_sync(spoken_turn, vendor.sdk_url)
    assert heard == "what is the weather"
    assert audio_of(events) == tone(400)
    kinds = list(dict.fromkeys(event["type"] for event in events if "transcription" not in event["type"]))
    assert kinds == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.audio_transcript.delta",
        "response.audio.delta",
        "response.audio_transcript.done",
        "response.audio.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.done",
    ]
    usage = events[-1]["response"]["usage"]
    assert usage["input_tokens_details"]["audio_tokens"] > 0
    assert "input_token_details" not in usage


def interruption(url: str) -> tuple[str, str]:
    """The first answer's id, and that of the answer to what the user said over it."""
    call = Classic(url)
    call.speak()
    first = call.heart.until("response.audio.delta")[-1]["response_id"]
    call.speak()
    call.heart.until("input_audio_buffer.speech_started")
    rest = call.heart.until("response.created")
    late = [event for event in rest if event["type"] == "response.audio.delta"]
    assert len(late) <= 1
    assert not [event for event in rest if event["type"] == "response.done"]
    second = rest[-1]["response"]["id"]
    call.heart.until("response.audio.delta")
    call.line.cancel_response()
    call.heart.until("response.output_item.done")
    call.close()
    return first, second


async def test_the_sdk_interrupts_an_answer() -> None:
    async with QwenOmniSimulator(brain=ToneBrain(rule), transcription_delay=0, speed=1, chunk_ms=50) as vendor:
        first, second = await anyio.to_thread.run_sync(interruption, vendor.sdk_url)
    assert first != second


def tool_turn(url: str) -> list[str]:
    call = Classic(url, tools=[TOOL], turn_detection_type="semantic_vad")
    assert call.updated["turn_detection"]["type"] == "semantic_vad"
    call.line.create_item({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]})
    call.heart.until("conversation.item.created")
    call.line.create_response()
    events = call.heart.until("response.done")
    done = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    for made in done:
        call.line.create_item({"type": "function_call_output", "call_id": made["call_id"], "output": made["name"]})
        call.heart.until("conversation.item.created")
    call.line.create_response()
    said = call.heart.until("response.audio_transcript.done")[-1]["transcript"]
    call.heart.until("response.done")
    call.close()
    pieces = [e["output_index"] for e in events if e["type"] == "response.function_call_arguments.delta"]
    return [said, *(made["call_id"] for made in done), *map(str, sorted(set(pieces)))]


async def test_the_sdk_answers_two_calls_of_one_response() -> None:
    def both(history: Sequence[Heard], tools: Tools) -> list[Say | CallTool]:
        asked = [CallTool("get_weather", {"city": "London"}), CallTool("get_weather", {"city": "Rome"})]
        return [Say("Both are fine.")] if history[-1].role == "tool" else [Say("Let me see."), *asked]

    async with QwenOmniSimulator(brain=ToneBrain(both)) as vendor:
        said, first, second, *with_deltas = await anyio.to_thread.run_sync(tool_turn, vendor.sdk_url)
    assert said == "Both are fine."
    assert first != second
    assert len(first) == len("call_") + 24
    assert with_deltas == ["0"]


def finished(url: str, model: str) -> str:
    call = Classic(url, model, voice="Tina")
    try:
        call.line.end_session(timeout=3)
    except RuntimeError as refused:
        return str(refused)
    finally:
        call.close()
    return "finished"


async def test_the_sdk_finishes_a_session_where_the_model_knows_how() -> None:
    async with QwenOmniSimulator(brain=ToneBrain()) as vendor:
        assert await anyio.to_thread.run_sync(finished, vendor.sdk_url, NEWEST) == "finished"
        assert "session.finish" in await anyio.to_thread.run_sync(finished, vendor.sdk_url, MODEL)


# ── the newer interface ──────────────────────────────────────────────────────────────────────────────────────────────


def newer_turns(url: str, model: str) -> tuple[list[str], dict[str, Any]]:
    said: list[str] = []
    client = Client(api_key="sk-test", workspace="ws-1")
    with client.audio.realtime.connect(model=model, ws_url=url) as line:
        events = iter(line.events())
        assert next(events)["type"] == "session.created"
        line.update_session(["text", "audio"], voice="Tina", input_audio_config={"type": "pcm", "sample_rate": 8000})
        updated = next(events)
        line.append_audio(bytes(16 * 400) + tone(600, rate=8000) + bytes(16 * 1000))
        done = 0
        while done < 2:
            event = next(events)
            if event["type"] == "response.audio_transcript.done":
                said.append(event["transcript"])
            if event["type"] == "response.done":
                done += 1
                if done == 1:
                    line.create_response()
    return said, updated["session"]


@pytest.mark.filterwarnings("ignore:dashscope 2.0 audio API is a preview:FutureWarning")
@pytest.mark.parametrize("model", [MODEL, NEWEST])
async def test_the_sdks_newer_interface(model: str) -> None:
    async with QwenOmniSimulator(brain=ToneBrain(), transcription_delay=0) as vendor:
        said, session = await anyio.to_thread.run_sync(newer_turns, vendor.sdk_url, model)
    assert said == ["It is sunny today."] * 2
    assert session["audio"]["input"]["format"] == {"type": "pcm", "sample_rate": 8000}


# ── our client beside it ─────────────────────────────────────────────────────────────────────────────────────────────


def shapes(events: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """The members that events of each type have, written as paths."""
    found: dict[str, set[str]] = {}
    for event in events:
        found.setdefault(event["type"], set()).update(_paths(event))
    return {kind: sorted(paths - {"event_id"}) for kind, paths in found.items()}


def _paths(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [place for name, member in value.items() for place in _paths(member, f"{path}.{name}".lstrip("."))]
    if isinstance(value, list):
        return [place for member in value for place in _paths(member, f"{path}[]")]
    return [path]


def what_the_sdk_sends(url: str) -> None:
    call = Classic(url, tools=[TOOL], instructions="Be brief.", turn_detection_threshold=0.5)
    call.speak()
    made = call.heart.until("response.function_call_arguments.done")[-1]
    call.heart.until("response.done")
    call.line.create_item({"type": "function_call_output", "call_id": made["call_id"], "output": "rain"})
    call.line.create_response()
    call.heart.until("response.audio.delta")
    call.line.cancel_response()
    call.heart.until("response.output_item.done")
    text = [{"type": "input_text", "text": "Hello."}]
    call.line.create_item({"type": "message", "role": "user", "content": text})
    call.line.create_response(instructions="Be kind.")
    call.heart.until("response.done")
    call.close()


async def what_we_send(url: str) -> None:
    provider = QwenRealtimeProvider(api_key="sk-test-0123456789", base_url=url, voice="Tina", instructions="Be brief.")
    config = ProcessConfig(functions=[ToolDefinition("get_weather", "", SCHEMA)])
    async with provider.connect(config) as session:
        listener = Listener(session)
        for piece in (bytes(INPUT * 400), tone(600, rate=16000), bytes(INPUT * 1000)):
            await session.send_audio(piece)
        made = await listener.until(ToolCallRequested)
        await listener.until(ResponseFinished)
        await session.send_tool_result(made.call_id, "rain")
        await listener.until(AudioReceived)
        await session.cancel_response()
        await listener.until(ResponseFinished)
        await session.send_text("Hello.")
        await listener.until(ResponseFinished)
        await session.create_response("Be kind.")
        await listener.until(ResponseFinished)


async def test_our_client_sends_what_the_sdk_sends() -> None:
    def answers(history: Sequence[Heard], tools: Tools) -> list[Say | CallTool]:
        if history[-1].role == "tool":
            return [Say("more " * 30)]
        spoken = history[-1].text == "what is the weather"
        return [CallTool("get_weather", {"city": "London"})] if spoken else [Say("Hello.")]

    simulator = partial(QwenOmniSimulator, transcription_delay=0, speed=4, chunk_ms=50)
    async with simulator(brain=ToneBrain(answers)) as theirs:
        await anyio.to_thread.run_sync(what_the_sdk_sends, theirs.sdk_url)
    with anyio.fail_after(10):
        async with simulator(brain=ToneBrain(answers)) as ours:
            await what_we_send(ours.url)
    told, sent = shapes(theirs.received), shapes(ours.received)
    assert set(sent) == set(told)
    for kind, paths in sent.items():
        assert set(paths) <= set(told[kind]), kind
    configured = [events[0]["session"] for events in (theirs.received, ours.received)]
    assert configured[0] == configured[1], json.dumps(configured)


async def test_our_client_hears_the_users_words_grow() -> None:
    async with QwenOmniSimulator(brain=ToneBrain(), transcription_delay=0) as vendor:
        provider = QwenRealtimeProvider(
            api_key="sk-test-0123456789", base_url=vendor.url, turn_detection=TurnDetection(type="semantic_vad")
        )
        with anyio.fail_after(5):
            async with provider.connect(ProcessConfig(input_format=AudioFormat("mulaw", 8000))) as session:
                assert session.input_format == AudioFormat("linear16", 8000)
                listener = Listener(session)
                await session.send_audio(bytes(16 * 400) + tone(600, rate=8000) + bytes(16 * 1000))
                last = await listener.until(UserTranscript, lambda event: event.is_final)
                words = [event for event in listener.events if isinstance(event, UserTranscript)]
    assert last.text == "what is the weather"
    assert [(event.text, event.pending) for event in words[:-1]] == [
        ("", "what"),
        ("what", " is"),
        (" is", " the"),
        (" the", " weather"),
    ]
