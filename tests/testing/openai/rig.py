"""A brain that takes loud tones for speech, and a client that knows nothing but JSON and checks all it gets."""

import base64
import json
import math
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tests.oracles import strict_server_event
from trunkline.testing.brain import CallTool, Heard, Say, Tools
from trunkline.testing.openai import OpenAIRealtimeSimulator
from trunkline.transport import WebSocketConnection, connect_websocket

Event = dict[str, Any]
PCM = 48
WINDOW_MS = 20


def tone(ms: int, *, rate: int = 24000) -> bytes:
    """A tone at half of full scale, PCM16."""
    samples = (int(16000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(ms * rate // 1000))
    return struct.pack(f"<{ms * rate // 1000}h", *samples)


class ToneDetector:
    """Speech is whatever is loud."""

    window_ms = WINDOW_MS
    sample_rate = 16000

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, pcm16: bytes) -> list[float]:
        data, size = self._rest + pcm16, WINDOW_MS * 32
        whole = len(data) // size * size
        self._rest = data[whole:]
        windows = (data[begin : begin + size] for begin in range(0, whole, size))
        return [0.9 if max(map(abs, struct.unpack(f"<{size // 2}h", window))) > 3000 else 0.1 for window in windows]

    def reset(self) -> None:
        self._rest = b""


Rule = Callable[[Sequence[Heard], Tools], Sequence[Say | CallTool]]


class ToneBrain:
    """Understands what it is told to, answers by a rule, and speaks a tone of 100 ms per word."""

    def __init__(self, rule: Rule | None = None, *, words: str | None = "what is the weather") -> None:
        self.words = words
        self.rule: Rule = rule or (lambda *_: [Say("It is sunny today.")])
        self.heard: list[list[Heard]] = []
        self.clips: list[bytes] = []
        self.instructions: list[str] = []
        self.thinks = anyio.Event()
        self.may_answer = anyio.Event()
        self.may_answer.set()

    def detector(self) -> ToneDetector:
        return ToneDetector()

    async def transcribe(self, pcm: bytes) -> str | None:
        self.clips.append(pcm)
        return self.words

    async def answer(self, history: Sequence[Heard], *, instructions: str, tools: Tools) -> Sequence[Say | CallTool]:
        self.heard.append(list(history))
        self.instructions.append(instructions)
        self.thinks.set()
        await self.may_answer.wait()
        return self.rule(history, tools)

    async def speak(self, text: str) -> bytes:
        return tone(100 * len(text.split()))


class Client:
    """A raw client; `events` is all it received, each checked against the SDK's types."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self.socket = socket
        self.events: list[Event] = []
        self.bytes_per_ms = PCM
        self.silence_byte = b"\x00"

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> Event:
        with anyio.fail_after(5):
            event: Event = json.loads(await self.socket.receive())
        strict_server_event(json.dumps(event))
        self.events.append(event)
        return event

    async def until(self, *kinds: str) -> list[Event]:
        """Events up to the first of these types, that one included."""
        received = [await self.receive()]
        while received[-1]["type"] not in kinds:
            received.append(await self.receive())
        return received

    async def once(self, *kinds: str) -> list[Event]:
        """The first event of each of these types, which may come in any order or have come already."""
        while missing := set(kinds) - {event["type"] for event in self.events}:
            await self.until(*missing)
        return [next(event for event in self.events if event["type"] == kind) for kind in kinds]

    async def turn(self) -> list[Event]:
        """A whole response, up to the rate limits after it."""
        return await self.until("rate_limits.updated")

    async def ask(self, kind: str, **fields: object) -> Event:
        """Send an event and give back what is answered."""
        await self.send(kind, **fields)
        return await self.receive()

    async def append(self, audio: bytes, *, chunk: int = 960) -> None:
        for begin in range(0, len(audio), chunk):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(audio[begin : begin + chunk]).decode())

    async def silence(self, ms: int) -> None:
        await self.append(self.silence_byte * (ms * self.bytes_per_ms))

    async def configure(self, **session: object) -> Event:
        return await self.ask("session.update", session={"type": "realtime", **session})

    async def utter(self, ms: int = 600) -> None:
        """Speech between silences, enough to make a turn."""
        await self.silence(400)
        await self.append(tone(ms))
        await self.silence(700)


@asynccontextmanager
async def dialled(
    vendor: OpenAIRealtimeSimulator,
    *,
    query: str = "?model=gpt-realtime-2.1",
    key: str | None = "sk-test",
    beta: bool = False,
) -> AsyncIterator[Client]:
    """A client on the line, nothing read yet."""
    headers = [("Authorization", f"Bearer {key}")] if key else []
    headers += [("OpenAI-Beta", "realtime=v1")] if beta else []
    url = f"ws{vendor.url.removeprefix('http')}/realtime{query}"
    async with connect_websocket(url, headers=headers) as socket:
        yield Client(socket)


@asynccontextmanager
async def session(vendor: OpenAIRealtimeSimulator, **options: Any) -> AsyncIterator[Client]:
    """A client whose session has been created."""
    async with dialled(vendor, **options) as client:
        assert (await client.receive())["type"] == "session.created"
        yield client


def kinds(events: Sequence[Event]) -> list[str]:
    """The types in order, repeated deltas told once."""
    told: list[str] = []
    for event in events:
        if not (told and told[-1] == event["type"] and event["type"].endswith(".delta")):
            told.append(event["type"])
    return told


def squeezed(events: Sequence[Event]) -> list[str]:
    """The types in order; a run of interleaved words and audio is told as "speech"."""
    speech = {"response.output_audio.delta", "response.output_audio_transcript.delta"}
    told: list[str] = []
    for event in events:
        kind = "speech" if event["type"] in speech else event["type"]
        if kind != "speech" or told[-1:] != ["speech"]:
            told.append(kind)
    return told
