"""One response as the client sees it: which events, in which order (§10 of the protocol), and the response object (§8).

Nothing here waits; whoever produces the answer calls `open_message`, `add_words`, `add_audio`, `close_message` and `call` in turn, and
at last `finish`. `cancel` may come at any moment.
"""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from trunkline.errors import LocalProtocolError
from trunkline.testing.openai.conversation import Clip, Item
from trunkline.testing.openai.ids import new_id, padding
from trunkline.testing.openai.plan import Plan
from trunkline.testing.openai.usage import Usage, model_audio_tokens, text_tokens


class Emit(Protocol):
    """Send an event of this type with these fields."""

    def __call__(self, kind: str, **fields: object) -> None:
        """Send it after everything that was sent before."""
        ...


@dataclass(slots=True)
class _Message:
    """The assistant's message that is being made."""

    item: Item
    place: dict[str, object]
    said: str = ""


class Response:
    """One answer, from `response.created` to `response.done`."""

    def __init__(self, plan: Plan, emit: Emit) -> None:
        self.id = new_id("resp")
        self.plan = plan
        self.usage = Usage()
        self.over = False
        self._emit = emit
        self._status = "in_progress"
        self._details: dict[str, object] | None = None
        self._items: list[Item] = []
        self._open: _Message | None = None
        emit("response.created", response=self.to_json())

    def to_json(self) -> dict[str, object]:
        """The response object."""
        conversation = self.plan.conversation
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self._status,
            "status_details": self._details,
            "output": [item.to_json() for item in self._items] if self.over else [],
            "conversation_id": None if conversation is None else conversation.id,
            "output_modalities": [self.plan.modality],
            "max_output_tokens": self.plan.max_output_tokens or "inf",
            "audio": self.plan.audio,
            "usage": self.usage.to_json(reasons=self.plan.reasons) if self.over else None,
            "metadata": self.plan.metadata,
        }

    @property
    def spent(self) -> bool:
        """Whether the response has used the tokens it may use."""
        limit = self.plan.max_output_tokens
        return limit is not None and self.usage.text_out + self.usage.audio_out >= limit

    @property
    def audio_ms(self) -> float:
        """How long all its audio plays."""
        return sum(item.clip.duration_ms for item in self._items if item.clip is not None)

    # ── a message ────────────────────────────────────────────────────────────────────────────────────────────────────

    def open_message(self, *, phase: str) -> None:
        """Begin to speak or write; `phase` tells, with models that reason, whether a function call follows."""
        wire: dict[str, Any] = {
            "id": new_id("item"),
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        if self.plan.reasons:
            wire["phase"] = phase
        item = Item(wire)
        if self.plan.audible:
            item.clip = Clip(format=self.plan.format)
        place = self._add(item) | {"content_index": 0}
        self._open = _Message(item, place)
        self._emit("response.content_part.added", **place, part=self._part(""))
        wire["content"] = [
            {"type": "output_audio", "transcript": ""} if self.plan.audible else {"type": "output_text", "text": ""}
        ]

    def add_words(self, words: str) -> None:
        """The next piece of the transcript, or of the text."""
        message = self._message()
        message.said += words
        self.usage.text_out = text_tokens(message.said)
        self._keep_words(message)
        kind = "response.output_audio_transcript.delta" if self.plan.audible else "response.output_text.delta"
        self._emit(kind, **message.place, delta=words, obfuscation=padding(words))

    def add_audio(self, audio: bytes) -> None:
        """The next piece of the audio, in the plan's format."""
        message = self._message()
        if message.item.clip is not None and not message.item.truncated:
            message.item.clip.data += audio
        self.usage.audio_out = model_audio_tokens(self.audio_ms)
        self._emit("response.output_audio.delta", **message.place, delta=base64.b64encode(audio).decode())

    def close_message(self, *, status: str = "completed") -> None:
        """End the message; "incomplete" if it was cut."""
        message = self._message()
        self._open = None
        item, place = message.item, message.place
        item.wire["status"] = status
        if self.plan.audible:
            self._emit("response.output_audio.done", **place)
            self._emit("response.output_audio_transcript.done", **place, transcript=message.said)
        else:
            self._emit("response.output_text.done", **place, text=message.said)
        self._emit("response.content_part.done", **place, part=self._part(message.said))
        self._close(item, place)

    # ── a function call ──────────────────────────────────────────────────────────────────────────────────────────────

    def call(self, name: str, arguments: Mapping[str, object]) -> None:
        """Call a function of the client's; its arguments go out in several pieces."""
        written = json.dumps(dict(arguments))
        call_id = self.plan.new_call_id()
        wire: dict[str, Any] = {"id": new_id("item"), "type": "function_call", "status": "in_progress", "name": name}
        wire |= {"call_id": call_id, "arguments": ""}
        item = Item(wire)
        place = self._add(item) | {"call_id": call_id}
        size = min(8, math.ceil(len(written) / 2))
        for begin in range(0, len(written), size):
            piece = written[begin : begin + size]
            self._emit("response.function_call_arguments.delta", **place, delta=piece, obfuscation=padding(piece))
        self._emit("response.function_call_arguments.done", **place, name=name, arguments=written)
        self.usage.text_out += text_tokens(written)
        wire |= {"arguments": written, "status": "completed"}
        self._close(item, place)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, status: str = "completed", details: Mapping[str, object] | None = None) -> None:
        """End the response; a message that is still open is cut."""
        if self.over:
            return
        if self._open is not None:
            self.close_message(status="incomplete")
        self.over = True
        self._status = status
        self._details = None if details is None else {"type": status, **details}
        self._emit("response.done", response=self.to_json())
        self._emit("rate_limits.updated", rate_limits=self.usage.rate_limits())

    def cancel(self, reason: str) -> None:
        """End it because the user spoke ("turn_detected") or the client asked for it ("client_cancelled")."""
        if not self._items:
            self.usage = Usage()
        self.finish("cancelled", {"reason": reason})

    # ── internals ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _message(self) -> _Message:
        if self._open is None:
            raise LocalProtocolError("no message is open")
        return self._open

    def _part(self, words: str) -> dict[str, object]:
        return {"type": "audio", "transcript": words} if self.plan.audible else {"type": "text", "text": words}

    def _keep_words(self, message: _Message) -> None:
        item = message.item
        if item.truncated:
            return
        item.wire["content"][0]["transcript" if self.plan.audible else "text"] = message.said
        if self.plan.audible:
            item.words = message.said

    def _add(self, item: Item) -> dict[str, object]:
        item.understood.set()
        place: dict[str, object] = {"response_id": self.id, "item_id": item.id, "output_index": len(self._items)}
        self._items.append(item)
        self._emit(
            "response.output_item.added", response_id=self.id, output_index=place["output_index"], item=item.to_json()
        )
        if self.plan.conversation is not None:
            before = self.plan.conversation.add(item)
            self._emit("conversation.item.added", previous_item_id=before, item=item.to_json())
        return place

    def _close(self, item: Item, place: Mapping[str, object]) -> None:
        if self.plan.conversation is not None:
            # The service was seen to leave this field null here although an item precedes; clients must not order by it.
            self._emit("conversation.item.done", previous_item_id=None, item=item.to_json())
        self._emit(
            "response.output_item.done", response_id=self.id, output_index=place["output_index"], item=item.to_json()
        )
