"""One session: what each client event does, and when the server speaks up by itself.

Every change happens without waiting, so no two can mix; what takes time (understanding speech, answering, the session's end) runs in
tasks of the session's own group. The reader never blocks.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from trunkline.clock import Clock
from trunkline.errors import ProtocolError, TransportError
from trunkline.testing.brain import Brain
from trunkline.testing.delivery import Delivery
from trunkline.testing.hearing import EAR, Hearing, NobodySpoke, SpeechBegan, SpeechEnded, TooShort
from trunkline.testing.line import Line
from trunkline.testing.openai.answering import answer
from trunkline.testing.openai.conversation import Clip, Conversation, Item, client_item, decoded
from trunkline.testing.openai.ids import new_id, padding
from trunkline.testing.openai.messages import LONGEST_APPEND, check_event
from trunkline.testing.openai.plan import Plan, make_plan
from trunkline.testing.openai.refusal import Refusal
from trunkline.testing.openai.response import Response
from trunkline.testing.openai.settings import SessionSettings, audio_format
from trunkline.testing.openai.usage import transcription_usage

log = logging.getLogger("trunkline.testing")

# A commit that is too small was seen to be refused about a second late.
_LATE_REFUSAL = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What takes how long, in seconds."""

    clock: Clock
    session_limit: float
    transcription_delay: float
    delivery: Delivery


class Session:
    """A session as the server has it; tests may read it at any time."""

    def __init__(self, line: Line, brain: Brain, pace: Pace, settings: SessionSettings, *, model: str) -> None:
        self.id = str(settings.wire["id"])
        self.model = model
        self.is_open = True
        self._line = line
        self._brain = brain
        self._pace = pace
        self._began = pace.clock.now()
        self._settings = settings
        self._conversation = Conversation()
        hears = self._settings.hears
        self._hearing = Hearing(brain.detector(), audio_format(hears["format"]), hears["turn_detection"])
        self._coming: str | None = None  # the id allotted to the turn that is being spoken
        self._running: dict[str, tuple[Response, anyio.CancelScope]] = {}
        self._tasks = anyio.create_task_group()
        self._handlers: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    @property
    def settings(self) -> Mapping[str, Any]:
        """The session object, as the last `session.updated` sent it."""
        return self._settings.wire

    @property
    def items(self) -> list[dict[str, Any]]:
        """The conversation's items in their order, without audio."""
        return [item.to_json() for item in self._conversation.items]

    async def run(self) -> None:
        """Serve the client until it leaves, is dropped, or the session expires."""
        try:
            async with self._tasks:
                self._tasks.start_soon(self._line.write)
                self._tasks.start_soon(self._expire)
                self._emit("session.created", session=self._settings.wire)
                await self._read()
        except* (TransportError, ProtocolError):
            pass  # the client is gone, or was sent away, which is how a session ends
        finally:
            self.is_open = False

    async def _read(self) -> None:
        while True:
            event: Mapping[str, Any] = {}
            try:
                event = await self._line.receive()
                self._take(event)
            except Refusal as refusal:
                self._emit("error", error=refusal.error(_name(event)))

    def _take(self, event: Mapping[str, Any]) -> None:
        """Do what an event asks for.

        Raises:
            Refusal: It cannot be done.
        """
        self._handlers[check_event(event)](event)

    async def _expire(self) -> None:
        await self._pace.clock.sleep_until(self._began + self._pace.session_limit)
        message = f"Your session hit the maximum duration of {self._pace.session_limit / 60:g} minutes."
        self._emit("error", error=Refusal("session_expired", message).error())
        self._line.hang_up(1001, message)

    def _emit(self, kind: str, **fields: object) -> None:
        self._line.put({"type": kind, "event_id": new_id("event"), **fields})

    async def _think(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Let the brain work; should it fail, the session closes in order, behind what was already said."""
        try:
            await work(*args)
        except Exception:  # whatever a brain raises
            log.exception("the brain behind a simulated session failed")
            self._line.hang_up(1011, "internal error")

    # ── the session and its input ────────────────────────────────────────────────────────────────────────────────────

    def _update(self, event: Mapping[str, Any]) -> None:
        self._settings.update(event["session"], spoken=self._conversation.spoken)
        hears = self._settings.hears
        self._hearing.configure(audio_format(hears["format"]), hears["turn_detection"])
        self._emit("session.updated", session=self._settings.wire)

    def _append(self, event: Mapping[str, Any]) -> None:
        if len(event["audio"]) > LONGEST_APPEND:
            raise Refusal("invalid_value", "Invalid 'audio': expected at most 15 MiB.", "audio")
        for moment in self._hearing.append(decoded(event["audio"], "audio")):
            match moment:
                case SpeechBegan(start_ms):
                    self._speech_began(start_ms)
                case SpeechEnded(end_ms, audio):
                    item_id = self._coming or new_id("item")
                    self._emit("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item_id)
                    self._take_turn(item_id, audio)
                case NobodySpoke(start_ms, end_ms, audio):
                    item_id = new_id("item")
                    silence = {"audio_start_ms": start_ms, "audio_end_ms": end_ms, "item_id": item_id}
                    self._emit("input_audio_buffer.timeout_triggered", **silence)
                    self._take_turn(item_id, audio)

    def _speech_began(self, start_ms: int) -> None:
        self._coming = new_id("item")
        self._emit("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._coming)
        if self._turns("interrupt_response") and (active := self._active()) is not None:
            self._stop(active, "turn_detected")

    def _take_turn(self, item_id: str, audio: bytes) -> None:
        """What follows a turn that the server found; a response that still runs is not joined by a second one."""
        self._commit_audio(item_id, audio)
        if self._turns("create_response") and self._active() is None:
            self._start(make_plan(self._settings, self._conversation, {}))

    def _turns(self, setting: str) -> bool:
        turns = self._settings.hears["turn_detection"]
        return self._settings.wire["type"] == "realtime" and turns is not None and bool(turns[setting])

    def _commit(self, event: Mapping[str, Any]) -> None:
        try:
            audio = self._hearing.commit()
        except TooShort as short:
            message = "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
            message += f"but buffer only has {short.fresh_ms:.2f}ms of audio."
            refusal = Refusal("input_audio_buffer_commit_empty", message)
            self._tasks.start_soon(self._refuse_late, refusal.error(_name(event)))
            return
        self._commit_audio(self._coming or new_id("item"), audio)

    async def _refuse_late(self, error: Mapping[str, object]) -> None:
        clock = self._pace.clock
        await clock.sleep_until(clock.now() + _LATE_REFUSAL)
        self._emit("error", error=error)

    def _commit_audio(self, item_id: str, audio: bytes) -> None:
        self._coming = None
        content = [{"type": "input_audio", "transcript": None}]
        wire = {"id": item_id, "type": "message", "status": "completed", "role": "user", "content": content}
        clip = Clip(format=EAR, data=audio)
        item = Item(wire, clip)
        before = self._conversation.add(item)
        self._emit("input_audio_buffer.committed", previous_item_id=before, item_id=item_id)
        self._emit("conversation.item.added", previous_item_id=before, item=item.to_json())
        self._emit("conversation.item.done", previous_item_id=before, item=item.to_json())
        self._tasks.start_soon(self._think, self._listen, item, clip, self._settings.hears["transcription"])

    def _clear(self, event: Mapping[str, Any]) -> None:  # noqa: ARG002 - all handlers are called alike
        self._hearing.clear()
        self._coming = None
        self._emit("input_audio_buffer.cleared")

    def _listen_to(self, item: Item) -> None:
        """Understand an item of the client's own making, if there is anything to hear in it."""
        if item.clip is not None:
            self._tasks.start_soon(self._think, self._listen, item, item.clip, None)

    async def _listen(self, item: Item, clip: Clip, transcription: Mapping[str, Any] | None) -> None:
        """Understand what was said, and tell the client as the side channel that transcription is."""
        clock = self._pace.clock
        due = clock.now() + self._pace.transcription_delay
        item.words = await self._brain.transcribe(clip.heard_as(EAR))
        item.understood.set()
        if transcription is None:
            return
        await clock.sleep_until(due)
        transcript = item.words or ""
        kind = "conversation.item.input_audio_transcription"
        place = {"item_id": item.id, "content_index": 0}
        for word in re.findall(r"\s*\S+", transcript):
            self._emit(f"{kind}.delta", **place, delta=word, obfuscation=padding(word))
        item.wire["content"][0]["transcript"] = transcript
        usage = transcription_usage(transcription["model"], clip.duration_ms, transcript)
        self._emit(f"{kind}.completed", **place, transcript=transcript, usage=usage)

    # ── the conversation ─────────────────────────────────────────────────────────────────────────────────────────────

    def _create_item(self, event: Mapping[str, Any]) -> None:
        item = client_item(event["item"], audio_format(self._settings.hears["format"]))
        call_id = item.wire.get("call_id", "")
        if item.wire["type"] == "function_call_output" and not self._conversation.knows_call(call_id):
            raise Refusal(
                "invalid_tool_call_id", f"Tool call ID '{call_id}' not found in conversation.", "item.call_id"
            )
        before = self._conversation.add(item, after=event.get("previous_item_id"))
        self._emit("conversation.item.added", previous_item_id=before, item=item.to_json())
        self._emit("conversation.item.done", previous_item_id=before, item=item.to_json())
        self._listen_to(item)

    def _retrieve_item(self, event: Mapping[str, Any]) -> None:
        item = self._conversation.find(event["item_id"], verb="retrieve", doing="retrieving")
        sides = self._settings.wire["audio"]
        side = sides.get("output", sides["input"]) if item.wire.get("role") == "assistant" else sides["input"]
        self._emit("conversation.item.retrieved", item=item.to_json_with_audio(audio_format(side["format"])))

    def _delete_item(self, event: Mapping[str, Any]) -> None:
        self._conversation.delete(event["item_id"])
        self._emit("conversation.item.deleted", item_id=event["item_id"])

    def _truncate_item(self, event: Mapping[str, Any]) -> None:
        place = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        self._conversation.truncate(**place)
        self._emit("conversation.item.truncated", **place)

    # ── responses ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _create_response(self, event: Mapping[str, Any]) -> None:
        if self._settings.wire["type"] != "realtime":
            raise Refusal("invalid_event", "A transcription session has no responses.", "type")
        options = event.get("response") or {}
        active = self._active()
        if options.get("conversation", "auto") == "auto" and active is not None:
            message = f"Conversation already has an active response in progress: {active.id}. "
            message += "Wait until the response is finished before creating a new one."
            raise Refusal("conversation_already_has_active_response", message)
        self._start(make_plan(self._settings, self._conversation, options))

    def _cancel_response(self, event: Mapping[str, Any]) -> None:
        wanted = event.get("response_id")
        response = self._active() if wanted is None else self._running.get(wanted, (None, None))[0]
        if response is None:
            raise Refusal("response_cancel_not_active", "Cancellation failed: no active response found")
        self._stop(response, "client_cancelled")

    def _active(self) -> Response | None:
        inside = (response for response, _ in self._running.values() if response.plan.conversation is not None)
        return next(inside, None)

    def _start(self, plan: Plan) -> None:
        if plan.conversation is not None:
            self._hearing.expect_reply_from(None)
        known = self._conversation.items
        for item in plan.context or ():
            if item not in known:
                self._listen_to(item)
        response = Response(plan, self._emit)
        scope = anyio.CancelScope()
        self._running[response.id] = response, scope
        self._tasks.start_soon(self._think, self._produce, response, scope)

    async def _produce(self, response: Response, scope: anyio.CancelScope) -> None:
        context = response.plan.context
        items = list(self._conversation.items if context is None else context)
        with scope:
            await answer(response, items, self._brain, self._pace.delivery)
        if self._running.pop(response.id, None) is not None and response.plan.conversation is not None:
            unplayed = response.audio_ms * self._pace.delivery.lead
            self._hearing.expect_reply_from(self._hearing.position_ms + unplayed)

    def _stop(self, response: Response, reason: str) -> None:
        _, scope = self._running.pop(response.id)
        scope.cancel()
        response.cancel(reason)


def _name(event: Mapping[str, Any]) -> str | None:
    event_id = event.get("event_id")
    return event_id if isinstance(event_id, str) else None
