"""OpenAI Realtime, what went wrong: error events, close codes and HTTP statuses become provider errors ("Error codes").

Connecting fails in two ways, and both end here: an HTTP status on the upgrade, or a connection that opens, sends one `error` and
closes with the reason `{type}.{code}`.
"""

from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ProviderError,
    ProviderUnavailable,
    RequestRejected,
    SessionClosed,
)
from trunkline.wire.realtime.openai.events import VendorError
from trunkline.wire.realtime.openai.session import VENDOR as VENDOR  # noqa: PLC0414 - the errors of this vendor
from trunkline.wire.vendors.openai import BY_CODE
from trunkline.wire.vendors.openai import error_from_status as error_from_status  # noqa: PLC0414 - as above
from trunkline.wire.vendors.openai import without_key as without_key  # noqa: PLC0414 - as above

ACTIVE_RESPONSE = "conversation_already_has_active_response"
SESSION_EXPIRED = "session_expired"
ENDINGS = frozenset({SESSION_EXPIRED})
"""Codes of errors after which the session is over."""

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


def _kind(error: VendorError) -> type[ProviderError]:
    for named in (error.code, error.kind):  # some servers say the code where the kind of error belongs
        if named in BY_CODE:
            return BY_CODE[named]
    if "bearer or basic authentication" in error.message:
        return AuthFailed
    return RequestRejected if error.kind == "invalid_request_error" else ProviderError
