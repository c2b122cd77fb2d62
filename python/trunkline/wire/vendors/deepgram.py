"""Deepgram, what went wrong: HTTP bodies and close codes become provider errors.

A refusal's body has one of three shapes: `err_code` and `err_msg`, `category` and `message`, or plain text.
"""

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
from trunkline.wire.fields import Reader, text_or

VENDOR: Final = "deepgram"
READER: Final = Reader(VENDOR)

_LONGEST = 500
_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    402: QuotaExceeded,
    403: ModelUnavailable,
    404: ModelUnavailable,
    405: ModelUnavailable,
    408: ProviderUnavailable,
    429: RateLimited,
}
_BY_CODE: dict[str, type[ProviderError]] = {
    "INVALID_AUTH": AuthFailed,
    "ASR_PAYMENT_REQUIRED": QuotaExceeded,
    "TOO_MANY_REQUESTS": RateLimited,
}
_BY_CLOSE_CODE: dict[int, type[ProviderError]] = {
    1002: RequestRejected,  # older servers: the audio is not what it was said to be
    1008: RequestRejected,
    1011: ProviderUnavailable,
    1012: ProviderUnavailable,
    1013: ProviderUnavailable,
}


def error_from_status(
    status: int, body: str = "", *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What an HTTP status says; `body` is the vendor's JSON, its plain text, or what a proxy in between wrote."""
    try:
        fields = READER.message(body)
    except RemoteProtocolError:
        fields = {"message": body.strip()}
    code = text_or(fields, "err_code") or text_or(fields, "category")
    message = text_or(fields, "err_msg") or text_or(fields, "message")
    by_status = ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected)
    if status == 400 and "model" in message.lower():
        by_status = ModelUnavailable
    return _BY_CODE.get(code, by_status)(
        message[:_LONGEST] or f"refused with HTTP status {status}",
        code or str(status),
        vendor=VENDOR,
        request_id=text_or(fields, "request_id") or request_id,
        retry_after=retry_after,
    )


def error_from_close(code: int, reason: str) -> ProviderError | None:
    """What a close code says; None for an ordinary close."""
    if code == 1000:
        return None
    message = reason or f"the connection ended with code {code}"
    return _BY_CLOSE_CODE.get(code, ConnectionFailed)(message, str(code), vendor=VENDOR)


def without_key(text: str) -> str:
    """The text as it is: the vendor's keys look like any hexadecimal number."""
    return text
