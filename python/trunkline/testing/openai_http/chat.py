"""Chat Completions: what is refused, and how an answer is streamed."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain, Tools
from trunkline.testing.openai_http.chunks import Chunks, Quirk, sse, whole_completion
from trunkline.testing.openai_http.door import (
    Refusal,
    check_key,
    json_response,
    refused,
    refused_on_purpose,
    request_id,
)
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
from trunkline.transport import Request, Response, Route, SendBody

_THINKS = ("gpt-5.6", "gpt-6")
"""Models whose tools need `reasoning_effort="none"`, and which have new names for some members."""
_ALWAYS_THINKS = ("gpt-6-astra", "gpt-6.1-sol")
_ROLES = ("developer", "system", "user", "assistant", "tool")


class ChatCompletions:
    """`POST /v1/chat/completions`.

    `received` holds every request's body, and `aborted` counts the clients that left in the middle of a stream.

    Args:
        brain: Decides what is answered; without one it greets.
        api_key: The key that is accepted; None for any.
        models: The models that there are; None for any.
        quirks: What it does in the way of other servers.
        thinking: What the model thinks before each answer; where it stands is a matter of `quirks`.
        finish_reason: In place of the one that follows from an answer, such as "content_filter".
        sending: How answers are sent.
        clock: Where the service's time comes from, if `sending` does not say.
    """

    def __init__(
        self,
        *,
        brain: TextBrain | None = None,
        api_key: str | None = None,
        models: Collection[str] | None = None,
        quirks: Collection[Quirk] = (),
        thinking: str = "",
        finish_reason: str | None = None,
        sending: Sending | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.received: list[dict[str, Any]] = []
        self.aborted = 0
        self.routes = [Route("POST", "/v1/chat/completions", self._complete)]
        self._brain = brain or ScriptedBrain(answers=lambda _history: [Say("Hello. How can I help you?")])
        self._api_key = api_key
        self._models = models
        self._quirks = quirks
        self._thinking = thinking
        self._finish_reason = finish_reason
        self._sending = sending or Sending(clock=clock)
        self._script = StreamScript()

    def script(self, faults: Iterable[StreamFault | None]) -> None:
        """Let these go wrong, one per request; None serves one."""
        self._script.extend(faults)

    def forget(self) -> None:
        """Let nothing of the script happen that has not happened."""
        self._script.clear()

    async def _complete(self, request: Request) -> Response:
        fault = self._script.next()
        if isinstance(fault, SlowHeaders):
            await self._sending.clock.sleep_until(self._sending.clock.now() + fault.seconds)
        try:
            if isinstance(fault, Refuse):
                return refused_on_purpose(fault, integer_code="integer_code" in self._quirks)
            check_key(request.headers, self._api_key)
            body = _object(request.body)
            self.received.append(body)
            _check(body, self._models)
        except Refusal as refusal:
            return refused(refusal)
        answer = await self._brain.answer(_history(body), instructions=_instructions(body), tools=_tools(body))
        return self._answered(body, answer, fault)

    def _answered(self, body: dict[str, Any], answer: Sequence[Say | CallTool], fault: StreamFault | None) -> Response:
        chunks = Chunks(body, self._sending, self._quirks)
        events = chunks.answer(answer, thinking=self._thinking, finish_reason=self._finish_reason)
        if not body.get("stream"):
            return json_response(whole_completion(events))
        message, code = (fault.message, fault.code) if isinstance(fault, ErrorInStream) else ("", "")
        writer = StreamWriter(
            self._sending,
            fault,
            events=events,
            error=sse({"error": self._error(message, code)}).data,
            limited=b"".join(event.data for event in chunks.end("length", len(events))),
        )

        async def write(send: SendBody) -> None:
            try:
                await writer.write(send)
            finally:
                self.aborted += writer.aborted

        return Response(200, write, headers=request_id(), media_type="text/event-stream; charset=utf-8")

    def _error(self, message: str, code: str) -> dict[str, Any]:
        named: str | int | None = 500 if "integer_code" in self._quirks else code or None
        return {"message": message, "type": "server_error", "param": None, "code": named}


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refusal("We could not parse the JSON body of your request.") from error
    if not isinstance(value, dict):
        raise Refusal("The body must be an object.")
    return value


def _check(body: Mapping[str, Any], models: Collection[str] | None) -> None:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal("you must provide a model parameter")
    if models is not None and model not in models:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise Refusal(message, status=404, code="model_not_found")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal("'messages' must be a list with at least one message", param="messages")
    if model.startswith(_THINKS):
        _check_thinking(body, model)
    _check_messages(messages)


def _check_thinking(body: Mapping[str, Any], model: str) -> None:
    for name in ("max_tokens", "stop"):
        if name in body:
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            raise Refusal(message, param=name, code="unsupported_parameter")
    is_off = body.get("reasoning_effort") == "none" and not model.startswith(_ALWAYS_THINKS)
    if body.get("tools") and not is_off:
        message = "Function tools with reasoning_effort are not supported here. Use /v1/responses, or 'none'."
        raise Refusal(message, param="reasoning_effort")
    if body.get("temperature", 1) != 1 and not is_off:
        message = "Unsupported value: 'temperature' does not support this value with this model."
        raise Refusal(message, param="temperature", code="unsupported_value")


def _check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    expected: list[str] = []
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            raise Refusal(f"Invalid value: '{role}'.", param=f"messages[{index}].role", code="invalid_value")
        if role == "tool":
            if message.get("tool_call_id") not in expected:
                text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
                raise Refusal(text, param=f"messages.[{index}].role")
            expected.remove(str(message["tool_call_id"]))
            continue
        _refuse_open(expected, index)
        calls = message.get("tool_calls") or ()
        if role != "assistant" or not calls:
            if not isinstance(message.get("content"), str | list):
                raise Refusal("Invalid value for 'content'.", param=f"messages.[{index}].content")
            continue
        for call in calls:
            if not isinstance(call["function"].get("arguments"), str):
                raise Refusal("Invalid type for 'arguments': expected a string.", code="invalid_type")
        expected = [call["id"] for call in calls]
    _refuse_open(expected, len(messages))


def _refuse_open(expected: Sequence[str], index: int) -> None:
    if expected:
        text = "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
        raise Refusal(f"{text} 'tool_call_id'. Missing: {', '.join(expected)}", param=f"messages.[{index}].role")


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""


def _instructions(body: Mapping[str, Any]) -> str:
    return "\n".join(_text(said["content"]) for said in body["messages"] if said["role"] in {"system", "developer"})


def _tools(body: Mapping[str, Any]) -> Tools:
    if body.get("tool_choice") == "none":
        return {}
    functions = [tool["function"] for tool in body.get("tools") or ()]
    return {function["name"]: function.get("parameters", {}) for function in functions}


def _history(body: Mapping[str, Any]) -> list[Heard]:
    history: list[Heard] = []
    names: dict[str, str] = {}
    for message in body["messages"]:
        names |= {call["id"]: call["function"]["name"] for call in message.get("tool_calls") or ()}
        match message["role"]:
            case "tool":
                history.append(Heard("tool", _text(message["content"]), names[message["tool_call_id"]]))
            case "user" | "assistant" as role if text := _text(message.get("content")):
                history.append(Heard(role, text))
    return history
