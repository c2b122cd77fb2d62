"""Deepgram, what its services have in common: the key's header and how they refuse."""

from typing import Final

from trunkline.errors import AuthFailed, ProviderError, QuotaExceeded, RateLimited, RemoteProtocolError, RequestRejected
from trunkline.wire.fields import Reader, text_or
from trunkline.wire.refusals import Refusal, error_from_status

VENDOR: Final = "deepgram"
BASE_URL: Final = "https://api.deepgram.com"
KEY_VARIABLE: Final = "DEEPGRAM_API_KEY"
READER: Final = Reader(VENDOR)

BY_CODE: Final[dict[str, type[ProviderError]]] = {
    "INVALID_AUTH": AuthFailed,
    "INSUFFICIENT_PERMISSIONS": AuthFailed,
    "ASR_PAYMENT_REQUIRED": QuotaExceeded,
    "TOO_MANY_REQUESTS": RateLimited,
    "PROJECT_NOT_FOUND": RequestRejected,
}
_LONGEST_PLAIN = 200  # characters of a plain-text refusal that are told


def headers(api_key: str) -> list[tuple[str, str]]:
    """What opens every service, with a long-lived key."""
    return [("Authorization", f"Token {api_key}")]


def refused(
    status: int, body: str, *, retry_after: float | None = None, request_id: str | None = None
) -> ProviderError:
    """What a refused request means; the body is JSON of two forms, or plain text."""
    said = read_refusal(body)
    if request_id and not said.request_id:
        said = Refusal(message=said.message, code=said.code, request_id=request_id)
    return error_from_status(VENDOR, status, said, BY_CODE, retry_after=retry_after)


def read_refusal(body: str) -> Refusal:
    """The vendor's words in the body of a refusal."""
    try:
        fields = READER.message(body)
    except RemoteProtocolError:
        return Refusal(message="" if body.lstrip().startswith("<") else body.strip()[:_LONGEST_PLAIN])
    return Refusal(
        message=text_or(fields, "err_msg") or text_or(fields, "message"),
        code=text_or(fields, "err_code") or text_or(fields, "category"),
        request_id=text_or(fields, "request_id"),
    )
