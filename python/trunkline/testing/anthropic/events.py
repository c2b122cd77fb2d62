"""An answer of Anthropic's as the events of a stream (section 1.3 of its page)."""

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from trunkline.testing.brain import CallTool, Say
from trunkline.testing.text_stream import Event, Sending


def sse(event: dict[str, Any], *, is_piece: bool = False) -> Event:
    """One event; its name stands in a line of its own, as the SDK needs it."""
    return Event(f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode(), is_piece)


def start_event(model: str) -> Event:
    """The first event of a stream."""
    usage = {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": f"msg_{uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return sse({"type": "message_start", "message": message})


def end_events(stop_reason: str, output_tokens: int) -> list[Event]:
    """The last events of one that came to its end."""
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    return [
        sse({"type": "message_delta", "delta": delta, "usage": {"output_tokens": output_tokens}}),
        sse({"type": "message_stop"}),
    ]


def answer_events(
    model: str, answer: Sequence[Say | CallTool], sending: Sending, *, thinking: str, stop_reason: str | None
) -> list[Event]:
    """The whole stream.

    Args:
        model: Which model answers.
        answer: What it says and calls.
        sending: How it is cut.
        thinking: What it thinks before; "" for a model that does not.
        stop_reason: In place of the one that follows from the answer.
    """
    events = [start_event(model), sse({"type": "ping"})]
    index = 0
    if thinking:
        events += _block(index, {"type": "thinking", "thinking": "", "signature": ""}, _thought(thinking, sending))
        index += 1
    for part in answer:
        if isinstance(part, Say):
            deltas = [{"type": "text_delta", "text": piece} for piece in sending.cut(part.text)]
            events += _block(index, {"type": "text", "text": ""}, deltas)
        else:
            pieces = ["", *(sending.cut(json.dumps(part.arguments, ensure_ascii=False)) if part.arguments else ())]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
            use = {"type": "tool_use", "id": f"toolu_{uuid4().hex[:24]}", "name": part.name, "input": {}}
            events += _block(index, use, deltas)
        index += 1
    called = any(isinstance(part, CallTool) for part in answer)
    return events + end_events(stop_reason or ("tool_use" if called else "end_turn"), len(events))


def _thought(thinking: str, sending: Sending) -> list[dict[str, Any]]:
    deltas = [{"type": "thinking_delta", "thinking": piece} for piece in sending.cut(thinking)]
    return [*deltas, {"type": "signature_delta", "signature": "c2lnbmF0dXJl"}]


def _block(index: int, block: dict[str, Any], deltas: Sequence[dict[str, Any]]) -> Iterator[Event]:
    yield sse({"type": "content_block_start", "index": index, "content_block": block})
    for delta in deltas:
        yield sse({"type": "content_block_delta", "index": index, "delta": delta}, is_piece=True)
    yield sse({"type": "content_block_stop", "index": index})
