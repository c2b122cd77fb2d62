"""OpenAI Realtime, what a client sends: each function gives the JSON text of one client event (GA, "Client events").

`event_id` may be any string of up to 512 characters; an `error` that the event causes repeats it.
"""

import json
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from trunkline.conversation import HistoryItem
from trunkline.wire.fields import replace_surrogates

MAX_APPEND_BYTES = 8 * 1024 * 1024
"""Audio that one append may hold; the vendor's limit is 15 MiB, which base64 makes of 11."""


def update_session(session: Mapping[str, Any], *, event_id: str | None = None) -> str:
    """`session.update`: change what `session` holds, in the shape that the server speaks."""
    return _event("session.update", event_id, session=session)


def append_audio(audio: bytes) -> str:
    """`input_audio_buffer.append`: the user's audio, at most `MAX_APPEND_BYTES` of it; the vendor does not answer."""
    return f'{{"type":"input_audio_buffer.append","audio":"{b2a_base64(audio, newline=False).decode("ascii")}"}}'


def commit_audio(*, event_id: str | None = None) -> str:
    """`input_audio_buffer.commit`: make an item of what was appended; under 100 ms is an error."""
    return _event("input_audio_buffer.commit", event_id)


def clear_audio(*, event_id: str | None = None) -> str:
    """`input_audio_buffer.clear`: forget what was appended and not committed."""
    return _event("input_audio_buffer.clear", event_id)


def create_item(item: Mapping[str, Any], *, previous_item_id: str | None = None, event_id: str | None = None) -> str:
    """`conversation.item.create`: add an item after `previous_item_id`, at the front for "root", else at the end."""
    where = {} if previous_item_id is None else {"previous_item_id": previous_item_id}
    return _event("conversation.item.create", event_id, **where, item=item)


def message_item(role: Literal["user", "assistant", "system"], text: str) -> dict[str, Any]:
    """A message in text, for `create_item`."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def function_call_item(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """A function call of an earlier session, for `create_item`; without it the vendor refuses the answer to that call."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def function_output_item(call_id: str, output: str) -> dict[str, Any]:
    """The answer to a function call, for `create_item`; `output` is any text, usually JSON."""
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def history_item(entry: HistoryItem) -> dict[str, Any]:
    """What went before, for `create_item`: messages in text (§7, "Seeding history"), tool calls and results as themselves."""
    match entry.role:
        case "tool_call":
            return function_call_item(entry.call_id, entry.name, entry.arguments)
        case "tool_result":
            return function_output_item(entry.call_id, entry.text)
        case "agent":
            return message_item("assistant", entry.text)
        case "user" | "system":
            return message_item(entry.role, entry.text)


def truncate_item(item_id: str, *, audio_end_ms: int, content_index: int = 0, event_id: str | None = None) -> str:
    """`conversation.item.truncate`: keep the first `audio_end_ms` of the model's item, and none of its transcript."""
    return _event(
        "conversation.item.truncate", event_id, item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms
    )


def create_response(response: Mapping[str, Any] | None = None, *, event_id: str | None = None) -> str:
    """`response.create`: ask for an answer; what `response` holds goes before the session's settings, this once."""
    return _event("response.create", event_id, **({} if response is None else {"response": response}))


def cancel_response(response_id: str | None = None, *, event_id: str | None = None) -> str:
    """`response.cancel`: stop an answer, the running one unless another is named."""
    return _event("response.cancel", event_id, **({} if response_id is None else {"response_id": response_id}))


def _event(kind: str, event_id: str | None, **body: Any) -> str:
    head = {"type": kind} if event_id is None else {"type": kind, "event_id": event_id}
    text = json.dumps({**head, **body}, separators=(",", ":"), default=_plain, ensure_ascii=False)
    return replace_surrogates(text)


def _plain(value: object) -> Any:
    """Read-only mappings and other sequences, which `json` does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
