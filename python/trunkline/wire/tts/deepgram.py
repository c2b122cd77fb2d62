"""Deepgram Aura text to speech: requests over HTTP, and the WebSocket."""

import json
from dataclasses import dataclass
from typing import Final

from trunkline.audio import AudioFormat
from trunkline.errors import ProviderError, ProviderUnavailable, RequestRejected
from trunkline.wire.fields import text_or
from trunkline.wire.vendors.deepgram import READER, VENDOR

BASE_URL: Final = "https://api.deepgram.com"
KEY_VARIABLE: Final = "DEEPGRAM_API_KEY"
PATH: Final = "/v1/speak"
DEFAULT_MODEL: Final = "aura-asteria-en"

MOST_CHARACTERS: Final = 2000
"""Of one text; documented for HTTP, and kept on the WebSocket too."""

FORMATS: Final = tuple(
    AudioFormat(encoding, rate)
    for encoding, rates in {
        "mulaw": (8_000, 16_000),
        "alaw": (8_000, 16_000),
        "linear16": (24_000, 8_000, 16_000, 32_000, 48_000),
    }.items()
    for rate in rates
)


def headers(api_key: str) -> list[tuple[str, str]]:
    """What opens the service, with a long-lived key."""
    return [("Authorization", f"Token {api_key}")]


def query(*, model: str, output_format: AudioFormat, speed: float | None) -> list[tuple[str, str]]:
    """What every text of a connection is spoken with."""
    pairs = [
        ("model", model),
        ("encoding", str(output_format.encoding)),
        ("sample_rate", str(output_format.sample_rate)),
    ]
    return pairs if speed is None else [*pairs, ("speed", f"{speed:g}")]


def request_query(*, model: str, output_format: AudioFormat, speed: float | None) -> list[tuple[str, str]]:
    """The same over HTTP, where a WAV header would come before the audio."""
    return [*query(model=model, output_format=output_format, speed=speed), ("container", "none")]


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def speak(text: str) -> str:
    """Speak a text after those before it; texts are joined as they are, so it ends with a space."""
    return json.dumps({"type": "Speak", "text": f"{text} "})


FLUSH: Final = json.dumps({"type": "Flush"})
"""Speak what is still gathered, and say `Flushed` after its audio; at most 20 in a minute are done."""

CLEAR: Final = json.dumps({"type": "Clear"})
"""Drop text and audio; audio that comes before `Cleared` belongs to what was dropped."""

CLOSE: Final = json.dumps({"type": "Close"})
"""End the connection."""


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Audio:
    """Audio of what is being spoken."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Flushed:
    """All audio of the texts before a `Flush` has come."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was there before a `Clear` is dropped; audio after it is new."""


@dataclass(frozen=True, slots=True)
class Warned:
    """The vendor did not do something that it was asked."""

    code: str
    description: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The vendor says what went wrong; the connection is of no more use."""

    code: str
    description: str


Event = Audio | Flushed | Cleared | Warned | Failed


def parse(message: str | bytes) -> Event | None:
    """What a message says; None where it does not matter.

    Raises:
        RemoteProtocolError: It cannot be read.
    """
    if isinstance(message, bytes):
        return Audio(message)
    fields = READER.message(message)
    match fields.get("type"):
        case "Flushed":
            return Flushed()
        case "Cleared":
            return Cleared()
        case "Warning":
            code = text_or(fields, "code") or text_or(fields, "warn_code")
            return Warned(code, text_or(fields, "description") or text_or(fields, "warn_msg"))
        case "Error":
            code = text_or(fields, "code") or text_or(fields, "err_code")
            return Failed(code, text_or(fields, "description") or text_or(fields, "err_msg"))
        case _:
            return None


def error_from(failed: Failed) -> ProviderError:
    """What the vendor said, as an error that can be raised."""
    kind = RequestRejected if failed.code.startswith(("MESSAGE-", "DATA-", "BIG-")) else ProviderUnavailable
    return kind(failed.description or failed.code or "the vendor failed", failed.code or None, vendor=VENDOR)
