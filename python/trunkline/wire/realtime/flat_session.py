"""The flat session of the older Realtime dialect, which compatible servers and other vendors speak.

Elsewhere sessions have the nested shape: `audio.input.format`, `output_modalities` and so on. A `FlatShape` makes the flat one of it:
`input_audio_format`, `modalities`. Names and words are tables, so that a vendor whose flat session has other fields passes its own. What
such a server sends has other names too (`EVENT_NAMES`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from trunkline.errors import InvalidConfig

EVENT_NAMES: Final[Mapping[str, str]] = {
    "conversation.item.created": "conversation.item.added",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}
"""The older names of a server's events, and the present ones."""

FIELDS: Final[Mapping[str, str]] = {
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
"""Where a field of the nested session, or of a response, stands in the flat one; what is not here, the dialect does not have."""

FORMATS: Final[Mapping[str, str]] = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
"""The type of a nested format, and the flat word for it."""

_NO_FIELD: Final = "the older dialect has no such field"
_CONTENT: Final[Mapping[str, str]] = {"output_text": "text", "output_audio": "audio"}
_MEMBERS: Final[Mapping[str, frozenset[str]]] = {
    "audio.input.transcription": frozenset({"model", "language", "prompt"}),
    "audio.input.noise_reduction": frozenset({"type"}),
    "audio.input.turn_detection": frozenset(
        {
            "type",
            "threshold",
            "prefix_padding_ms",
            "silence_duration_ms",
            "eagerness",
            "create_response",
            "interrupt_response",
        }
    ),
}


class FlatShape:
    """One vendor's flat session.

    Args:
        fields: Where each field goes, by its path in the nested session.
        formats: The word for each type of format.
    """

    def __init__(self, fields: Mapping[str, str] = FIELDS, formats: Mapping[str, str] = FORMATS) -> None:
        self._fields = fields
        self._formats = formats

    def session(self, nested: Mapping[str, Any]) -> dict[str, Any]:
        """The object of `session.update`.

        Raises:
            InvalidConfig: It asks for what the dialect does not have; `field` is its path in the nested session.
        """
        return self._flat(nested, "session")

    def response(self, nested: Mapping[str, Any]) -> dict[str, Any]:
        """The object of `response.create`, likewise."""
        return self._flat(nested, "response")

    def item(self, nested: Mapping[str, Any]) -> dict[str, Any]:
        """The item of `conversation.item.create`: what the model said is called `text` and `audio` there."""
        if "content" not in nested:
            return dict(nested)
        content = [{**part, "type": _CONTENT.get(part.get("type"), part.get("type"))} for part in nested["content"]]
        return {**nested, "content": content}

    def _flat(self, nested: Mapping[str, Any], where: str) -> dict[str, Any]:
        flat: dict[str, Any] = {}
        for path, value in _leaves(nested):
            if path == "type":
                continue
            if path not in self._fields:
                raise InvalidConfig(f"{where}.{path}", _NO_FIELD)
            flat[self._fields[path]] = self._value(path, value, f"{where}.{path}")
        return flat

    def _value(self, path: str, value: Any, where: str) -> Any:
        match path:
            case "output_modalities":
                return ["audio", "text"] if "audio" in value else ["text"]
            case "audio.input.format" | "audio.output.format":
                return self._formats[value["type"]]
            case "audio.input.transcription" | "audio.input.noise_reduction" | "audio.input.turn_detection":
                return None if value is None else _only(value, _MEMBERS[path], where)
            case "audio.output.voice" | "tool_choice" if not isinstance(value, str):
                raise InvalidConfig(where, "the older dialect takes a word here, not an object")
            case "tools":
                for tool in value:
                    if tool["type"] != "function":
                        raise InvalidConfig(where, f"the older dialect has no tools of type {tool['type']!r}")
            case "input":
                return [self.item(item) for item in value]
        return value


def _leaves(nested: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each field, those of `audio`, `audio.input` and `audio.output` by themselves."""
    for name, value in nested.items():
        if path + name in {"audio", "audio.input", "audio.output"}:
            yield from _leaves(value, f"{path}{name}.")
        else:
            yield path + name, value


def _only(members: Mapping[str, Any], known: frozenset[str], where: str) -> dict[str, Any]:
    """The members that are set.

    Raises:
        InvalidConfig: One of them is none that the dialect has.
    """
    given = {name: value for name, value in members.items() if value is not None}
    for name in sorted(given.keys() - known):
        raise InvalidConfig(f"{where}.{name}", _NO_FIELD)
    return given
