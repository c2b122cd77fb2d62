"""Anthropic's service: who may ask, what is refused, and how an answer is streamed."""

import json
import math
import ssl
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self
from uuid import uuid4

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.anthropic.events import answer_events, end_events, sse
from trunkline.testing.anthropic.validation import Refusal, blocks_of, check_body, check_headers, check_model
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain, Tools
from trunkline.testing.text_stream import (
    ErrorInStream,
    Refuse,
    Sending,
    SlowHeaders,
    StreamFault,
    StreamScript,
    StreamWriter,
    TextBrain,
)
from trunkline.testing.tls import loopback_tls
from trunkline.transport import Request, Response, Route, Server, ServerLimits

LIMITS = ServerLimits(body=32 * 2**20, handler_timeout=math.inf)

_KIND_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicSimulator:
    """Anthropic's Messages API on loopback, for tests of language models, ours and yours; the official SDK works with it unchanged.

        async with AnthropicSimulator(brain=ScriptedBrain(answers=[[Say("Hello.")]])) as vendor:
            client = AsyncAnthropic(api_key="any", base_url=vendor.url)

    `received` holds every request's body, `headers` the headers that came with it, `aborted` counts the clients that left in the middle
    of a stream.

    Args:
        brain: Decides what is answered; without one it greets.
        api_key: The key that is accepted; None for any.
        models: The models that there are; None for any.
        thinking: What the model thinks before each answer, as a block of its own.
        stop_reason: In place of the one that follows from an answer, such as "refusal".
        prefill: Whether the last message may be the assistant's, as with older models.
        pieces: See `Sending`, as for the next three.
        segments: See there.
        first_delay: See there.
        piece_delay: See there.
        clock: Where the service's time comes from.
        tls: True to serve TLS with a certificate of its own, which a client trusts with `client_tls` (needs the extra `testing`).
        port: 0 for any free one.
    """

    def __init__(
        self,
        *,
        brain: TextBrain | None = None,
        api_key: str | None = None,
        models: Collection[str] | None = None,
        thinking: str = "",
        stop_reason: str | None = None,
        prefill: bool = False,
        pieces: Literal["word", "character", "whole"] = "word",
        segments: Literal["event", "all", "byte"] = "event",
        first_delay: float = 0.0,
        piece_delay: float = 0.0,
        clock: Clock = SYSTEM_CLOCK,
        tls: bool = False,
        port: int = 0,
    ) -> None:
        self.received: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.aborted = 0
        self._brain = brain or ScriptedBrain(answers=lambda _history: [Say("Hello. How can I help you?")])
        self._api_key = api_key
        self._models = models
        self._thinking = thinking
        self._stop_reason = stop_reason
        self._prefill = prefill
        self._sending = Sending(
            pieces=pieces, segments=segments, first_delay=first_delay, piece_delay=piece_delay, clock=clock
        )
        self._script = StreamScript()
        served: ssl.SSLContext | None = None
        self.client_tls: ssl.SSLContext | None = None
        if tls:
            served, self.client_tls = loopback_tls()
        routes = [Route("POST", "/v1/messages", self._messages)]
        self._server = Server(routes, port=port, tls=served, grace=0.0, limits=LIMITS)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The `base_url` for a client; without `/v1`, which clients add."""
        return self._server.url

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._server.connections

    def script(self, faults: Iterable[StreamFault | None]) -> None:
        """Let these go wrong, one per request; None serves one."""
        self._script.extend(faults)

    def forget(self) -> None:
        """Let nothing of the script happen that has not happened."""
        self._script.clear()

    async def _messages(self, request: Request) -> Response:
        fault = self._script.next()
        if isinstance(fault, SlowHeaders):
            await self._sending.clock.sleep_until(self._sending.clock.now() + fault.seconds)
        headers = {name.lower(): value for name, value in request.headers}
        self.headers.append(headers)
        try:
            if isinstance(fault, Refuse):
                return _refused(fault)
            version = check_headers(headers, self._api_key)
            body = _object(request.body)
            self.received.append(body)
            check_body(body, version, prefill=self._prefill)
            check_model(body["model"], self._models)
        except Refusal as refusal:
            return _error(refusal.status, refusal.kind, refusal.message)
        answer = await self._brain.answer(_history(body), instructions=_system(body), tools=_tools(body))
        return self._answered(body, answer, fault)

    def _answered(self, body: dict[str, Any], answer: Sequence[Say | CallTool], fault: StreamFault | None) -> Response:
        events = answer_events(
            body["model"], answer, self._sending, thinking=self._thinking, stop_reason=self._stop_reason
        )
        if not body.get("stream"):
            return Response(
                200, json.dumps(whole_message(events)), headers=_request_id(), media_type="application/json"
            )
        kind = fault.code if isinstance(fault, ErrorInStream) and fault.code else "overloaded_error"
        message = fault.message if isinstance(fault, ErrorInStream) else ""
        error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{uuid4().hex}"}
        writer = StreamWriter(
            self._sending,
            fault,
            events=events,
            error=sse(error).data,
            limited=b"".join(event.data for event in end_events("max_tokens", body["max_tokens"])),
        )

        async def write(send: Any) -> None:
            try:
                await writer.write(send)
            finally:
                self.aborted += writer.aborted

        return Response(200, write, headers=_request_id(), media_type="text/event-stream; charset=utf-8")


def whole_message(events: Iterable[Any]) -> dict[str, Any]:
    """The same answer for a client that asked for no stream."""
    message: dict[str, Any] = {}
    pieces: dict[int, str] = {}
    for event in events:
        fields = json.loads(event.data.partition(b"data: ")[2])
        match fields["type"]:
            case "message_start":
                message = fields["message"]
            case "content_block_start":
                message["content"].append(fields["content_block"])
            case "content_block_delta":
                block, delta = message["content"][fields["index"]], fields["delta"]
                if delta["type"] == "input_json_delta":
                    pieces[fields["index"]] = pieces.get(fields["index"], "") + delta["partial_json"]
                    block["input"] = {}
                else:
                    name = delta["type"].removesuffix("_delta")
                    block[name] = block.get(name, "") + delta[name]
            case "message_delta":
                message.update(fields["delta"])
                message["usage"].update(fields["usage"])
    for index, text in pieces.items():
        message["content"][index]["input"] = json.loads(text or "{}")
    return message


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refusal("The request body is not valid JSON") from error
    if not isinstance(value, dict):
        raise Refusal("The request body is not an object")
    return value


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content or () if block.get("type") == "text")  # type: ignore[attr-defined]


def _system(body: Mapping[str, Any]) -> str:
    return _text(body.get("system", ""))


def _tools(body: Mapping[str, Any]) -> Tools:
    if body.get("tool_choice", {}).get("type") == "none":
        return {}
    return {tool["name"]: tool["input_schema"] for tool in body.get("tools", ())}


def _history(body: Mapping[str, Any]) -> list[Heard]:
    history: list[Heard] = []
    names: dict[str, str] = {}
    for index, message in enumerate(body["messages"]):
        for block in blocks_of(message, index):
            match block["type"]:
                case "text":
                    history.append(Heard(message["role"], block["text"]))
                case "tool_use":
                    names[block["id"]] = block["name"]
                case "tool_result":
                    history.append(Heard("tool", _text(block.get("content", "")), names.get(block["tool_use_id"], "")))
    return history


def _refused(fault: Refuse) -> Response:
    headers = [] if fault.retry_after is None else [("retry-after", fault.retry_after)]
    if fault.body is not None:
        return Response(fault.status, fault.body, headers=headers, media_type="text/html")
    kind = fault.code or _KIND_OF_STATUS.get(fault.status, "api_error")
    return _error(fault.status, kind, fault.message, headers)


def _error(status: int, kind: str, message: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
    (name, request_id) = _request_id()[0]
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    return Response(status, json.dumps(body), headers=[*headers, (name, request_id)], media_type="application/json")


def _request_id() -> list[tuple[str, str]]:
    return [("request-id", f"req_{uuid4().hex}")]
