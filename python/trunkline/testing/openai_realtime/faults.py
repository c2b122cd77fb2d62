"""What can go wrong on purpose: a script of faults that the simulator plays, one after the other."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong at the `nth` event of the type `on`.

    An event of the client's is not answered before the fault has happened; one of the server's has been sent by then.

    Args:
        on: The type of an event of either side, such as `"response.output_audio.delta"` or `"session.update"`; None for any.
        nth: Which of them, counted from when the fault before this one in the script has happened, over all sessions.
    """

    on: str | None = None
    nth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Fault):
    """The connection breaks without a close frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Fault):
    """The server closes the connection with this code and reason."""

    code: int = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(Fault):
    """The server sends an `error` event that nobody caused; the session goes on."""

    type: str = "server_error"
    code: str | None = "server_error"
    message: str = "The server had an error while processing your request. Sorry about that!"


class FaultScript:
    """The faults still to come, in order."""

    def __init__(self) -> None:
        self._coming: deque[Fault] = deque()
        self._seen = 0

    def extend(self, faults: Iterable[Fault]) -> None:
        """Let these follow those that are still to come."""
        self._coming.extend(faults)

    def due(self, kind: str) -> Fault | None:
        """The fault that happens at this event, if one does."""
        if not self._coming or self._coming[0].on not in {None, kind}:
            return None
        self._seen += 1
        if self._seen < self._coming[0].nth:
            return None
        self._seen = 0
        return self._coming.popleft()
