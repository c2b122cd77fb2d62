"""OpenAI text to speech over HTTP ("Create speech"), which other servers imitate."""

from typing import Any, Final

VENDOR: Final = "openai"
BASE_URL: Final = "https://api.openai.com/v1"
KEY_VARIABLE: Final = "OPENAI_API_KEY"
PATH: Final = "/audio/speech"
DEFAULT_MODEL: Final = "gpt-4o-mini-tts"
DEFAULT_VOICE: Final = "alloy"
SAMPLE_RATE: Final = 24_000

MOST_CHARACTERS: Final = 4096
"""Of one text."""


def headers(api_key: str) -> list[tuple[str, str]]:
    """What opens the service."""
    return [("Authorization", f"Bearer {api_key}")]


def takes_instructions(model: str) -> bool:
    """Whether the model can be told how to speak."""
    return not model.startswith("tts-1")


def request_body(
    text: str, *, model: str, voice: str, instructions: str | None = None, speed: float | None = None
) -> dict[str, Any]:
    """One text to be spoken, as raw PCM."""
    # A custom voice is named by an object.
    named: Any = {"id": voice} if voice.startswith("voice_") else voice
    body: dict[str, Any] = {"model": model, "input": text, "voice": named, "response_format": "pcm"}
    if instructions is not None:
        body["instructions"] = instructions
    if speed is not None:
        body["speed"] = speed
    return body
