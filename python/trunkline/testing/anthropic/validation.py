"""What Anthropic refuses in a request (sections 1.1, 1.2 and 1.4 of its page)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

VERSIONS: Final = ("2023-06-01", "2026-10-21")
_SAMPLING: Final = ("temperature", "top_p", "top_k")


class Refusal(Exception):
    """Why a request is refused: status, the error's type, and the sentence."""

    def __init__(self, message: str, *, status: int = 400, kind: str = "invalid_request_error") -> None:
        self.message = message
        self.status = status
        self.kind = kind
        super().__init__(message)


def check_headers(headers: Mapping[str, str], api_key: str | None) -> str:
    """The version of the protocol that the request speaks.

    Raises:
        Refusal: There is no key or a wrong one, no version or an unknown one.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = headers.get("x-api-key", "") or (token.strip() if scheme.lower() == "bearer" else "")
    if not key or (api_key is not None and key != api_key):
        raise Refusal("invalid x-api-key", status=401, kind="authentication_error")
    version = headers.get("anthropic-version", "")
    if version not in VERSIONS:
        raise Refusal("anthropic-version: header is required" if not version else "anthropic-version: unknown version")
    return version


def check_body(body: Mapping[str, Any], version: str, *, prefill: bool) -> None:
    """See that the service would take it.

    Raises:
        Refusal: It would not.
    """
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise Refusal(f"{name}: Field required")
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        raise Refusal("max_tokens: must be a whole number above 0")
    if version != VERSIONS[0]:
        for name in _SAMPLING:
            if name in body:
                raise Refusal(f"{name}: is not supported in this version")
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        raise Refusal("messages: at least one message is required")
    blocks = [(message.get("role"), blocks_of(message, index)) for index, message in enumerate(messages)]
    if blocks[0][0] != "user":
        raise Refusal('messages: first message must use the "user" role')
    _check_end(messages[-1], prefill=prefill)
    _check_tools(_merged(blocks), has_tools=bool(body.get("tools")))


def check_model(model: str, models: Collection[str] | None) -> None:
    """See that there is such a model; None means any.

    Raises:
        Refusal: There is not.
    """
    if models is not None and model not in models:
        raise Refusal(f"model: {model}", status=404, kind="not_found_error")


def blocks_of(message: Mapping[str, Any], index: int) -> list[dict[str, Any]]:
    """A message's content as blocks.

    Raises:
        Refusal: The role does not exist, or a text is empty.
    """
    if message.get("role") not in {"user", "assistant"}:
        raise Refusal(f"messages.{index}.role: must be user or assistant")
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
    for number, block in enumerate(blocks):
        if block.get("type") == "text" and not str(block.get("text", "")).strip():
            raise Refusal(f"messages.{index}.content.{number}: text content blocks must be non-empty")
    return blocks


def _check_end(last: Mapping[str, Any], *, prefill: bool) -> None:
    if last.get("role") != "assistant":
        return
    if not prefill:
        raise Refusal("messages: the final message must not be the assistant's with this model")
    text = blocks_of(last, 0)[-1].get("text", "")
    if text != text.rstrip():
        raise Refusal("messages: final assistant content cannot end with trailing whitespace")


def _merged(blocks: Sequence[tuple[Any, list[dict[str, Any]]]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Consecutive messages of one role count as one."""
    merged: list[tuple[str, list[dict[str, Any]]]] = []
    for role, content in blocks:
        if merged and merged[-1][0] == role:
            merged[-1][1].extend(content)
        else:
            merged.append((role, list(content)))
    return merged


def _check_tools(messages: Sequence[tuple[str, list[dict[str, Any]]]], *, has_tools: bool) -> None:
    expected: list[str] = []
    for index, (_, content) in enumerate(messages):
        results = [str(block.get("tool_use_id")) for block in content if block.get("type") == "tool_result"]
        if sorted(results) != sorted(expected):
            missing = sorted(set(expected) - set(results))
            said = f"`tool_use` ids without `tool_result` blocks immediately after: {', '.join(missing)}"
            raise Refusal(f"messages.{index}: {said if missing else 'unexpected `tool_result` block'}")
        if any(block.get("type") != "tool_result" for block in content[: len(results)]):
            raise Refusal(f"messages.{index}: `tool_result` blocks must come first")
        uses = [block for block in content if block.get("type") == "tool_use"]
        if any(not isinstance(block.get("input"), dict) for block in uses):
            raise Refusal(f"messages.{index}: the input of a `tool_use` block must be an object")
        expected = [str(block.get("id")) for block in uses]
        if (uses or results) and not has_tools:
            raise Refusal("tools: must be present where messages have tool blocks")
    if expected:
        raise Refusal(f"messages: `tool_use` ids without `tool_result` blocks: {', '.join(expected)}")
