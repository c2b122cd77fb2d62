"""What can go wrong with this vendor alone; the rest is in `trunkline.testing.faults`."""

from dataclasses import dataclass

from trunkline.testing.faults import Fault, FaultAtTheDoor


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(Fault):
    """The server sends an `error` event that nobody caused; the session goes on."""

    type: str = "server_error"
    code: str | None = "server_error"
    message: str = "The server had an error while processing your request. Sorry about that!"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited(FaultAtTheDoor):
    """The connection opens, one `error` event says that there were too many, and it closes, as the service refuses everything else.

    The close code and the error's `type` were not seen from the service; they are those of its other refusals.
    """

    code: str = "rate_limit_exceeded"
    message: str = "Rate limit reached for realtime sessions. Please try again later."
