"""OpenAI, what went wrong over HTTP: statuses, and errors in a stream, become provider errors ("Error codes").

Other servers that speak the protocol are understood, too: some put the members of the error where OpenAI has an object, some have only
its text.
"""

import re
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
from trunkline.wire.fields import Fields, Reader, text_or
from trunkline.wire.vendors.http_status import class_of_status

VENDOR: Final = "openai"
READER: Final = Reader(VENDOR)

BY_CODE: Final[dict[str, type[ProviderError]]] = {
    "invalid_api_key": AuthFailed,
    "insufficient_quota": QuotaExceeded,
    "credit_balance_exhausted": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "rate_limit_exceeded": RateLimited,
    "inference_rate_limit_exceeded": RateLimited,
    "slow_down": RateLimited,
    "missing_model": ModelUnavailable,
    "invalid_model": ModelUnavailable,
    "model_not_found": ModelUnavailable,
    "context_length_exceeded": RequestRejected,
    "server_error": ProviderUnavailable,
    "server_is_overloaded": ProviderUnavailable,
    "unavailable_error": ProviderUnavailable,
}
"""By `code`, else by `type`, where some servers say the code: two errors of status 429 mean opposite things."""

_BY_TYPE: Final[dict[str, type[ProviderError]]] = {
    "invalid_request_error": RequestRejected,
    "api_error": ProviderUnavailable,
}
# Other statuses than 400 say more than these types do; a wrong model is an `invalid_request_error`, too.
_SAYS_LITTLE = {*_BY_TYPE, "server_error", "unavailable_error"}

# Some messages repeat the key, in part or as a whole.
_KEY = re.compile(r"\b(sk|ek)[-_][\w*.-]{4,}")


def error_in(event: Fields) -> ProviderError | None:
    """The error that a message of a stream tells; None if it tells none."""
    error = _error_object(event)
    if error is None:
        return None
    code, kind, message = _facts(error)
    found = BY_CODE.get(code) or BY_CODE.get(kind) or _BY_TYPE.get(kind)
    if found is None:
        is_status = code.isdecimal() and len(code) == 3
        found = class_of_status(int(code)) if is_status else ProviderUnavailable
    return found(message or code or kind or "an error without a message", code or kind or None, vendor=VENDOR)


def error_from_status(
    status: int, body: str | bytes = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What an HTTP status says; `body` is the vendor's JSON, or whatever a proxy in between wrote."""
    try:
        error = _error_object(READER.message(body)) or {}
    except RemoteProtocolError:
        error = {}
    code, kind, message = _facts(error)
    found = BY_CODE.get(code)
    if found is None and (status == 400 or kind not in _SAYS_LITTLE):
        found = BY_CODE.get(kind) or _BY_TYPE.get(kind)
    return (found or class_of_status(status))(
        message or f"refused with HTTP status {status}",
        code or str(status),
        vendor=VENDOR,
        request_id=request_id,
        retry_after=retry_after,
    )


def without_key(text: str) -> str:
    """The text with anything that looks like one of the vendor's keys taken out."""
    return _KEY.sub(r"\1-[hidden]", text)


def _error_object(fields: Fields) -> Fields | None:
    error = fields.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str) and error:
        return {"message": error}
    return fields if fields.get("object") == "error" else None


def _facts(error: Fields) -> tuple[str, str, str]:
    """Code, type and message."""
    return text_or(error, "code"), text_or(error, "type"), without_key(text_or(error, "message"))
