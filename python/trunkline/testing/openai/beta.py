"""The beta interface (§14 of the protocol): a flat session, older names, and items that are created rather than added."""

from collections.abc import Mapping
from typing import Any

from trunkline.testing.openai.ids import new_id
from trunkline.testing.openai.refusal import Refusal, invalid_value, unknown_parameter
from trunkline.testing.openai.usage import TOKENS_PER_MINUTE

_FORMATS: Mapping[str, Mapping[str, Any]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES = {wire["type"]: name for name, wire in _FORMATS.items()}
_MODALITIES = (["text"], ["audio", "text"], ["text", "audio"])

# Where a flat field of the session stands in the service's own session object.
_SESSION = {
    "modalities": "output_modalities",
    "instructions": "instructions",
    "voice": "audio.output.voice",
    "speed": "audio.output.speed",
    "input_audio_format": "audio.input.format",
    "output_audio_format": "audio.output.format",
    "input_audio_transcription": "audio.input.transcription",
    "input_audio_noise_reduction": "audio.input.noise_reduction",
    "turn_detection": "audio.input.turn_detection",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "max_response_output_tokens": "max_output_tokens",
    "tracing": "tracing",
    "model": "model",
}
_RESPONSE = {
    "modalities": "output_modalities",
    "instructions": "instructions",
    "voice": "audio.output.voice",
    "output_audio_format": "audio.output.format",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "max_response_output_tokens": "max_output_tokens",
    "conversation": "conversation",
    "input": "input",
    "metadata": "metadata",
}
_CONTENT = {"output_text": "text", "output_audio": "audio"}
EVENT_NAMES = {
    "conversation.item.added": "conversation.item.created",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
}
# The beta says when an item comes, not when it is final, and tells the limits when a response begins, not when it ends.
_UNSAID = {"conversation.item.done", "rate_limits.updated"}
_HOTTEST, _COLDEST, _DEFAULT_TEMPERATURE = 1.2, 0.6, 0.8


class Beta:
    """One session's translator between the beta and the service's own interface."""

    def __init__(self) -> None:
        self._temperature = _DEFAULT_TEMPERATURE
        self._conversation = new_id("conv")

    # ── to the client ────────────────────────────────────────────────────────────────────────────────────────────────

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The event under its older name, with what the beta says besides, or nothing."""
        kind = event["type"]
        if kind in _UNSAID:
            return []
        wire = {name: value for name, value in event.items() if name != "obfuscation"}
        wire["type"] = EVENT_NAMES.get(kind, kind)
        if kind == "response.function_call_arguments.done":
            del wire["name"]
        for name, turn in (
            ("session", self._session),
            ("response", self._response),
            ("item", _item),
            ("error", _error),
        ):
            if name in wire:
                wire[name] = turn(wire[name])
        if kind == "session.created":
            conversation = {"id": self._conversation, "object": "realtime.conversation"}
            return [wire, {"type": "conversation.created", "event_id": new_id("event"), "conversation": conversation}]
        if kind == "response.created":
            return [wire, {"type": "rate_limits.updated", "event_id": new_id("event"), "rate_limits": _rate_limits()}]
        return [wire]

    def _session(self, wire: Mapping[str, Any]) -> dict[str, Any]:
        flat = {"object": wire["object"], "id": wire["id"]}
        flat |= {name: _flat_value(name, _at(wire, path)) for name, path in _SESSION.items()}
        turns = flat["turn_detection"]
        if turns is not None:
            flat["turn_detection"] = {name: value for name, value in turns.items() if value is not None}
        return flat | {"temperature": self._temperature, "client_secret": None, "expires_at": wire["expires_at"]}

    def _response(self, wire: Mapping[str, Any]) -> dict[str, Any]:
        names = ("object", "id", "status", "status_details", "max_output_tokens", "metadata")
        flat = {name: wire[name] for name in names}
        flat["output"] = [_item(item) for item in wire["output"]]
        flat["conversation_id"] = None if wire["conversation_id"] is None else self._conversation
        flat["usage"] = None if wire["usage"] is None else _usage(wire["usage"])
        for name in ("modalities", "voice", "output_audio_format"):
            flat[name] = _flat_value(name, _at(wire, _RESPONSE[name]))
        return flat | {"temperature": self._temperature}

    # ── from the client ──────────────────────────────────────────────────────────────────────────────────────────────

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event with nested settings and the service's own names.

        Raises:
            Refusal: The beta has no such field, or no such value of it.
        """
        match event:
            case {"type": "session.update", "session": dict(session)}:
                temperature = self._checked(session, "session")
                update = {"type": "realtime"} | _nested(session, _SESSION, "session")
                self._temperature = temperature
                return {**event, "session": update}
            case {"type": "response.create", "response": dict(response)}:
                self._checked(response, "response")
                options = _nested(response, _RESPONSE, "response")
                if isinstance(options.get("input"), list):
                    options["input"] = [_own_item(item) for item in options["input"]]
                return {**event, "response": options}
            case {"type": "conversation.item.create", "item": dict(item)}:
                return {**event, "item": _own_item(item)}
            case _:
                return event

    def _checked(self, wire: Mapping[str, Any], place: str) -> float:
        temperature = wire.get("temperature", self._temperature)
        if not isinstance(temperature, int | float) or not _COLDEST <= temperature <= _HOTTEST:
            sentence = f"Expected a number between {_COLDEST} and {_HOTTEST}."
            raise invalid_value(temperature, f"{place}.temperature", sentence)
        return temperature


def _nested(wire: Mapping[str, Any], places: Mapping[str, str], place: str) -> dict[str, Any]:
    own: dict[str, Any] = {}
    for name, value in wire.items():
        if name == "temperature":
            continue
        if name not in places:
            raise unknown_parameter(f"{place}.{name}")
        *sections, last = places[name].split(".")
        section = own
        for step in sections:
            section = section.setdefault(step, {})
        section[last] = _read(name, value, f"{place}.{name}")
    return own


def _read(name: str, value: Any, path: str) -> Any:
    if name.endswith("_audio_format"):
        if value not in _FORMATS:
            raise invalid_value(value, path, _FORMATS)
        return _FORMATS[value]
    if name == "modalities":
        if value not in _MODALITIES:
            supported = "Supported combinations are: ['text'] and ['audio', 'text']."
            raise Refusal("invalid_value", f"Invalid modalities: {value}. {supported}", path)
        return ["audio"] if "audio" in value else ["text"]
    return value


def _flat_value(name: str, value: Any) -> Any:
    if name.endswith("_audio_format"):
        return _FORMAT_NAMES[value["type"]]
    if name == "modalities":
        return ["audio", "text"] if value == ["audio"] else value
    return value


def _at(wire: Mapping[str, Any], path: str) -> Any:
    value: Any = wire
    for step in path.split("."):
        value = value[step]
    return value


def _item(wire: Mapping[str, Any]) -> dict[str, Any]:
    flat = {"object": "realtime.item"} | {name: value for name, value in wire.items() if name != "phase"}
    if "content" in flat:
        flat["content"] = [part | {"type": _CONTENT.get(part["type"], part["type"])} for part in flat["content"]]
    return flat


def _own_item(wire: Any) -> Any:
    if not isinstance(wire, dict) or not isinstance(wire.get("content"), list):
        return wire
    names = {older: name for name, older in _CONTENT.items()}
    content = [
        part | {"type": names[part["type"]]} if isinstance(part, dict) and part.get("type") in names else part
        for part in wire["content"]
    ]
    return {**wire, "content": content}


def _usage(wire: Mapping[str, Any]) -> dict[str, Any]:
    counted = {
        "input_token_details": ("text_tokens", "audio_tokens", "cached_tokens"),
        "output_token_details": ("text_tokens", "audio_tokens"),
    }
    return {
        name: {part: value[part] for part in counted[name]} if name in counted else value
        for name, value in wire.items()
    }


def _error(wire: Mapping[str, Any]) -> dict[str, Any]:
    """The refusal with the flat names of the fields."""
    flat = dict(wire)
    for name, path in _SESSION.items():
        for key in ("param", "message"):
            if isinstance(flat[key], str):
                flat[key] = flat[key].replace(f"session.{path}", f"session.{name}")
    return flat


def _rate_limits() -> list[dict[str, Any]]:
    tokens = {"name": "tokens", "limit": TOKENS_PER_MINUTE, "remaining": TOKENS_PER_MINUTE, "reset_seconds": 0.0}
    return [{"name": "requests", "limit": 5000, "remaining": 4999, "reset_seconds": 0.012}, tokens]
