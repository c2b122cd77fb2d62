"""What goes wrong on a connection to OpenAI Realtime, as errors that never show the key, nor does what caused them."""

from collections.abc import Collection
from dataclasses import replace
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
from trunkline.wire.realtime.openai import errors as openai_errors
from trunkline.wire.realtime.openai.events import VendorError

Cause = TransportError | RemoteProtocolError

SHORTEST_SECRET = 8
"""Characters; a shorter key is no secret of any vendor's, and taking it out of a sentence would tear words apart."""


class Errors(Protocol):
    """How a vendor of this protocol says what went wrong: what its module `errors` in `trunkline.wire` has."""

    @property
    def VENDOR(self) -> str:  # noqa: N802 - a constant of the module
        """The vendor's name."""
        ...

    @property
    def ENDINGS(self) -> Collection[str]:  # noqa: N802 - likewise
        """Codes of errors after which the session is over."""
        ...

    def is_benign(self, error: VendorError, /) -> bool:
        """Whether a call goes on as if nothing had happened."""
        ...

    def error_from(self, error: VendorError, /) -> ProviderError:
        """Of an `error` event, a failed response or transcription."""
        ...

    def error_from_close(self, code: int, reason: str, /) -> ProviderError | None:
        """Of a close frame; None for an ordinary one."""
        ...

    def error_from_status(
        self, status: int, body: str, /, *, retry_after: float | None, request_id: str | None
    ) -> ProviderError:
        """Of an upgrade that was refused."""
        ...

    def without_key(self, text: str, /) -> str:
        """The text without whatever looks like a key."""
        ...


class ErrorMap:
    """Makes provider errors of the failures of one key's connections.

    Args:
        key: What to take out of the vendor's words, besides whatever looks like one of its keys.
        wire: How the vendor says what went wrong.
    """

    def __init__(self, key: str = "", wire: Errors = openai_errors) -> None:
        self.wire = wire
        self._key = key if len(key) >= SHORTEST_SECRET else ""

    def reported(self, error: VendorError) -> ProviderError:
        """What an `error` event says, or a response or a transcription that failed."""
        return self.wire.error_from(replace(error, message=self._without_key(error.message)))

    def refused(self, cause: Cause) -> ProviderError:
        """Why there is no session, after the connection failed."""
        cause = self.redacted(cause)
        match cause:
            case HandshakeRejected(status=status, body=body):
                error = self.wire.error_from_status(
                    status, body, retry_after=cause.retry_after, request_id=cause.request_id
                )
            case ConnectionLost(code=code, reason=reason):
                closed = "the vendor closed the connection before the session was ready"
                error = self.wire.error_from_close(code, reason) or ConnectionFailed(closed, vendor=self.wire.VENDOR)
            case DeadlineExceeded():
                error = ConnectionFailed(str(cause), "timeout", vendor=self.wire.VENDOR)
            case _:
                error = ConnectionFailed(str(cause), vendor=self.wire.VENDOR)
        error.__cause__ = cause
        return error

    def ended(self, cause: Cause) -> ProviderError | None:
        """Why a session is over; None if the vendor closed it in the ordinary way."""
        cause = self.redacted(cause)
        error: ProviderError | None = ConnectionFailed(str(cause), vendor=self.wire.VENDOR)
        if isinstance(cause, ConnectionLost):
            error = self.wire.error_from_close(cause.code, cause.reason)
        if error is not None:
            error.__cause__ = cause
        return error

    def malformed(self, cause: RemoteProtocolError) -> ProviderError:
        """What a message means that cannot be read; the session goes on."""
        error = ProviderError(str(cause), "malformed_message", vendor=self.wire.VENDOR)
        error.__cause__ = cause
        return error

    def redacted(self, cause: Cause) -> Cause:
        """The same, with the key taken out of what the vendor said."""
        match cause:
            case ConnectionLost(code=code, reason=reason):
                same: Cause = ConnectionLost(code, self._without_key(reason))
            case HandshakeRejected(status=status, body=body):
                same = HandshakeRejected(
                    status,
                    body=self._without_key(body),
                    retry_after=cause.retry_after,
                    request_id=cause.request_id,
                )
            case _:
                return cause
        same.__cause__ = cause.__cause__
        return same

    def _without_key(self, text: str) -> str:
        return self.wire.without_key(text.replace(self._key, "[hidden]") if self._key else text)
