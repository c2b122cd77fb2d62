"""OpenAI text to speech over HTTP ("Create speech"), which other servers imitate."""

import re
from typing import Any, Final

from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ModelUnavailable,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    RequestRejected,
)
from trunkline.wire.fields import Reader, object_or_empty, text_or

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

_KEY: Final = re.compile(r"\bsk[-_][\w*.-]{4,}")

_BY_STATUS: Final[dict[int, type[ProviderError]]] = {
    401: AuthFailed,
    402: QuotaExceeded,
    403: AuthFailed,
    404: ModelUnavailable,
    429: RateLimited,
}

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


def error_from_status(
    status: int, body: str = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What a refused request means; the code decides, as two refusals with status 429 may mean opposite things."""
    try:
        error = object_or_empty(READER.message(body), "error")
    except RemoteProtocolError:  # a proxy's page
        error = {}
    code, kind = text_or(error, "code"), text_or(error, "type")
    by_status = ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected)
    return (_BY_CODE.get(code) or _BY_CODE.get(kind) or by_status)(
        without_key(text_or(error, "message")) or f"refused with HTTP status {status}",
        code or str(status),
        vendor=VENDOR,
        request_id=request_id,
        retry_after=retry_after,
    )


def error_from_close(code: int, reason: str) -> ProviderError:
    """What a broken connection means; there are no WebSockets here, so the code is that of no close frame."""
    return ConnectionFailed(without_key(reason) or f"the connection ended with code {code}", vendor=VENDOR)


def without_key(text: str) -> str:
    """The text with anything that looks like one of the vendor's keys taken out."""
    return _KEY.sub("sk-[hidden]", text)
