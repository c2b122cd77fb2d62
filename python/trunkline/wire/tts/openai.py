"""OpenAI text to speech over HTTP ("Create speech"), which other servers imitate."""

from typing import Any, Final

from trunkline.errors import (
    AuthFailed,
    ModelUnavailable,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
)
from trunkline.wire.fields import Reader, object_or_empty, text_or
from trunkline.wire.refusals import Refusal, error_from_status

VENDOR: Final = "openai"
BASE_URL: Final = "https://api.openai.com/v1"
KEY_VARIABLE: Final = "OPENAI_API_KEY"
PATH: Final = "/audio/speech"
DEFAULT_MODEL: Final = "gpt-4o-mini-tts"
DEFAULT_VOICE: Final = "alloy"
SAMPLE_RATE: Final = 24_000

MOST_CHARACTERS: Final = 4096
"""Of one text."""

READER: Final = Reader(VENDOR)

_BY_CODE: Final[dict[str, type[ProviderError]]] = {
    "invalid_api_key": AuthFailed,
    "model_not_found": ModelUnavailable,
    "rate_limit_exceeded": RateLimited,
    "slow_down": RateLimited,
    "insufficient_quota": QuotaExceeded,
    "credit_balance_exhausted": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "server_error": ProviderUnavailable,
    "server_is_overloaded": ProviderUnavailable,
}


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


def refused(
    status: int, body: str, *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What a refused request means; the code decides, as two refusals with status 429 may mean opposite things."""
    try:
        error = object_or_empty(READER.message(body), "error")
    except RemoteProtocolError:  # a proxy's page
        error = {}
    code = text_or(error, "code")
    if code not in _BY_CODE and text_or(error, "type") in _BY_CODE:
        code = text_or(error, "type")
    said = Refusal(message=text_or(error, "message"), code=code, request_id=request_id or "")
    return error_from_status(VENDOR, status, said, _BY_CODE, retry_after=retry_after)
