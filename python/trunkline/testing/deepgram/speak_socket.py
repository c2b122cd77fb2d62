"""Aura over a WebSocket, `/v1/speak`: texts are gathered, spoken at the end of each sentence or when they are flushed."""

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import uuid4

import anyio
from anyio.abc import TaskGroup

from trunkline.audio import AudioFormat
from trunkline.errors import TransportError
from trunkline.testing.deepgram.speak import LONGEST, speech_format_of
from trunkline.testing.faults import Fault
from trunkline.testing.invented_speech import MS_PER_CHARACTER
from trunkline.testing.line import Line
from trunkline.testing.vendor_simulator import SendEvent, VendorSimulator, one, query_of
from trunkline.transport.http.routing import Request, Response, Route, Upgrade

MOST_FLUSHES: Final = 20
_SENTENCE = re.compile(r".*?[.!?](?=\s)\s*", re.DOTALL)
_STRAYS = 3  # pieces of audio that are under way when a text is cleared


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The route of the interface."""
    return [Route("GET", "/v1/speak", partial(_open, simulator))]


async def _open(simulator: VendorSimulator, request: Request) -> Response | Upgrade:
    query = query_of(request)
    audio_format = "there is no container here" if "container" in query else speech_format_of(query)
    if isinstance(audio_format, str):
        return simulator.manners.refusal(400, "INVALID_QUERY_PARAMETER", audio_format)
    model = one(query, "model", "aura-asteria-en")

    async def run(line: Line) -> None:
        async with anyio.create_task_group() as tasks:
            session = _Session(simulator, line, audio_format, model)
            tasks.start_soon(_write, line, tasks)
            tasks.start_soon(session.speak)
            try:
                while True:
                    session.take(await line.receive())
            except TransportError:
                tasks.cancel_scope.cancel()

    return simulator.upgrade(_Codec(), run)


async def _write(line: Line, tasks: TaskGroup) -> None:
    with suppress(TransportError):  # the client left, or the script cut it off
        await line.write()
    tasks.cancel_scope.cancel()


class _Codec:
    """Audio is an event of the type "audio", a binary message; the rest is JSON (`trunkline.testing.line.Codec`)."""

    def kind(self, event: Mapping[str, Any]) -> str:
        """The event's type."""
        return str(event.get("type"))

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The event itself."""
        return [dict(event)]

    def encode(self, event: Mapping[str, Any]) -> str | bytes:
        """Audio as it is, the rest as text."""
        if event["type"] == "audio":
            audio: bytes = event["audio"]
            return audio
        return json.dumps(event)

    def decode(self, message: str | bytes) -> dict[str, Any]:
        """The object in a text; what is no object is of the type "unreadable"."""
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        return event if isinstance(event, dict) else {"type": "unreadable"}

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event itself."""
        return event

    def fault_events(self, fault: Fault) -> list[dict[str, Any]]:
        """What a `SendEvent` holds."""
        return [fault.event] if isinstance(fault, SendEvent) else []


class _Session:
    """One session: what it is told, and in a task of its own what it says."""

    def __init__(self, simulator: VendorSimulator, line: Line, audio_format: AudioFormat, model: str) -> None:
        self._voice = simulator.voice
        self._clock = simulator.clock
        self._line = line
        self._format = audio_format
        self._buffer = ""
        self._work: deque[str | None] = deque()  # texts; None is a flush
        self._changed = anyio.Event()
        self._generation = 0
        self._sequence = 0
        self._flushes: deque[float] = deque()
        metadata = {"request_id": str(uuid4()), "model_name": model, "model_version": "1", "model_uuid": str(uuid4())}
        line.put({"type": "Metadata", **metadata, "additional_model_uuids": []})

    def take(self, event: Mapping[str, Any]) -> None:
        """A message of the client's."""
        match event.get("type"):
            case "Speak" if isinstance(event.get("text"), str):
                self._gather(event["text"])
            case "Flush":
                self._flush()
            case "Clear":
                self._clear()
            case "Close":
                self._line.hang_up(1000, "")
            case _:
                self._line.hang_up(1003, "MESSAGE-0000: the message cannot be read")

    async def speak(self) -> None:
        """Speak what is to be spoken, in order."""
        while True:
            while not self._work:
                self._changed = anyio.Event()
                await self._changed.wait()
            text = self._work.popleft()
            if text is not None:
                await self._speak_text(text)
            elif self._voice.finals:
                self._line.put({"type": "Flushed", "sequence_id": self._next()})

    def _gather(self, text: str) -> None:
        if len(text) > LONGEST:
            self._line.hang_up(1009, "BIG-0001: the text is too long")
            return
        self._buffer += text
        while found := _SENTENCE.match(self._buffer):
            self._add(found[0])
            self._buffer = self._buffer[found.end() :]

    def _flush(self) -> None:
        now = self._clock.now()
        while self._flushes and now - self._flushes[0] > 60:
            self._flushes.popleft()
        if len(self._flushes) >= MOST_FLUSHES:
            self._line.put({"type": "Warning", "code": "FLUSH_LIMIT", "description": "Too many flushes in a minute."})
            return
        self._flushes.append(now)
        if self._buffer.strip():
            self._add(self._buffer)
        self._buffer = ""
        self._add(None)

    def _clear(self) -> None:
        self._generation += 1
        self._buffer = ""
        self._work.clear()
        for _ in range(_STRAYS):
            self._line.put({"type": "audio", "audio": self._voice.speak("x", self._format)})
        if self._voice.clears:
            self._line.put({"type": "Cleared", "sequence_id": self._next()})

    def _add(self, text: str | None) -> None:
        self._work.append(text)
        self._changed.set()

    def _next(self) -> int:
        number = self._sequence
        self._sequence += 1
        return number

    async def _speak_text(self, text: str) -> None:
        self._voice.spoken.append(text.strip())
        generation = self._generation
        await self._voice.think(self._clock)
        # A text is spoken without the white space behind it.
        audio = self._voice.speak(text.strip(), self._format)
        size = self._format.frame_bytes(max(MS_PER_CHARACTER, self._voice.message_ms))
        for start in range(0, len(audio), size):
            if generation != self._generation:
                return
            piece = audio[start : start + size]
            self._line.put({"type": "audio", "audio": piece})
            await self._voice.pace(self._format.duration_ms(len(piece)), self._clock)
