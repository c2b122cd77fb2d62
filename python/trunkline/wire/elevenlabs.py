"""ElevenLabs, what its services have in common: the key's header and how they refuse."""

from typing import Final

from trunkline.errors import (
    AuthFailed,
    ModelUnavailable,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RemoteProtocolError,
    RequestRejected,
)
from trunkline.wire.fields import Fields, Reader, object_or_empty, objects, text_or
from trunkline.wire.refusals import Refusal, error_from_status

VENDOR: Final = "elevenlabs"
BASE_URL: Final = "https://api.elevenlabs.io"
KEY_VARIABLE: Final = "ELEVENLABS_API_KEY"
READER: Final = Reader(VENDOR)

BY_CODE: Final[dict[str, type[ProviderError]]] = {
    "invalid_api_key": AuthFailed,
    "missing_permissions": AuthFailed,
    "detected_unusual_activity": AuthFailed,
    "quota_exceeded": QuotaExceeded,  # it comes with status 401, and is no matter of the key
    "voice_not_found": RequestRejected,
    "model_not_found": ModelUnavailable,
    "concurrent_limit_exceeded": RateLimited,
    "too_many_concurrent_requests": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "system_busy": ProviderUnavailable,
}


def headers(api_key: str) -> list[tuple[str, str]]:
    """What opens every service."""
    return [("xi-api-key", api_key)]


def refused(
    status: int, body: str, *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What a refused request means; the body has one of three forms, or none of them where a proxy answered."""
    said = read_refusal(body)
    if request_id and not said.request_id:
        said = Refusal(message=said.message, code=said.code, request_id=request_id)
    return error_from_status(VENDOR, status, said, BY_CODE, retry_after=retry_after)


def read_refusal(body: str) -> Refusal:
    """The vendor's words in the body of a refusal."""
    try:
        fields = READER.message(body)
    except RemoteProtocolError:
        return Refusal()
    detail: object = fields.get("detail")
    if isinstance(detail, str):
        return Refusal(message=detail)
    if isinstance(detail, list):
        return Refusal(message="; ".join(_complaint(entry) for entry in objects(fields, "detail")), code="validation")
    said = object_or_empty(fields, "detail")
    return Refusal(
        message=text_or(said, "message"),
        code=text_or(said, "code") or text_or(said, "status"),
        request_id=text_or(said, "request_id"),
    )


def _complaint(entry: Fields) -> str:
    where = entry.get("loc")
    path = ".".join(map(str, where)) if isinstance(where, list) else ""
    return f"{path}: {text_or(entry, 'msg')}" if path else text_or(entry, "msg")
