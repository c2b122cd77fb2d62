"""What goes wrong on a connection to OpenAI Realtime, as errors that never show the key, nor does what caused them."""

from dataclasses import replace

from trunkline.errors import (
    ConnectionFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    ProviderError,
    RemoteProtocolError,
    TransportError,
)
from trunkline.wire.realtime.openai.errors import error_from, error_from_close, error_from_status, without_key
from trunkline.wire.realtime.openai.events import VendorError
from trunkline.wire.realtime.openai.session import VENDOR

Cause = TransportError | RemoteProtocolError

SHORTEST_SECRET = 8
"""Characters; a shorter key is no secret of any vendor's, and taking it out of a sentence would tear words apart."""


class ErrorMap:
    """Makes provider errors of the failures of one key's connections.

    Args:
        key: What to take out of the vendor's words, besides whatever looks like one of its keys.
    """

    def __init__(self, key: str = "") -> None:
        self._key = key if len(key) >= SHORTEST_SECRET else ""

    def reported(self, error: VendorError) -> ProviderError:
        """What an `error` event says, or a response or a transcription that failed."""
        return error_from(replace(error, message=self._without_key(error.message)))

    def refused(self, cause: Cause) -> ProviderError:
        """Why there is no session, after the connection failed."""
        cause = self.redacted(cause)
        match cause:
            case HandshakeRejected(status=status, body=body):
                error = error_from_status(status, body, retry_after=cause.retry_after, request_id=cause.request_id)
            case ConnectionLost(code=code, reason=reason):
                closed = "the vendor closed the connection before the session was ready"
                error = error_from_close(code, reason) or ConnectionFailed(closed, vendor=VENDOR)
            case DeadlineExceeded():
                error = ConnectionFailed(str(cause), "timeout", vendor=VENDOR)
            case _:
                error = ConnectionFailed(str(cause), vendor=VENDOR)
        error.__cause__ = cause
        return error

    def ended(self, cause: Cause) -> ProviderError | None:
        """Why a session is over; None if the vendor closed it in the ordinary way."""
        cause = self.redacted(cause)
        error: ProviderError | None = ConnectionFailed(str(cause), vendor=VENDOR)
        if isinstance(cause, ConnectionLost):
            error = error_from_close(cause.code, cause.reason)
        if error is not None:
            error.__cause__ = cause
        return error

    def malformed(self, cause: RemoteProtocolError) -> ProviderError:
        """What a message means that cannot be read; the session goes on."""
        error = ProviderError(str(cause), "malformed_message", vendor=VENDOR)
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
        return without_key(text.replace(self._key, "[hidden]") if self._key else text)
