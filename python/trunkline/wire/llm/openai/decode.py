"""Chat Completions, what is answered: the chunks of a stream become an answer's events (sections 2.2 and 6)."""

import json
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from trunkline.wire.fields import Fields, Reader, int_or, object_or_empty, objects, text_or
from trunkline.wire.llm.calls import CallParts
from trunkline.wire.llm.errors import truncated
from trunkline.wire.llm.events import AnswerEvent, AnswerFinished, StopReason, TextReceived, ToolCallRequested
from trunkline.wire.llm.openai.request import VENDOR
from trunkline.wire.llm.openai.thinking import ThinkingFilter
from trunkline.wire.realtime.usage import Usage
from trunkline.wire.vendors.openai import error_in

READER: Final = Reader(VENDOR)
END: Final = "[DONE]"

_REASONS: dict[str, StopReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal",
}


def new_call_id() -> str:
    """An id for a call that the server gave none."""
    return f"call_{uuid4().hex}"


class ChatDecoder:
    """Reads one answer.

    Args:
        new_id: Makes ids of calls that the server gave none.

    Attributes:
        is_over: The answer's last event was told.
    """

    def __init__(self, *, new_id: Callable[[], str] = new_call_id) -> None:
        self.is_over = False
        self._new_id = new_id
        self._calls: list[CallParts] = []
        self._by_index: dict[int, CallParts] = {}
        self._thinking = ThinkingFilter()
        self._usage: Usage | None = None
        self._reason = ""
        self._refused = False
        self._model = ""
        self._answer_id = ""

    def message(self, data: str) -> list[AnswerEvent]:
        """The data of one server-sent event; likewise for all of these.

        Raises:
            RemoteProtocolError: It is not a JSON object. The stream may go on.
            ProviderError: It tells that the answer failed.
        """
        return self.end() if data.strip() == END else self.event(READER.message(data))

    def event(self, chunk: Fields) -> list[AnswerEvent]:
        """One chunk."""
        error = error_in(chunk)
        if error is not None:
            raise error
        self._answer_id = text_or(chunk, "id") or self._answer_id
        self._model = text_or(chunk, "model") or self._model
        if usage := object_or_empty(chunk, "usage"):
            self._usage = _usage(usage)
        events: list[AnswerEvent] = []
        for choice in objects(chunk, "choices")[:1]:
            events += self._delta(object_or_empty(choice, "delta"))
            self._reason = text_or(choice, "finish_reason") or self._reason
        return events

    def end(self) -> list[AnswerEvent]:
        """The stream is over, in whatever way: some servers do not say so, if only they gave the reason.

        Raises:
            ConnectionFailed: The answer is not.
        """
        if self.is_over:
            return []
        if not self._reason:
            raise truncated(VENDOR)
        self.is_over = True
        reason = self._stop_reason()
        events: list[AnswerEvent] = []
        if rest := self._thinking.end():
            events.append(TextReceived(rest))
        events += [
            ToolCallRequested(call.call_id or self._new_id(), call.name, call.arguments)
            for call in self._calls
            if call.name and reason != "refusal" and (reason != "length" or call.is_complete)
        ]
        finished = AnswerFinished(
            reason=reason,
            usage=self._usage,
            vendor_reason=self._reason,
            model=self._model,
            answer_id=self._answer_id,
        )
        return [*events, finished]

    def _stop_reason(self) -> StopReason:
        reason = _REASONS.get(self._reason, "other")
        if self._refused:
            return "refusal"
        return "tool_calls" if reason == "stop" and self._calls else reason

    def _delta(self, delta: Fields) -> list[AnswerEvent]:
        for piece in objects(delta, "tool_calls"):
            self._take_call(piece)
        if older := object_or_empty(delta, "function_call"):
            self._take_call({"index": 0, "function": older})
        self._refused = self._refused or bool(text_or(delta, "refusal"))
        text = self._thinking.feed(text_or(delta, "content"))
        return [TextReceived(text)] if text else []

    def _take_call(self, piece: Fields) -> None:
        function = object_or_empty(piece, "function")
        name, arguments = text_or(function, "name"), function.get("arguments")
        call = self._call_of(int_or(piece, "index"), text_or(piece, "id"), name)
        call.call_id = call.call_id or text_or(piece, "id")
        call.name = call.name or name
        if isinstance(arguments, str):
            call.pieces.append(arguments)
        elif isinstance(arguments, dict):
            call.pieces.append(json.dumps(arguments))

    def _call_of(self, index: int | None, call_id: str, name: str) -> CallParts:
        """The call that a piece belongs to; some servers number none of them, or all alike."""
        last = self._calls[-1] if self._calls else None
        found = last if index is None else self._by_index.get(index)
        is_new = found is None or bool(call_id and found.call_id and call_id != found.call_id)
        if index is None and found is not None and not call_id and name:
            is_new = found.is_complete
        if found is None or is_new:
            found = CallParts()
            self._calls.append(found)
        if index is not None:
            self._by_index[index] = found
        return found


def _usage(usage: Fields) -> Usage:
    heard, said = int_or(usage, "prompt_tokens") or 0, int_or(usage, "completion_tokens") or 0
    cached = int_or(object_or_empty(usage, "prompt_tokens_details"), "cached_tokens") or 0
    return Usage(
        input_tokens=heard,
        output_tokens=said,
        total_tokens=int_or(usage, "total_tokens") or heard + said,
        input_text_tokens=heard,
        cached_tokens=cached,
        cached_text_tokens=cached,
        output_text_tokens=said,
        reasoning_tokens=int_or(object_or_empty(usage, "completion_tokens_details"), "reasoning_tokens") or 0,
    )
