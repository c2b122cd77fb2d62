"""The official SDK's types as a strict judge of server events: what it would let through as an extra is a mistake here."""

from collections.abc import Iterator
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

_SERVER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
# What the real service sends besides what the SDK knows.
_EXTRAS = {
    "session": {"object", "id", "expires_at"},
    "item": {"phase"},
    "output": {"phase"},
    "output_token_details": {"reasoning_tokens"},
}
_PADDED = (
    "response.output_audio_transcript.delta",
    "response.output_text.delta",
    "response.function_call_arguments.delta",
    "conversation.item.input_audio_transcription.delta",
)


def strict_server_event(event: dict[str, Any]) -> None:
    """Raise if the SDK refuses the event, or if it holds a key that neither the SDK nor the recordings know."""
    model = _SERVER.validate_python(event)
    allowed = {"obfuscation"} if event["type"] in _PADDED else set()
    unknown = [path for path, name in _extras(model, "") if (path, name) not in {(name, name) for name in allowed}]
    assert not unknown, f"{event['type']} holds unknown keys: {unknown}"


def _extras(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for element in value:
            yield from _extras(element, path)
    if not isinstance(value, BaseModel):
        return
    within = path.rpartition(".")[2]
    for name in value.model_extra or {}:
        if name not in _EXTRAS.get(within, ()):
            yield (f"{path}.{name}" if path else name), name
    for name in type(value).model_fields:
        yield from _extras(getattr(value, name), f"{path}.{name}" if path else name)
