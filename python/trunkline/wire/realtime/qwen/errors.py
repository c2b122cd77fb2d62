"""Qwen-Omni-Realtime, what went wrong: error events, frames without a type, close codes and HTTP statuses become provider errors."""

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
    SessionClosed,
)
from trunkline.wire.fields import object_or_empty, text_or
from trunkline.wire.realtime.openai.errors import ACTIVE_RESPONSE
from trunkline.wire.realtime.openai.events import VendorError
from trunkline.wire.realtime.qwen.session import READER
from trunkline.wire.realtime.qwen.session import VENDOR as VENDOR  # noqa: PLC0414 - the errors of this vendor

ENDINGS: Final = frozenset({"user_idle_timeout", "too_many_audios"})
"""Codes of errors after which the session is over, and a new one may be opened: nobody spoke for long, or it holds too many turns."""

_BY_CODE: Final[dict[str, type[ProviderError]]] = {
    "InvalidApiKey": AuthFailed,
    "invalid_api_key": AuthFailed,
    "AccessDenied": AuthFailed,
    "Arrearage": QuotaExceeded,
    "AllocationQuota.FreeTierOnly": QuotaExceeded,
    "ModelNotFound": ModelUnavailable,
    "model_not_found": ModelUnavailable,
    "COMMON_ERROR": ProviderUnavailable,
    "internal_error": ProviderUnavailable,
    "DataInspectionFailed": RequestRejected,
}
_BY_STATUS: Final[dict[int, type[ProviderError]]] = {
    401: AuthFailed,
    403: ModelUnavailable,
    404: ModelUnavailable,
    408: ConnectionFailed,
    429: RateLimited,
}
_BENIGN: Final = frozenset({"response_cancel_not_active", ACTIVE_RESPONSE})
_KEY: Final = re.compile(r"\bsk-[\w*.-]{4,}")


def is_benign(error: VendorError) -> bool:
    """Whether a call goes on as if nothing had happened: a cancel, or a request for an answer, that came too late."""
    return error.code in _BENIGN or "no active response" in error.message.lower()


def error_from(error: VendorError) -> ProviderError:
    """The facts of an `error` event, of a frame without a type, or of a failed response or transcription."""
    message = without_key(error.message or error.code or error.kind or "an error without a message")
    request_id = error.event_id or None
    if error.code in ENDINGS:
        return SessionClosed(message, error.code, vendor=VENDOR, request_id=request_id)
    kind = _kind(error.code)
    if kind is None:
        kind = RequestRejected if error.kind == "invalid_request_error" else ProviderError
    return kind(message, error.code or None, vendor=VENDOR, request_id=request_id)


def error_from_close(code: int, reason: str) -> ProviderError | None:
    """What a close code says, with its reason; None for an ordinary close."""
    if code == 1000:
        return None
    message = without_key(reason) or f"the connection ended with code {code}"
    kind: type[ProviderError] = ProviderUnavailable if code == 1011 else ConnectionFailed
    if "many requests" in reason.lower() or "throttled" in reason.lower():
        kind = RateLimited
    return kind(message, str(code), vendor=VENDOR)


def error_from_status(
    status: int, body: str = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What an HTTP status on the upgrade says; `body` is the vendor's JSON, or whatever a proxy in between wrote."""
    error = _read_body(body)
    by_status = ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected)
    message = without_key(error.message) or f"the upgrade was refused with HTTP status {status}"
    return (_kind(error.code) or by_status)(
        message, error.code or str(status), vendor=VENDOR, request_id=request_id, retry_after=retry_after
    )


def without_key(text: str) -> str:
    """The text with anything that looks like one of the vendor's keys taken out."""
    return _KEY.sub("sk-[hidden]", text)


def _kind(code: str) -> type[ProviderError] | None:
    return RateLimited if code.startswith("Throttling") else _BY_CODE.get(code)


def _read_body(body: str) -> VendorError:
    try:
        fields = READER.message(body)
    except RemoteProtocolError:  # a proxy's page
        return VendorError("")
    error = object_or_empty(fields, "error") or fields
    return VendorError(text_or(error, "message"), code=text_or(error, "code"), kind=text_or(error, "type"))
