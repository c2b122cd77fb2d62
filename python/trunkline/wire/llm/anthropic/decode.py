"""Anthropic Messages, what is answered: the events of a stream become an answer's events (section 1.3)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from trunkline.wire.fields import Fields, Reader, int_or, object_or_empty, text_or
from trunkline.wire.llm.anthropic.errors import error_from_event
from trunkline.wire.llm.anthropic.request import VENDOR
from trunkline.wire.llm.calls import CallParts
from trunkline.wire.llm.errors import truncated
from trunkline.wire.llm.events import AnswerEvent, AnswerFinished, StopReason, TextReceived, ToolCallRequested
from trunkline.wire.realtime.usage import Usage

READER: Final = Reader(VENDOR)

_REASONS: dict[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}


class AnthropicDecoder:
    """Reads one answer.

    Args:
        on_thinking: Is given the id of the first tool call and the blocks of thinking before it, where there are both: the vendor wants
            them back with the results of the calls.

    Attributes:
        is_over: The answer's last event was told.
    """

    def __init__(self, *, on_thinking: Callable[[str, Sequence[Mapping[str, Any]]], None] | None = None) -> None:
        self.is_over = False
        self._on_thinking = on_thinking
        self._calls: dict[int, CallParts] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, int] = {}
        self._reason = ""
        self._model = ""
        self._answer_id = ""

    def message(self, data: str) -> list[AnswerEvent]:
        """The data of one server-sent event; likewise for all of these.

        Raises:
            RemoteProtocolError: It is not a JSON object. The stream may go on.
            ProviderError: It tells that the answer failed.
        """
        return self.event(READER.message(data))

    def event(self, event: Fields) -> list[AnswerEvent]:
        """One event of the vendor's; of kinds that are not known nothing is told."""
        match text_or(event, "type"):
            case "message_start":
                self._started(object_or_empty(event, "message"))
            case "content_block_start":
                return self._block_started(int_or(event, "index", 0) or 0, object_or_empty(event, "content_block"))
            case "content_block_delta":
                return self._delta(int_or(event, "index", 0) or 0, object_or_empty(event, "delta"))
            case "message_delta":
                self._count(object_or_empty(event, "usage"))
                self._reason = text_or(object_or_empty(event, "delta"), "stop_reason") or self._reason
            case "message_stop":
                return self._finished()
            case "error":
                raise error_from_event(event)
        return []

    def end(self) -> list[AnswerEvent]:
        """The stream is over.

        Raises:
            ConnectionFailed: The answer is not.
        """
        if not self.is_over:
            raise truncated(VENDOR)
        return []

    def _started(self, message: Fields) -> None:
        self._answer_id, self._model = text_or(message, "id"), text_or(message, "model")
        self._count(object_or_empty(message, "usage"))

    def _block_started(self, index: int, block: Fields) -> list[AnswerEvent]:
        match text_or(block, "type"):
            case "text":
                return self._text(text_or(block, "text"))
            case "tool_use":
                self._calls[index] = CallParts(text_or(block, "id"), text_or(block, "name"))
            case "thinking" | "redacted_thinking":
                self._blocks[index] = dict(block)
        return []

    def _delta(self, index: int, delta: Fields) -> list[AnswerEvent]:
        match text_or(delta, "type"):
            case "text_delta":
                return self._text(text_or(delta, "text"))
            case "input_json_delta" if index in self._calls:
                self._calls[index].pieces.append(text_or(delta, "partial_json"))
            case "thinking_delta" | "signature_delta" as kind if index in self._blocks:
                name = kind.removesuffix("_delta")
                block = self._blocks[index]
                block[name] = text_or(block, name) + text_or(delta, name)
        return []

    def _text(self, text: str) -> list[AnswerEvent]:
        return [TextReceived(text)] if text else []

    def _finished(self) -> list[AnswerEvent]:
        if not self._reason:
            raise truncated(VENDOR)
        self.is_over = True
        reason = _REASONS.get(self._reason, "other")
        calls = [
            ToolCallRequested(call.call_id, call.name, call.arguments)
            for _, call in sorted(self._calls.items())
            if call.call_id and call.name and reason != "refusal" and (reason != "length" or call.is_complete)
        ]
        if self._on_thinking is not None and self._blocks and calls:
            self._on_thinking(calls[0].call_id, tuple(self._blocks.values()))
        finished = AnswerFinished(
            reason=reason,
            usage=self._total() if self._usage else None,
            vendor_reason=self._reason,
            model=self._model,
            answer_id=self._answer_id,
        )
        return [*calls, finished]

    def _count(self, usage: Fields) -> None:
        """The numbers are totals: the last of each counts."""
        for name in usage:
            number = int_or(usage, name)
            if number is not None:
                self._usage[name] = number

    def _total(self) -> Usage:
        cached = self._usage.get("cache_read_input_tokens", 0)
        heard = self._usage.get("input_tokens", 0) + cached + self._usage.get("cache_creation_input_tokens", 0)
        said = self._usage.get("output_tokens", 0)
        return Usage(
            input_tokens=heard,
            output_tokens=said,
            total_tokens=heard + said,
            input_text_tokens=heard,
            cached_tokens=cached,
            cached_text_tokens=cached,
            output_text_tokens=said,
        )
