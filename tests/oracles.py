"""The vendors' own SDKs as judges of what is sent: strict, so that a misspelt key is caught too."""

import json
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from pydantic import BaseModel, TypeAdapter

# What OpenAI's service sends beyond its published schema.
_SERVER_EXTRAS = {
    "session": {"object", "id", "expires_at"},
    "item": {"phase"},
    "output_token_details": {"reasoning_tokens"},
}


def strict_client_event(text: str | bytes) -> Any:
    """Check an event for OpenAI Realtime with the official SDK's types; any key that they do not have is an error."""
    event = _openai("RealtimeClientEvent").validate_python(json.loads(text))
    extras = [path for path, _ in _extras(event, "")]
    if extras:
        raise AssertionError(f"not in the SDK's types: {', '.join(extras)}")
    return event


def strict_server_event(text: str | bytes) -> Any:
    """Check an event from OpenAI Realtime likewise; only the extra keys that the real service sends are allowed."""
    told = json.loads(text)
    event = _openai("RealtimeServerEvent").validate_python(told)
    extras = [path for path, place in _extras(event, "") if not _known_extra(path, place, told["type"])]
    if extras:
        raise AssertionError(f"not in the SDK's types: {', '.join(extras)}")
    return event


def strict_beta_client_event(text: str | bytes) -> Any:
    """Check an event for a server of the older dialect with the SDK's types of that dialect; no further keys."""
    event = _openai("RealtimeClientEvent", "beta.realtime").validate_python(json.loads(text))
    extras = [path for path, _ in _extras(event, "")]
    if extras:
        raise AssertionError(f"not in the SDK's types: {', '.join(extras)}")
    return event


def check_beta_server_event(text: str | bytes) -> Any:
    """Check an event from such a server; further keys pass, since those types stopped with the dialect."""
    return _openai("RealtimeServerEvent", "beta.realtime").validate_python(json.loads(text))


def strict_gemini_client_message(text: str | bytes) -> Any:
    """Check a message for Gemini Live with the official SDK's types, which refuse unknown keys, and that it has one key."""
    told = json.loads(text)
    assert len(told) == 1, f"one key is wanted, there are {sorted(told)}"
    types = import_module("google.genai.types")
    listening = told.get("setup", {}).pop("realtimeInputConfig", None)  # it has a type, but no place in the SDK's setup
    if listening is not None:
        types.RealtimeInputConfig.model_validate(listening)
    return types.LiveClientMessage.model_validate(told)


def strict_gemini_server_message(text: str | bytes) -> Any:
    """Check a message from Gemini Live likewise."""
    return import_module("google.genai.types").LiveServerMessage.model_validate_json(text)


def _known_extra(path: str, place: str, kind: str) -> bool:
    name = path.rpartition(".")[2]
    if name == "obfuscation":
        return place == "" and kind.endswith(".delta") and kind != "response.output_audio.delta"
    return name in _SERVER_EXTRAS.get(place, ())


def _extras(value: Any, path: str, place: str = "") -> Iterator[tuple[str, str]]:
    """Each key beyond the model, as its path and the name of the object it is in."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            yield (f"{path}.{name}".lstrip("."), place)
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name), f"{path}.{name}".lstrip("."), name)
    elif isinstance(value, list | tuple):
        within = "item" if place == "output" else place
        for index, element in enumerate(value):
            yield from _extras(element, f"{path}[{index}]", within)


@cache
def _openai(name: str, package: str = "realtime") -> TypeAdapter[Any]:
    return TypeAdapter(getattr(import_module(f"openai.types.{package}"), name))
