"""An answer as the chunks of Chat Completions (sections 2.2 and 6 of its page), with the ways of other servers."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal
from uuid import uuid4

from trunkline.testing.brain import CallTool, Say
from trunkline.testing.text_stream import Event, Sending

Quirk = Literal[
    "no_index",
    "index_zero",
    "whole_arguments",
    "object_arguments",
    "no_id",
    "stop_with_calls",
    "no_done",
    "comments",
    "think_in_content",
    "reasoning_content",
    "empty_first_chunk",
    "integer_code",
]
"""What servers of the same protocol do in their own way.

`no_index`, `index_zero`: tool calls are not numbered, or all with 0. `whole_arguments`: a call's arguments come at once.
`object_arguments`: and as an object. `no_id`: calls have no ids. `stop_with_calls`: the finish reason is `stop` all the same. `no_done`:
the stream ends without `[DONE]`. `comments`: there are comments between the chunks. `think_in_content`, `reasoning_content`: the model's
thinking stands in the text or in a member of its own. `empty_first_chunk`: the first chunk has no choices. `integer_code`: errors have the
status for a code.
"""

DONE = Event(b"data: [DONE]\n\n")


def sse(chunk: Mapping[str, Any], *, is_piece: bool = False) -> Event:
    """One event; these have no names."""
    return Event(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode(), is_piece)


class Chunks:
    """Makes the chunks of one answer."""

    def __init__(self, body: Mapping[str, Any], sending: Sending, quirks: Collection[Quirk]) -> None:
        self._sending = sending
        self._quirks = quirks
        options = body.get("stream_options") or {}
        self._usage = bool(options.get("include_usage"))
        self._obfuscation = {"obfuscation": "x7"} if options.get("include_obfuscation", True) else {}
        self._head = {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": 1763000000,
            "model": body["model"],
            "system_fingerprint": None,
        }

    def answer(self, answer: Sequence[Say | CallTool], *, thinking: str, finish_reason: str | None) -> list[Event]:
        """The whole stream."""
        events = [self._chunk([])] if "empty_first_chunk" in self._quirks else []
        events.append(self._delta({"role": "assistant", "content": "", "refusal": None}))
        events += self._thought(thinking)
        number = 0
        for part in answer:
            if isinstance(part, Say):
                events += [self._delta({"content": piece}, is_piece=True) for piece in self._sending.cut(part.text)]
            else:
                events += self._call(number, part)
                number += 1
        reason = "tool_calls" if number and "stop_with_calls" not in self._quirks else "stop"
        events += self.end(finish_reason or reason, len(events))
        if "comments" in self._quirks:
            return [part for event in events for part in (Event(b": keep-alive\n\n"), event)]
        return events

    def end(self, finish_reason: str, tokens: int) -> list[Event]:
        """The last chunks."""
        events = [self._delta({}, finish_reason=finish_reason)]
        if self._usage:
            usage = {
                "prompt_tokens": 19,
                "completion_tokens": tokens,
                "total_tokens": 19 + tokens,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 0},
            }
            events.append(self._chunk([], usage=usage))
        return events if "no_done" in self._quirks else [*events, DONE]

    def _thought(self, thinking: str) -> Iterable[Event]:
        if thinking and "think_in_content" in self._quirks:
            return [
                self._delta({"content": piece}, is_piece=True)
                for piece in self._sending.cut(f"<think>\n{thinking}\n</think>\n\n")
            ]
        if thinking and "reasoning_content" in self._quirks:
            return [self._delta({"reasoning_content": piece}) for piece in self._sending.cut(thinking)]
        return []

    def _call(self, number: int, call: CallTool) -> Iterable[Event]:
        index = {} if "no_index" in self._quirks else {"index": 0 if "index_zero" in self._quirks else number}
        call_id = {} if "no_id" in self._quirks else {"id": f"call_{uuid4().hex[:24]}"}
        text = json.dumps(call.arguments, ensure_ascii=False)
        function: dict[str, Any] = {"name": call.name, "arguments": ""}
        pieces = self._sending.cut(text)
        if "object_arguments" in self._quirks:
            function["arguments"], pieces = call.arguments, []
        elif "whole_arguments" in self._quirks:
            function["arguments"], pieces = text, []
        first = {**index, **call_id, "type": "function", "function": function}
        yield self._delta({"tool_calls": [first]}, is_piece=True)
        for piece in pieces:
            yield self._delta({"tool_calls": [{**index, "function": {"arguments": piece}}]}, is_piece=True)

    def _delta(self, delta: Mapping[str, Any], *, finish_reason: str | None = None, is_piece: bool = False) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return self._chunk([choice], is_piece=is_piece)

    def _chunk(
        self, choices: Sequence[Mapping[str, Any]], *, usage: Mapping[str, Any] | None = None, is_piece: bool = False
    ) -> Event:
        padding = self._obfuscation if choices else {}
        about_usage = {"usage": usage} if self._usage else {}
        return sse({**self._head, "choices": choices, **about_usage, **padding}, is_piece=is_piece)


def whole_completion(events: Iterable[Event]) -> dict[str, Any]:
    """The same answer for a client that asked for no stream."""
    content, calls, reason = "", dict[int, dict[str, Any]](), "stop"
    completion: dict[str, Any] = {}
    for event in events:
        if not event.data.startswith(b"data: {"):
            continue
        chunk = json.loads(event.data.removeprefix(b"data: "))
        completion = completion or {key: chunk[key] for key in ("id", "created", "model", "system_fingerprint")}
        for choice in chunk["choices"]:
            delta, reason = choice["delta"], choice["finish_reason"] or reason
            content += delta.get("content") or ""
            for piece in delta.get("tool_calls", ()):
                call = calls.setdefault(piece.get("index", len(calls)), {"function": {"name": "", "arguments": ""}})
                call |= {key: piece[key] for key in ("id", "type") if key in piece}
                call["function"]["name"] += piece["function"].get("name", "")
                call["function"]["arguments"] += piece["function"].get("arguments", "")
    message: dict[str, Any] = {"role": "assistant", "content": content or None, "refusal": None}
    if calls:
        message["tool_calls"] = list(calls.values())
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    usage = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}
    return completion | {"object": "chat.completion", "choices": [choice], "usage": usage}
