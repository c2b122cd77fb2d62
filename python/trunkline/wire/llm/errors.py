"""What the vendors of language models have in common in what goes wrong."""

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
    """What an HTTP status says where the vendor's own words say no more."""
    return ProviderUnavailable if status >= 500 else _BY_STATUS.get(status, RequestRejected)


def truncated(vendor: str) -> ProviderError:
    """The stream is over, and the answer is not."""
    return ConnectionFailed("the stream ended before the answer was complete", "truncated", vendor=vendor)
