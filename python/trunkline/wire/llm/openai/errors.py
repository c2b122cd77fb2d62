"""OpenAI's HTTP interfaces, what went wrong: statuses and errors in a stream become provider errors (sections 4 and 6)."""

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
from trunkline.wire.llm.errors import class_of_status
from trunkline.wire.llm.openai.request import VENDOR

_BY_WORD: dict[str, type[ProviderError]] = {
    "invalid_api_key": AuthFailed,
    "insufficient_quota": QuotaExceeded,
    "credit_balance_exhausted": QuotaExceeded,
    "billing_hard_limit_reached": QuotaExceeded,
    "rate_limit_exceeded": RateLimited,
    "model_not_found": ModelUnavailable,
    "context_length_exceeded": RequestRejected,
    "invalid_request_error": RequestRejected,
    "server_error": ProviderUnavailable,
    "server_is_overloaded": ProviderUnavailable,
    "api_error": ProviderUnavailable,
    "unavailable_error": ProviderUnavailable,
}
"""By `code`, else by `type`: two errors of status 429 mean opposite things."""


def error_in(event: Fields) -> ProviderError | None:
    """The error that a message of the stream tells; None if it tells none."""
    error = _error_object(event)
    return None if error is None else _made(error, ProviderUnavailable)


def error_from_status(
    status: int, body: str | bytes = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What an HTTP status says; `body` is the vendor's JSON, or whatever a proxy in between wrote."""
    try:
        error = _error_object(Reader(VENDOR).message(body))
    except RemoteProtocolError:
        error = None
    by_status = class_of_status(status)
    if error is None:
        message = f"the request was refused with HTTP status {status}"
        return by_status(message, str(status), vendor=VENDOR, request_id=request_id, retry_after=retry_after)
    found = _made(error, by_status, status)
    found.request_id, found.retry_after = request_id, retry_after
    return found


def _error_object(fields: Fields) -> Fields | None:
    """The error; older servers put its members where others have the object, and some have only its text."""
    error = fields.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str) and error:
        return {"message": error}
    return fields if fields.get("object") == "error" else None


def _made(error: Fields, otherwise: type[ProviderError], status: int | None = None) -> ProviderError:
    code, kind = text_or(error, "code"), text_or(error, "type")
    words = [word for word in (code, kind) if word in _BY_WORD]
    # Other statuses than 400 say more than the type does, which is `invalid_request_error` for a wrong model, too.
    if words and words[0] == kind and status not in {None, 400}:
        words = []
    found = _BY_WORD[words[0]] if words else otherwise
    if status is None and not words and code.isdecimal() and len(code) == 3:
        found = class_of_status(int(code))
    message = text_or(error, "message") or code or kind or "an error without a message"
    return found(message, code or kind or (str(status) if status else None), vendor=VENDOR)
