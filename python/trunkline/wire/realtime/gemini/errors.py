"""Gemini Live, what went wrong: as no message tells of errors, close codes and HTTP statuses become provider errors (§11)."""

import re
from collections.abc import Sequence
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
from trunkline.wire.realtime.gemini.decode import READER, VENDOR

SESSION_EXPIRED: Final = "session_expired"

# What the reasons begin with or hold. The vendor cuts them to 123 bytes, so the first words have to do.
_BY_REASON: Final[Sequence[tuple[str, type[ProviderError]]]] = (
    ("API key not valid", AuthFailed),
    ("Method doesn't allow unregistered callers", AuthFailed),
    ("Your project has been denied access", AuthFailed),
    ("is not found for API version", ModelUnavailable),
    ("is not supported in the live api", ModelUnavailable),
    ("Publisher Model", ModelUnavailable),
    ("User location is not supported", ModelUnavailable),  # another vendor may serve it
    ("You exceeded your current quota", QuotaExceeded),
    ("Your prepayment credits are depleted", QuotaExceeded),
    ("Resource has been exhausted", RateLimited),
    ("Deadline expired", SessionClosed),
    ("The operation was aborted", SessionClosed),
    ("Connection aborted because the client failed to close", SessionClosed),
    ("Operation is not implemented", ConnectionFailed),  # the session's state is at fault as well; a new one may do
)

_BY_CLOSE_CODE: Final[dict[int, type[ProviderError]]] = {
    1007: RequestRejected,
    1008: RequestRejected,
    1011: ProviderUnavailable,
    1012: ProviderUnavailable,
    1013: ProviderUnavailable,
}

_BY_STATUS: Final[dict[int, type[ProviderError]]] = {
    401: AuthFailed,
    403: AuthFailed,
    404: ModelUnavailable,
    408: ConnectionFailed,
    429: RateLimited,
}

_KEY: Final = re.compile(r"\bAIza[\w-]{8,}|\bauth_tokens/[\w.~-]{4,}")


def error_from_close(code: int, reason: str) -> ProviderError | None:
    """What a close code says, with its reason; None for an ordinary close."""
    if code == 1000:
        return None
    kind = _by_reason(reason) or _BY_CLOSE_CODE.get(code, ConnectionFailed)
    message = without_key(reason) or f"the connection ended with code {code}"
    return kind(message, SESSION_EXPIRED if kind is SessionClosed else str(code), vendor=VENDOR)


def refuses_handle(code: int, reason: str) -> bool:
    """Whether a setup that named an earlier session may have been refused for that alone."""
    return code in {1007, 1008} and _by_reason(reason) not in {AuthFailed, ModelUnavailable}


def error_from_status(
    status: int, body: str = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What an HTTP status on the upgrade says; `body` is the vendor's JSON, or whatever a proxy in between wrote."""
    try:
        told = text_or(object_or_empty(READER.message(body), "error"), "message")
    except RemoteProtocolError:  # a proxy's page
        told = ""
    kind = _by_reason(told) or (ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected))
    message = without_key(told) or f"the upgrade was refused with HTTP status {status}"
    error = kind(message, str(status), vendor=VENDOR, request_id=request_id)
    error.retry_after = retry_after
    return error


def without_key(text: str) -> str:
    """The text with anything that looks like one of the vendor's keys or tokens taken out."""
    return _KEY.sub("[hidden]", text)


def _by_reason(reason: str) -> type[ProviderError] | None:
    return next((kind for words, kind in _BY_REASON if words in reason), None)
