"""What an HTTP status says where a vendor's own words say no more."""

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
    409: ProviderUnavailable,
    429: RateLimited,
}


def class_of_status(status: int) -> type[ProviderError]:
    """The error that a status stands for, with vendors that use the statuses as they are meant."""
    return ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected)
