"""Text to speech over WebSockets: one context ("stream-input"), and many ("multi-stream-input")."""

import json
from base64 import b64encode
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from trunkline.audio import AudioFormat
from trunkline.errors import TransportError
from trunkline.testing.elevenlabs.speech import aligned, audio_format
from trunkline.testing.faults import Fault
from trunkline.testing.invented_speech import MS_PER_CHARACTER
from trunkline.testing.line import Line
from trunkline.testing.vendor_simulator import Query, SendEvent, VendorSimulator, one, query_of
from trunkline.transport.http.routing import Request, Response, Route, Upgrade

MOST_CONTEXTS: Final = 5
_SCHEDULE = (120, 160, 250, 290)
_SNAKE = {"contextId": "context_id", "isFinal": "is_final", "normalizedAlignment": "normalized_alignment"}
_TOO_MANY = "Maximum simultaneous contexts per WebSocket connection exceeded (5). Please close some contexts."
_LATE_SETTINGS = "voice_settings can only be set in the first message of a context."
_IDLE = "You have not submitted a new text input within {seconds:g} seconds."


def routes(simulator: VendorSimulator) -> Iterable[Route]:
    """The routes of the interface."""
    path = "/v1/text-to-speech/{voice_id}"
    return [
        Route("GET", f"{path}/stream-input", partial(_open, simulator, is_multi=False)),
        Route("GET", f"{path}/multi-stream-input", partial(_open, simulator, is_multi=True)),
    ]


async def _open(simulator: VendorSimulator, request: Request, *, is_multi: bool) -> Response | Upgrade:
    wanted = audio_format(request.query)
    if wanted is None:
        return simulator.manners.refusal(400, "invalid_parameters", "The simulator does not make this output_format.")
    query = query_of(request)

    async def run(line: Line) -> None:
        async with anyio.create_task_group() as tasks:
            session = _Session(simulator, line, tasks, query, wanted, is_multi=is_multi)
            tasks.start_soon(_write, line, tasks)
            try:
                while True:
                    session.take(await line.receive())
            except TransportError:
                tasks.cancel_scope.cancel()

    return simulator.upgrade(_Codec(is_snake=is_multi and simulator.voice.snake_case), run)


async def _write(line: Line, tasks: TaskGroup) -> None:
    with suppress(TransportError):  # the client left, or the script cut it off
        await line.write()
    tasks.cancel_scope.cancel()


class _Codec:
    """Messages have no type: what they hold says what they are."""

    def __init__(self, *, is_snake: bool) -> None:
        self._is_snake = is_snake

    def kind(self, event: Mapping[str, Any]) -> str:
        """The name of a message, for faults."""
        if event.get("close_socket"):
            return "close_socket"
        if event.get("close_context"):
            return "close_context"
        if event.get("audio"):
            return "audio"
        if event.get("isFinal") or event.get("is_final"):
            return "final"
        if "error" in event:
            return "error"
        return "flush" if event.get("flush") and not event.get("text") else "text"

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """In the spelling of the day."""
        if not self._is_snake:
            return [dict(event)]
        return [{_SNAKE.get(name, name): value for name, value in event.items()}]

    def encode(self, event: Mapping[str, Any]) -> str:
        """As JSON."""
        return json.dumps(event)

    def decode(self, message: str | bytes) -> dict[str, Any]:
        """What the client wrote; what cannot be read has no text."""
        try:
            event = json.loads(message)
        except ValueError:
            return {"malformed": True}
        return event if isinstance(event, dict) else {"malformed": True}

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """As it is."""
        return event

    def fault_events(self, fault: Fault) -> list[dict[str, Any]]:
        """What a `SendEvent` holds."""
        return [fault.event] if isinstance(fault, SendEvent) else []


class _Context:
    """Texts that are spoken one after the other."""

    def __init__(self, context_id: str | None, schedule: tuple[int, ...]) -> None:
        self.context_id = context_id
        self.schedule = deque(schedule)
        self.buffer = ""
        self.texts: deque[str] = deque()
        self.is_ending = False
        self.changed = anyio.Event()

    def add(self, text: str, *, at_once: bool) -> None:
        """Gather a text, and speak what is gathered if there is enough."""
        self.buffer += text
        if at_once or len(self.buffer) >= self.schedule[0]:
            self.flush()

    def flush(self) -> None:
        """Speak what is gathered."""
        text, self.buffer = self.buffer, ""
        if text.strip():
            self.texts.append(text)
            if len(self.schedule) > 1:
                self.schedule.popleft()
        self.changed.set()

    def end(self) -> None:
        """Speak no more than what was flushed."""
        self.is_ending = True
        self.buffer = ""
        self.changed.set()


class _Session:
    def __init__(
        self,
        simulator: VendorSimulator,
        line: Line,
        tasks: TaskGroup,
        query: Query,
        audio_format: AudioFormat,
        *,
        is_multi: bool,
    ) -> None:
        self._voice = simulator.voice
        self._clock = simulator.clock
        self._line = line
        self._tasks = tasks
        self._format = audio_format
        self._is_multi = is_multi
        self._auto = one(query, "auto_mode") == "true"
        self._patience = float(one(query, "inactivity_timeout", "20"))
        self._contexts: dict[str | None, _Context] = {}
        self._refused = False

    def take(self, event: Mapping[str, Any]) -> None:
        """A message of the client's."""
        if self._refused:
            return
        if event.get("close_socket"):
            self._line.hang_up(1000, "")
            self._refused = True
            return
        text = event.get("text")
        if event.get("malformed") or (text is not None and not isinstance(text, str)):
            self._refuse("invalid_message", "The message cannot be read.")
            return
        context_id = event.get("context_id") if self._is_multi else None
        context = self._contexts.get(context_id)
        if context is None:
            self._begin(context_id, event, text)
        elif "voice_settings" in event or "generation_config" in event:
            self._refuse("invalid_message", _LATE_SETTINGS)
        elif not context.is_ending:
            self._go_on(context, event, text)

    def _begin(self, context_id: str | None, event: Mapping[str, Any], text: str | None) -> None:
        if not self._is_multi and text is None:
            self._refuse("invalid_message", "The first message must have a text.")
            return
        if len(self._contexts) >= MOST_CONTEXTS:
            self._refuse("max_active_conversations", _TOO_MANY)
            return
        config = event.get("generation_config") or {}
        schedule = tuple(config.get("chunk_length_schedule") or _SCHEDULE)
        context = self._contexts[context_id] = _Context(context_id, schedule)
        self._tasks.start_soon(self._speak, context)
        self._go_on(context, event, text)

    def _go_on(self, context: _Context, event: Mapping[str, Any], text: str | None) -> None:
        if event.get("close_context"):
            context.end()
        elif text == "" and not self._is_multi:
            context.flush()
            context.end()
        else:
            if text and text.strip():
                context.add(text, at_once=self._auto)
            if event.get("flush"):
                context.flush()
            context.changed.set()  # whatever was said keeps it alive

    def _refuse(self, error: str, message: str) -> None:
        self._refused = True
        self._line.put({"message": message, "error": error, "code": 1008})
        self._line.hang_up(1008, message[:100])

    async def _speak(self, context: _Context) -> None:
        """Speak the texts of a context until it ends or nobody says anything any more."""
        while context.texts or not context.is_ending:
            if context.texts:
                await self._speak_text(context, context.texts.popleft())
                continue
            context.changed = anyio.Event()
            with self._clock.move_on_after(self._patience) as idle:
                await context.changed.wait()
            if idle.cancelled_caught:
                if not self._is_multi:
                    self._refuse("input_timeout_exceeded", _IDLE.format(seconds=self._patience))
                    return
                break
        del self._contexts[context.context_id]
        if self._voice.finals:
            self._line.put(self._named(context, {"audio": None, "isFinal": True}))
        if not self._is_multi:
            self._line.hang_up(1000, "")

    async def _speak_text(self, context: _Context, text: str) -> None:
        self._voice.spoken.append(text.strip())
        voice = self._voice
        await voice.think(self._clock)
        size = max(1, voice.message_ms // MS_PER_CHARACTER)
        for start in range(0, len(text), size):
            part = text[start : start + size]
            alignment = aligned(part) if voice.alignments else None
            message = {
                "audio": b64encode(voice.speak(part, self._format)).decode(),
                "isFinal": None,
                "alignment": alignment,
                "normalizedAlignment": alignment,
            }
            self._line.put(self._named(context, message))
            await voice.pace(len(part) * MS_PER_CHARACTER, self._clock)

    def _named(self, context: _Context, message: dict[str, Any]) -> dict[str, Any]:
        return {**message, "contextId": context.context_id} if self._is_multi else message
