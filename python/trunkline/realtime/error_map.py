"""What goes wrong on a connection to a vendor, as errors that never show the key, nor does what caused them."""

from typing import Protocol

from trunkline.errors import (
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    ProviderError,
    RemoteProtocolError,
    TransportError,
)

Cause = TransportError | RemoteProtocolError

SHORTEST_SECRET = 8
"""Characters; a shorter key is no secret of any vendor's, and taking it out of a sentence would tear words apart."""


def secrets_of(key: str) -> list[str]:
    """What must not be shown of a key: the key, unless it is too short to be one."""
    return [key] if len(key) >= SHORTEST_SECRET else []


class VendorErrors(Protocol):
    """How one vendor's words are understood: what its wire package says of errors."""

    def error_from_close(self, code: int, reason: str) -> ProviderError | None:
        """What a close code says; None for an ordinary close."""
        ...

    def error_from_status(
        self, status: int, body: str = "", *, retry_after: float | None = None, request_id: str | None = None
    ) -> ProviderError:
        """What an HTTP status on the upgrade says."""
        ...

    def without_key(self, text: str) -> str:
        """The text with anything that looks like one of the vendor's keys taken out."""
        ...


class ConnectionErrors:
    """Makes provider errors of the failures of one key's connections.

    Args:
        vendor: The vendor's name.
        words: How its words are understood, a module of `trunkline.wire` as a rule.
        key: What to take out of the vendor's words, besides whatever looks like one of its keys.
    """

    def __init__(self, vendor: str, words: VendorErrors, key: str = "") -> None:
        self._vendor = vendor
        self._words = words
        self._key = "".join(secrets_of(key))

    def refused(self, cause: Cause) -> ProviderError:
        """Why there is no session, after the connection failed."""
        cause = self.redacted(cause)
        match cause:
            case HandshakeRejected(status=status, body=body):
                error = self._words.error_from_status(
                    status, body, retry_after=cause.retry_after, request_id=cause.request_id
                )
            case ConnectionLost(code=code, reason=reason):
                closed = "the vendor closed the connection before the session was ready"
                error = self._words.error_from_close(code, reason) or ConnectionFailed(closed, vendor=self._vendor)
            case DeadlineExceeded():
                error = ConnectionFailed(str(cause), "timeout", vendor=self._vendor)
            case _:
                error = ConnectionFailed(str(cause), vendor=self._vendor)
        error.__cause__ = cause
        return error

    def ended(self, cause: Cause) -> ProviderError | None:
        """Why a session is over; None if the vendor closed it in the ordinary way."""
        cause = self.redacted(cause)
        error: ProviderError | None = ConnectionFailed(str(cause), vendor=self._vendor)
        if isinstance(cause, ConnectionLost):
            error = self._words.error_from_close(cause.code, cause.reason)
        if error is not None:
            error.__cause__ = cause
        return error

    def malformed(self, cause: RemoteProtocolError) -> ProviderError:
        """What a message means that cannot be read; the session goes on."""
        error = ProviderError(str(cause), "malformed_message", vendor=self._vendor)
        error.__cause__ = cause
        return error

    def redacted(self, cause: Cause) -> Cause:
        """The same, with the key taken out of what the vendor said."""
        match cause:
            case ConnectionLost(code=code, reason=reason):
                same: Cause = ConnectionLost(code, self.hidden(reason))
            case HandshakeRejected(status=status, body=body):
                same = HandshakeRejected(
                    status,
                    body=self.hidden(body),
                    retry_after=cause.retry_after,
                    request_id=cause.request_id,
                )
            case _:
                return cause
        same.__cause__ = cause.__cause__
        return same

    def hidden(self, text: str) -> str:
        """The text without the key."""
        return self._words.without_key(text.replace(self._key, "[hidden]") if self._key else text)
