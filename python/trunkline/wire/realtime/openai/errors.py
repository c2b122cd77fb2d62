"""OpenAI Realtime, what went wrong: error events, close codes and HTTP statuses become provider errors ("Error codes").

Connecting fails in two ways, and both end here: an HTTP status on the upgrade, or a connection that opens, sends one `error` and
closes with the reason `{type}.{code}`.
"""

import re

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
from trunkline.wire.realtime.openai.events import VendorError
from trunkline.wire.realtime.openai.session import READER
from trunkline.wire.realtime.openai.session import VENDOR as VENDOR  # noqa: PLC0414 - the errors of this vendor

ACTIVE_RESPONSE = "conversation_already_has_active_response"
SESSION_EXPIRED = "session_expired"
ENDINGS = frozenset({SESSION_EXPIRED})
"""Codes of errors after which the session is over."""

_BY_CODE: dict[str, type[ProviderError]] = {
    "invalid_api_key": AuthFailed,
    "rate_limit_exceeded": RateLimited,
    "inference_rate_limit_exceeded": RateLimited,
    "insufficient_quota": QuotaExceeded,
    "missing_model": ModelUnavailable,
    "invalid_model": ModelUnavailable,
    "model_not_found": ModelUnavailable,
    "server_error": ProviderUnavailable,
}

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    403: AuthFailed,
    404: ModelUnavailable,
    408: ConnectionFailed,
    429: RateLimited,
}

_BY_CLOSE_CODE: dict[int, type[ProviderError]] = {
    1011: ProviderUnavailable,
    1012: ProviderUnavailable,
    1013: ProviderUnavailable,
    3000: AuthFailed,
    4000: RequestRejected,
}

# What comes too late changes nothing: a cancel, a commit, a truncation, a request that met the vendor's own answer.
_BENIGN = {
    "response_cancel_not_active",
    "input_audio_buffer_commit_empty",
    "item_truncate_invalid_item_id",
    "unsupported_content_type",  # of a truncation of what was not spoken
    ACTIVE_RESPONSE,
}

# Some messages repeat the key, in part or as a whole.
_KEY = re.compile(r"\b(sk|ek)[-_][\w*.-]{4,}")


def is_benign(error: VendorError) -> bool:
    """Whether a voice call goes on as if nothing had happened: a cancel, commit or truncation that came too late."""
    return (
        error.code in _BENIGN
        or (error.code == "invalid_value" and error.param == "audio_end_ms")
        or "is already shorter than" in error.message
        or error.message.startswith("Only model output audio messages can be truncated")
    )


def error_from(error: VendorError) -> ProviderError:
    """The facts of an `error` event, or of a failed response or transcription, as an error that can be raised."""
    message = without_key(error.message or error.code or error.kind or "an error without a message")
    request_id = error.event_id or None
    if error.code == SESSION_EXPIRED:
        return SessionClosed(message, error.code, vendor=VENDOR, request_id=request_id)
    return _kind(error)(message, error.code or None, vendor=VENDOR, request_id=request_id)


def error_from_close(code: int, reason: str) -> ProviderError | None:
    """What a close code says, with its reason; None for an ordinary close."""
    if code == 1000:
        return None
    if code == 1001 and "maximum duration" in reason:
        return SessionClosed(reason, SESSION_EXPIRED, vendor=VENDOR)
    kind, _, named = reason.partition(".")
    message = without_key(reason) or f"the connection ended with code {code}"
    if kind in {"invalid_request_error", "server_error"}:
        found = _kind(VendorError(message, code=named, kind=kind))
        specific = found if found is not RequestRejected else _BY_CLOSE_CODE.get(code, found)
        return specific(message, named or None, vendor=VENDOR)
    return _BY_CLOSE_CODE.get(code, ConnectionFailed)(message, str(code), vendor=VENDOR)


def error_from_status(
    status: int, body: str = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What an HTTP status on the upgrade says; `body` is the vendor's JSON, or whatever a proxy in between wrote."""
    error = _read_body(body)
    by_code = _BY_CODE.get(error.code)
    by_status = ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected)
    message = without_key(error.message) or f"the upgrade was refused with HTTP status {status}"
    return (by_code or by_status)(
        message, error.code or str(status), vendor=VENDOR, request_id=request_id, retry_after=retry_after
    )


def without_key(text: str) -> str:
    """The text with anything that looks like one of the vendor's keys taken out."""
    return _KEY.sub(r"\1-[hidden]", text)


def _kind(error: VendorError) -> type[ProviderError]:
    for named in (error.code, error.kind):  # some servers say the code where the kind of error belongs
        if named in _BY_CODE:
            return _BY_CODE[named]
    if "bearer or basic authentication" in error.message:
        return AuthFailed
    return RequestRejected if error.kind == "invalid_request_error" else ProviderError


def _read_body(body: str) -> VendorError:
    try:
        error = object_or_empty(READER.message(body), "error")
    except RemoteProtocolError:  # a proxy's page
        return VendorError("")
    return VendorError(text_or(error, "message"), code=text_or(error, "code"), kind=text_or(error, "type"))
