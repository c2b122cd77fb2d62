"""The older dialect of OpenAI Realtime ("Beta"), which compatible servers still speak: the same events with a flat session.

The vendor itself switched it off in May 2026. What a server sends in it is read by `openai.parse`, which knows both sets of names; what a
client sends is written as always (`commands`) and put into the dialect by `to_beta`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from trunkline.errors import InvalidConfig
from trunkline.wire.realtime.openai.session import BETA_FORMATS, FORMATS

HEADER = ("OpenAI-Beta", "realtime=v1")

_NO_FIELD = "the older dialect has no such field"
_FORMATS: Mapping[str, str] = {str(FORMATS[known]["type"]): word for word, known in BETA_FORMATS.items()}
_CONTENT: Mapping[str, str] = {"output_text": "text", "output_audio": "audio"}

# Where a field of the session or of a response goes; what is not here, the dialect does not have.
_NAMES: Mapping[str, str] = {
    "output_modalities": "modalities",
    "instructions": "instructions",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "tracing": "tracing",
    "temperature": "temperature",
    "conversation": "conversation",
    "input": "input",
    "metadata": "metadata",
    "max_output_tokens": "max_response_output_tokens",
    "audio.input.format": "input_audio_format",
    "audio.input.transcription": "input_audio_transcription",
    "audio.input.noise_reduction": "input_audio_noise_reduction",
    "audio.input.turn_detection": "turn_detection",
    "audio.output.format": "output_audio_format",
    "audio.output.voice": "voice",
    "audio.output.speed": "speed",
}


def to_beta(message: str) -> str:
    """A client event of `commands` in the older dialect.

    Raises:
        InvalidConfig: It asks for what the dialect does not have; `field` is its path in the GA session.
    """
    if message.startswith('{"type":"input_audio_buffer.'):
        return message
    event = json.loads(message)
    match event["type"]:
        case "session.update":
            event["session"] = _flat(event["session"], "session")
        case "response.create" if "response" in event:
            event["response"] = _flat(event["response"], "response")
        case "conversation.item.create":
            event["item"] = _item(event["item"])
        case _:
            return message
    return json.dumps(event, separators=(",", ":"))


def _flat(told: Mapping[str, Any], where: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for path, value in _leaves(told):
        if path == "type":
            continue
        if path not in _NAMES:
            raise InvalidConfig(f"{where}.{path}", _NO_FIELD)
        flat[_NAMES[path]] = _value(path, value, f"{where}.{path}")
    return flat


def _leaves(told: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each field, those of `audio`, `audio.input` and `audio.output` by themselves."""
    for name, value in told.items():
        if path + name in {"audio", "audio.input", "audio.output"}:
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield path + name, value


def _value(path: str, value: Any, where: str) -> Any:
    match path:
        case "output_modalities":
            return ["audio", "text"] if "audio" in value else ["text"]
        case "audio.input.format" | "audio.output.format":
            return _FORMATS[value["type"]]
        case "audio.input.transcription" if value is not None:
            _only(value, {"model", "language", "prompt"}, where)
        case "audio.input.noise_reduction" if value is not None:
            _only(value, {"type"}, where)
        case "audio.input.turn_detection" if value is not None:
            _only({name for name in value if value[name] is not None}, _TURN_DETECTION, where)
            return {name: member for name, member in value.items() if member is not None}
        case "audio.output.voice" | "tool_choice" if not isinstance(value, str):
            raise InvalidConfig(where, "the older dialect takes a word here, not an object")
        case "tools":
            for tool in value:
                if tool["type"] != "function":
                    raise InvalidConfig(where, f"the older dialect has no tools of type {tool['type']!r}")
        case "input":
            return [_item(item) for item in value]
    return value


_TURN_DETECTION = {
    "type",
    "threshold",
    "prefix_padding_ms",
    "silence_duration_ms",
    "eagerness",
    "create_response",
    "interrupt_response",
}


def _only(told: Mapping[str, Any] | set[str], known: set[str], where: str) -> None:
    for name in sorted(set(told) - known):
        raise InvalidConfig(f"{where}.{name}", _NO_FIELD)


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    if "content" not in item:
        return dict(item)
    content = [{**part, "type": _CONTENT.get(part.get("type"), part.get("type"))} for part in item["content"]]
    return {**item, "content": content}
