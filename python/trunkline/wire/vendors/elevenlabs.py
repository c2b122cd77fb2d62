"""ElevenLabs, what went wrong: HTTP bodies and close codes become provider errors.

Everything stands under `detail`: an object with `code` or the older `status`, a list of what is wrong with which field, or a text.
"""

import re
from typing import Final

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
from trunkline.wire.fields import Fields, Reader, object_or_empty, objects, text_or

VENDOR: Final = "elevenlabs"
READER: Final = Reader(VENDOR)

_LONGEST = 500
_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    402: QuotaExceeded,
    403: ModelUnavailable,
    404: ModelUnavailable,
    429: RateLimited,
}
_BY_CODE: dict[str, type[ProviderError]] = {
    "quota_exceeded": QuotaExceeded,  # comes with status 401
    "invalid_api_key": AuthFailed,
    "missing_permissions": AuthFailed,
    "detected_unusual_activity": AuthFailed,
    "voice_not_found": ModelUnavailable,
}
_KEY = re.compile(r"\bsk_[\w*.-]{4,}")


def error_from_status(
    status: int, body: str = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What an HTTP status says; `body` is the vendor's JSON, or what a proxy in between wrote."""
    try:
        fields = READER.message(body)
    except RemoteProtocolError:
        fields = {}
    code, message, named = _detail(fields)
    by_status = ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected)
    return _BY_CODE.get(code, by_status)(
        without_key(message)[:_LONGEST] or f"refused with HTTP status {status}",
        code or str(status),
        vendor=VENDOR,
        request_id=named or request_id,
        retry_after=retry_after,
    )


def error_from_close(code: int, reason: str) -> ProviderError | None:
    """What a close code says; None for an ordinary close. The vendor does not write its codes down: it says why before it closes."""
    if code == 1000:
        return None
    kind = ProviderUnavailable if code in {1011, 1012, 1013} else RequestRejected if code == 1008 else ConnectionFailed
    return kind(without_key(reason) or f"the connection ended with code {code}", str(code), vendor=VENDOR)


def without_key(text: str) -> str:
    """The text with anything that looks like one of the vendor's keys taken out."""
    return _KEY.sub("sk_[hidden]", text)


def _detail(fields: Fields) -> tuple[str, str, str]:
    """Code, message and request id of an error body."""
    detail = object_or_empty(fields, "detail")
    if detail:
        code = text_or(detail, "code") or text_or(detail, "status")
        return code, text_or(detail, "message"), text_or(detail, "request_id")
    reasons = [text_or(reason, "msg") for reason in objects(fields, "detail")]
    return "", "; ".join(reasons) or text_or(fields, "detail"), ""
