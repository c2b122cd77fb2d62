"""What an HTTP status says where the vendor's own words do not say more."""

from collections.abc import Mapping
from dataclasses import dataclass

from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ModelUnavailable,
    ProviderError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
)

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthFailed,
    402: QuotaExceeded,
    403: AuthFailed,
    404: ModelUnavailable,
    408: ConnectionFailed,
    429: RateLimited,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a vendor said besides the status; empty where it did not."""

    message: str = ""
    code: str = ""
    request_id: str = ""


def error_from_status(
    vendor: str,
    status: int,
    said: Refusal,
    by_code: Mapping[str, type[ProviderError]],
    *,
    retry_after: float | None = None,
) -> ProviderError:
    """The error that a refused request is.

    Args:
        vendor: The vendor's name, as in the registry.
        status: The HTTP status.
        said: What the body said.
        by_code: What the vendor's own codes mean; they go before the status.
        retry_after: Seconds, from the header.
    """
    by_status = ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected)
    return by_code.get(said.code, by_status)(
        said.message or f"the request was refused with HTTP status {status}",
        said.code or str(status),
        vendor=vendor,
        request_id=said.request_id or None,
        retry_after=retry_after,
    )
