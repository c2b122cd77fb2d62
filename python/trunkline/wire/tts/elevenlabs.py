"""ElevenLabs text to speech: requests over HTTP, and the WebSocket with many contexts ("multi-stream-input")."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NotRequired
from urllib.parse import quote

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from trunkline.audio import AudioFormat
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
)
from trunkline.wire.fields import Fields, flag_or, int_or, number_or, object_or_empty, text_or
from trunkline.wire.settings import Settings
from trunkline.wire.vendors.elevenlabs import READER, VENDOR, without_key

BASE_URL: Final = "https://api.elevenlabs.io"
KEY_VARIABLE: Final = "ELEVENLABS_API_KEY"
DEFAULT_MODEL: Final = "eleven_flash_v2_5"
RACHEL: Final = "21m00Tcm4TlvDq8ikWAM"
VOICES: Final = {"rachel": RACHEL}

FORMATS: Final = {
    AudioFormat("mulaw", 8_000): "ulaw_8000",
    AudioFormat("alaw", 8_000): "alaw_8000",
    AudioFormat("linear16", 16_000): "pcm_16000",
    AudioFormat("linear16", 8_000): "pcm_8000",
    AudioFormat("linear16", 22_050): "pcm_22050",
    AudioFormat("linear16", 24_000): "pcm_24000",
}
"""What every plan and both transports have, by its name."""

MOST_CONTEXTS: Final = 5
"""Contexts that one socket may have open, those included that are closed and not yet final."""

CONTEXT_IDLE: Final = 180
"""Seconds that a context may wait for text, the most there is: a slow model must not end it."""

_DIALOGUE_MODELS = ("eleven_v3", "eleven_v4")


_BY_CODE: Final[dict[str, type[ProviderError]]] = {
    "invalid_api_key": AuthFailed,
    "quota_exceeded": QuotaExceeded,
    "max_active_conversations": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "input_timeout_exceeded": ConnectionFailed,
}


@with_config(ConfigDict(extra="forbid"))
class VoiceSettings(TypedDict):
    """How the voice speaks; what is left out is the voice's own."""

    stability: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    similarity_boost: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    style: NotRequired[Annotated[float, Field(ge=0, le=1)]]
    use_speaker_boost: NotRequired[bool]
    speed: NotRequired[Annotated[float, Field(ge=0.7, le=1.2)]]


SETTINGS: Final = Settings(VoiceSettings)


def has_sockets(model: str) -> bool:
    """Whether the model speaks over the WebSockets of text to speech; others have an interface of their own."""
    return not model.startswith(_DIALOGUE_MODELS)


def headers(api_key: str) -> list[tuple[str, str]]:
    """What opens the service."""
    return [("xi-api-key", api_key)]


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def stream_path(voice_id: str) -> str:
    """Where one text is spoken over HTTP, with the times of its characters."""
    return f"/v1/text-to-speech/{quote(voice_id, safe='')}/stream/with-timestamps"


def socket_path(voice_id: str) -> str:
    """Where a WebSocket with many contexts is opened."""
    return f"/v1/text-to-speech/{quote(voice_id, safe='')}/multi-stream-input"


def socket_query(
    *, model: str, output_format: AudioFormat, language: str | None, text_normalization: str | None
) -> list[tuple[str, str]]:
    """What holds for all contexts of a socket. Whole sentences are sent, so the vendor need not gather text."""
    query = [
        ("model_id", model),
        ("output_format", FORMATS[output_format]),
        ("auto_mode", "true"),
        ("inactivity_timeout", str(CONTEXT_IDLE)),
    ]
    if language is not None:
        query.append(("language_code", language))
    if text_normalization is not None:
        query.append(("apply_text_normalization", text_normalization))
    return query


def request_body(
    text: str,
    *,
    model: str,
    voice_settings: Mapping[str, Any],
    language: str | None,
    text_normalization: str | None,
) -> dict[str, Any]:
    """One text to be spoken over HTTP."""
    body: dict[str, Any] = {"text": text, "model_id": model}
    if voice_settings:
        body["voice_settings"] = dict(voice_settings)
    if language is not None:
        body["language_code"] = language
    if text_normalization is not None:
        body["apply_text_normalization"] = text_normalization
    return body


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def begin_context(context_id: str, voice_settings: Mapping[str, Any]) -> str:
    """Open a context; its settings may stand in this message alone."""
    message: dict[str, Any] = {"text": " ", "context_id": context_id}
    if voice_settings:
        message["voice_settings"] = dict(voice_settings)
    return json.dumps(message)


def speak(context_id: str, text: str) -> str:
    """Speak a sentence; texts are joined as they are, so it ends with a space."""
    return json.dumps({"text": f"{text} ", "context_id": context_id})


def flush_context(context_id: str) -> str:
    """Speak what is still gathered."""
    return json.dumps({"context_id": context_id, "flush": True})


def close_context(context_id: str) -> str:
    """End a context: what was flushed is still spoken, the rest is not."""
    return json.dumps({"context_id": context_id, "close_context": True})


def close_socket() -> str:
    """End all contexts and the connection."""
    return json.dumps({"close_socket": True})


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Characters:
    """Characters as they are spoken: when each begins in its piece of audio, and how long it lasts, in milliseconds."""

    text: tuple[str, ...]
    starts_ms: tuple[float, ...]
    durations_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ContextAudio:
    """Audio of a context; `context_id` is empty on a socket without contexts."""

    context_id: str
    audio: bytes
    characters: Characters | None = None


@dataclass(frozen=True, slots=True)
class ContextFinished:
    """A context is over and frees its place."""

    context_id: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The vendor says what went wrong; a close with the same code follows."""

    message: str
    error: str
    code: int | None


Event = ContextAudio | ContextFinished | Failed


def parse(message: str | bytes) -> list[Event]:
    """What a message of the socket says: nothing, one event, or audio and the end that it carries.

    Raises:
        RemoteProtocolError: It cannot be read.
    """
    fields = READER.message(message)
    if text_or(fields, "error") and not text_or(fields, "audio"):
        return [Failed(text_or(fields, "message"), text_or(fields, "error"), int_or(fields, "code"))]
    context_id = text_or(fields, "contextId") or text_or(fields, "context_id")
    events: list[Event] = []
    if fields.get("audio"):
        characters = read_characters(object_or_empty(fields, "alignment"))
        events.append(ContextAudio(context_id, READER.base64(fields, "audio"), characters))
    if flag_or(fields, "isFinal", False) or flag_or(fields, "is_final", False):
        events.append(ContextFinished(context_id))
    return events


def parse_line(line: str | bytes) -> ContextAudio:
    """What a line of an answer with timestamps says.

    Raises:
        RemoteProtocolError: It cannot be read.
    """
    fields = READER.message(line)
    alignment = object_or_empty(fields, "alignment")
    text = _texts(alignment, "characters")
    starts = _milliseconds(alignment, "character_start_times_seconds")
    ends = _milliseconds(alignment, "character_end_times_seconds")
    characters = None
    if text and len(text) == len(starts) == len(ends):
        durations = tuple(max(0.0, end - start) for start, end in zip(starts, ends, strict=True))
        characters = Characters(text, starts, durations)
    audio = READER.base64(fields, "audio_base64") if fields.get("audio_base64") else b""
    return ContextAudio("", audio, characters)


def read_characters(alignment: Fields) -> Characters | None:
    """The alignment of a message; None where it is missing or its lists do not fit together."""
    text = _texts(alignment, "chars")
    starts = _numbers(alignment, "charStartTimesMs") or _numbers(alignment, "char_start_times_ms")
    durations = (
        _numbers(alignment, "charDurationsMs")
        or _numbers(alignment, "charsDurationsMs")
        or _numbers(alignment, "char_durations_ms")
    )
    if not text or not len(text) == len(starts) == len(durations):
        return None
    return Characters(text, starts, durations)


def error_from(failed: Failed) -> ProviderError:
    """What the vendor said, as an error that can be raised."""
    kind = _BY_CODE.get(failed.error)
    if kind is None:
        kind = RequestRejected if failed.code in {1003, 1007, 1008} else ProviderUnavailable
    return kind(without_key(failed.message) or failed.error, failed.error, vendor=VENDOR)


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    values = fields.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return ()
    return tuple(values)


def _numbers(fields: Fields, name: str) -> tuple[float, ...]:
    values = fields.get(name)
    if not isinstance(values, list):
        return ()
    numbers = [number_or({name: value}, name) for value in values]
    return tuple(number for number in numbers if number is not None) if None not in numbers else ()


def _milliseconds(fields: Fields, name: str) -> tuple[float, ...]:
    return tuple(seconds * 1000 for seconds in _numbers(fields, name))
