"""DashScope's events: the older dialect of OpenAI's, with names, orders and gaps of its own."""

from collections.abc import Callable, Mapping
from typing import Any

from trunkline.testing.openai.beta import EVENT_NAMES
from trunkline.testing.openai.refusal import Refusal
from trunkline.testing.openai.shape import Check, anything, list_of, nullable, one_of, record, tagged, text
from trunkline.testing.qwen.settings import QwenSettings

_UNSAID = {"conversation.item.done", "rate_limits.updated", "input_audio_buffer.timeout_triggered"}
_TRANSCRIPT = "conversation.item.input_audio_transcription"
_TEXT_DELTAS = {"response.output_text.delta": "delta", "response.output_text.done": "text"}

_ITEM = tagged(
    {
        "message": record(
            {
                "id": text,
                "type": text,
                "role": one_of("user"),
                "content": list_of(tagged({"input_text": record({"type": text, "text": text}, required=["text"])})),
            },
            required=["role", "content"],
        ),
        "function_call_output": record(
            {"id": text, "type": text, "call_id": text, "output": text}, required=["call_id", "output"]
        ),
    }
)
_RESPONSE = record({"instructions": nullable(text), "modalities": nullable(list_of(one_of("text", "audio")))})


def _event(**fields: Check) -> Check:
    return record({"type": text, "event_id": text, **fields}, required=list(fields))


_CLIENT_EVENTS: Mapping[str, Check] = {
    "session.update": _event(session=anything),
    "session.finish": _event(),
    "input_audio_buffer.append": _event(audio=text),
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "input_image_buffer.append": _event(image=text),
    "conversation.item.create": _event(item=_ITEM),
    "conversation.item.retrieve": _event(item_id=text),
    "conversation.item.delete": _event(item_id=text),
    "response.create": record({"type": text, "event_id": text, "response": nullable(_RESPONSE)}),
    "response.cancel": _event(),
}


class QwenDialect:
    """One session's translator.

    Args:
        settings: The session's.
        ends_cancelled: Whether a response that was cancelled gets its `response.done`.
    """

    def __init__(self, settings: QwenSettings, *, ends_cancelled: bool) -> None:
        self._settings = settings
        self._ends_cancelled = ends_cancelled
        self._held: dict[str, Any] | None = None
        self._words: dict[str, str] = {}

    # ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The event as DashScope sends it, or nothing."""
        kind = event["type"]
        wire = {"event_id": event["event_id"], "type": EVENT_NAMES.get(kind, kind)}
        wire |= {name: value for name, value in event.items() if name not in wire}
        match kind:
            case _ if kind in _UNSAID:
                return []
            case "response.done" if event["response"]["status"] == "cancelled" and not self._ends_cancelled:
                return []
            case "response.function_call_arguments.delta" if event["output_index"]:
                return []  # the second call of a response comes without
            case "response.output_audio.done":
                self._held = wire
                return []
            case "response.output_audio_transcript.done":
                held, self._held = self._held, None
                return [wire] if held is None else [wire, held]
            case "session.created" | "session.updated":
                wire["session"] = self._settings.told
            case "input_audio_buffer.committed":
                wire.pop("previous_item_id", None)
            case "error":
                wire["error"] = {name: value for name, value in event["error"].items() if name != "event_id"}
            case "response.created" | "response.done":
                wire["response"] = self._response(event["response"])
            case "response.content_part.added" | "response.content_part.done":
                part = event["part"]
                wire["part"] = {"type": part["type"], "text": part.get("transcript", part.get("text", ""))}
            case _ if kind in _TEXT_DELTAS:
                first = _TEXT_DELTAS[kind]
                wire.pop("obfuscation", None)
                return [{first: wire.pop(first), **wire}]
            case _ if kind.startswith(_TRANSCRIPT):
                return [self._transcript(wire)]
        if "item" in wire:
            wire["item"] = _item(wire["item"])
            if wire.get("previous_item_id", "") is None:
                del wire["previous_item_id"]
        if kind == "response.output_audio_transcript.delta":
            wire.pop("obfuscation", None)
        return [wire]

    def _transcript(self, wire: dict[str, Any]) -> dict[str, Any]:
        wire.pop("obfuscation", None)
        wire.pop("usage", None)
        item_id = wire["item_id"]
        if wire["type"] == f"{_TRANSCRIPT}.delta":
            settled, fresh = self._words.get(item_id, ""), wire.pop("delta")
            self._words[item_id] = settled + fresh
            wire |= {"text": settled, "stash": fresh}
        else:
            self._words.pop(item_id, None)
        return wire

    def _response(self, wire: Mapping[str, Any]) -> dict[str, Any]:
        told = self._settings.told
        response = {name: wire[name] for name in ("id", "object", "conversation_id", "status")}
        response["modalities"] = ["text", "audio"] if wire["output_modalities"] == ["audio"] else ["text"]
        response["voice"] = self._settings.voice
        if "output_audio_format" in told:
            response["output_audio_format"] = told["output_audio_format"]
        response["output"] = [_item(item, whole=True) for item in wire["output"]]
        if wire["usage"] is not None:
            response["usage"] = _usage(wire["usage"])
        return response

    # ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event as the session understands it.

        Raises:
            Refusal: There is no such event, or a field of it cannot be so.
        """
        kind = event.get("type")
        if not isinstance(kind, str) or kind not in _CLIENT_EVENTS:
            raise Refusal("invalid_value", f"Invalid event type: {kind!r}.", "type")
        _CLIENT_EVENTS[kind](event, "")
        match event:
            case {"type": "conversation.item.create", "item": dict(item)}:
                # An id of the client's is not kept.
                return {**event, "item": {name: value for name, value in item.items() if name != "id"}}
            case {"type": "response.create", "response": dict(response)}:
                return {**event, "response": _options(response)}
            case {"type": "response.create"}:
                return {name: value for name, value in event.items() if name != "response"}
        return event


def _options(response: Mapping[str, Any]) -> dict[str, Any]:
    options = {}
    if response.get("instructions") is not None:
        options["instructions"] = response["instructions"]
    if response.get("modalities") is not None:
        options["output_modalities"] = ["audio"] if "audio" in response["modalities"] else ["text"]
    return options


def _item(wire: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """An item; only `response.done` has all its words under the names of their kind."""
    item = {"id": wire["id"], "object": "realtime.item"}
    item |= {name: value for name, value in wire.items() if name not in {"id", "object", "phase"}}
    if "content" in wire:
        item["content"] = [_content(part, whole=whole) for part in wire["content"]]
        if any(part["type"] == "input_audio" for part in wire["content"]):
            item |= {"status": "in_progress", "role": "assistant"}  # as the documents show it
    if wire["type"] == "function_call_output":
        item["status"] = "completed"
    return item


_PARTS: Mapping[str, Callable[[Mapping[str, Any], bool], dict[str, Any]]] = {
    "output_audio": lambda part, whole: {"type": "audio", "transcript" if whole else "text": part["transcript"] or ""},
    "output_text": lambda part, whole: {"type": "text", "text": part["text"]} if whole else {"type": "text"},
    "input_audio": lambda _, __: {"type": "input_audio"},
}


def _content(part: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    shape = _PARTS.get(part["type"])
    return dict(part) if shape is None else shape(part, whole)


def _usage(wire: Mapping[str, Any]) -> dict[str, Any]:
    usage = {name: wire[name] for name in ("total_tokens", "input_tokens", "output_tokens")}
    for side in ("input", "output"):
        details = wire[f"{side}_token_details"]
        counted = {name: details[name] for name in ("text_tokens", "audio_tokens") if details[name]}
        usage[f"{side}_tokens_details"] = counted
    return usage
