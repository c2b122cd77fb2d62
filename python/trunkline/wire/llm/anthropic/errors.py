"""Anthropic Messages, what went wrong: statuses and error events become provider errors (sections 1.3 and 1.5)."""

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
from trunkline.wire.fields import Fields, Reader, object_or_empty, text_or
from trunkline.wire.llm.anthropic.request import VENDOR
from trunkline.wire.vendors.http_status import class_of_status

_BY_TYPE: dict[str, type[ProviderError]] = {
    "invalid_request_error": RequestRejected,
    "authentication_error": AuthFailed,
    "billing_error": QuotaExceeded,
    "permission_error": AuthFailed,
    "not_found_error": ModelUnavailable,
    "conflict_error": ProviderUnavailable,
    "request_too_large": RequestRejected,
    "rate_limit_error": RateLimited,
    "api_error": ProviderUnavailable,
    "timeout_error": ProviderUnavailable,
    "overloaded_error": ProviderUnavailable,
}


def error_from_event(event: Fields) -> ProviderError:
    """The facts of an `error` event, which comes when the status line has long been sent."""
    error = object_or_empty(event, "error")
    kind = text_or(error, "type")
    message = text_or(error, "message") or kind or "an error without a message"
    request_id = text_or(event, "request_id") or None
    return _BY_TYPE.get(kind, ProviderUnavailable)(message, kind or None, vendor=VENDOR, request_id=request_id)


def error_from_status(
    status: int, body: str | bytes = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What an HTTP status says; `body` is the vendor's JSON, or whatever a proxy in between wrote."""
    try:
        fields: Fields = Reader(VENDOR).message(body)
    except RemoteProtocolError:
        fields = {}
    error = object_or_empty(fields, "error")
    kind = text_or(error, "type")
    found = _BY_TYPE.get(kind, class_of_status(status))
    message = text_or(error, "message") or f"the request was refused with HTTP status {status}"
    request_id = request_id or text_or(fields, "request_id") or None
    return found(message, kind or str(status), vendor=VENDOR, request_id=request_id, retry_after=retry_after)
