"""What a client may send: the shape of every client event, of the items in it, and of the options of a response."""

from collections.abc import Mapping
from typing import Any

from trunkline.testing.openai.refusal import Refusal, invalid_value
from trunkline.testing.openai.settings import ANSWER_FIELDS, FORMAT, VOICE
from trunkline.testing.openai.shape import (
    Check,
    anything,
    integer,
    list_of,
    map_of,
    nullable,
    one_of,
    record,
    short_text,
    tagged,
    text,
)

LONGEST_APPEND = 15 * 1024 * 1024

_STATUS = one_of("completed", "incomplete", "in_progress")
_ITEM_FIELDS: Mapping[str, Check] = {
    "id": short_text(32),
    "type": text,
    "object": one_of("realtime.item"),
    "status": _STATUS,
}
_TEXT = record({"type": text, "text": text}, required=["text"])
_CONTENT: Mapping[str, Check] = {
    "system": tagged({"input_text": _TEXT}),
    "user": tagged(
        {
            "input_text": _TEXT,
            "input_audio": record({"type": text, "audio": text, "transcript": nullable(text)}, required=["audio"]),
            "input_image": record(
                {"type": text, "image_url": text, "detail": one_of("auto", "low", "high")}, required=["image_url"]
            ),
        }
    ),
    "assistant": tagged(
        {
            "output_text": _TEXT,
            "output_audio": record({"type": text, "transcript": nullable(text), "audio": nullable(text)}),
        }
    ),
}
_ITEMS: Mapping[str, Check] = {
    "message": tagged(
        {
            role: record(
                {**_ITEM_FIELDS, "role": text, "content": list_of(content), "phase": text}, required=["content"]
            )
            for role, content in _CONTENT.items()
        },
        tag="role",
    ),
    "function_call": record(
        {**_ITEM_FIELDS, "name": text, "call_id": text, "arguments": text}, required=["name", "call_id", "arguments"]
    ),
    "function_call_output": record({**_ITEM_FIELDS, "call_id": text, "output": text}, required=["call_id", "output"]),
}
_ITEM = tagged(_ITEMS)
_RESPONSE = record(
    {
        **ANSWER_FIELDS,
        "audio": record({"output": record({"format": FORMAT, "voice": VOICE})}),
        "conversation": one_of("auto", "none"),
        "input": list_of(tagged({**_ITEMS, "item_reference": record({"type": text, "id": text}, required=["id"])})),
        "metadata": nullable(map_of(short_text(512), longest=16, key=short_text(64))),
    }
)


def _event(fields: Mapping[str, Check] | None = None, *, required: tuple[str, ...] = ()) -> Check:
    return record({"type": text, "event_id": short_text(512), **(fields or {})}, required=required)


_ONE_ITEM = _event({"item_id": text}, required=("item_id",))
_EVENTS: Mapping[str, Check] = {
    "session.update": _event({"session": anything}, required=("session",)),
    "input_audio_buffer.append": _event({"audio": text}, required=("audio",)),
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "conversation.item.create": _event({"item": _ITEM, "previous_item_id": nullable(text)}, required=("item",)),
    "conversation.item.retrieve": _ONE_ITEM,
    "conversation.item.delete": _ONE_ITEM,
    "conversation.item.truncate": _event(
        {"item_id": text, "content_index": integer(0), "audio_end_ms": integer(0)},
        required=("item_id", "content_index", "audio_end_ms"),
    ),
    "response.create": _event({"response": nullable(_RESPONSE)}),
    "response.cancel": _event({"response_id": text}),
}


def check_event(event: Mapping[str, Any]) -> str:
    """The type of a client event whose shape is right; what stands in `session` is left to the settings.

    Raises:
        Refusal: The type is missing or unknown, or a field is.
    """
    kind = event.get("type")
    if kind is None:
        raise Refusal("invalid_event", "The 'type' field is missing.")
    if not isinstance(kind, str) or kind not in _EVENTS:
        raise Refusal("invalid_event", invalid_value(kind, "type", _EVENTS).message, "type")
    _EVENTS[kind](event, "")
    return kind
