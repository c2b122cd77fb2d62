"""What can go wrong on purpose: a script of faults that the simulator plays, one after the other.

    vendor.script([RefuseUpgrade(status=503), Stall(on="response.created", seconds=2), Drop(on="response.output_audio.delta", nth=3)])

The first connection is refused; the next one is served, falls silent for two seconds when the first response has begun, and breaks after
the third piece of audio. A fault at the door strikes a connection that is being made, every other fault an event of a session.
"""

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


# ── the connection ends ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Fault):
    """The connection breaks without a close frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Fault):
    """The server closes the connection with this code and reason."""

    code: int = 1011
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OversizedMessage(Fault):
    """The server sends one message of `size` bytes: above what a client of 16 MiB allows, or whatever yours does."""

    size: int = 16 * 2**20 + 1


# ── time passes ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Fault):
    """The server says nothing for so many seconds, and then goes on with all that it would have said."""

    seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfOpen(Fault):
    """The socket stays open, and nothing is ever read from it or written to it again, not even the answer to a ping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Fault):
    """From now on every message of this session is late, and the later the longer it is.

    Args:
        delay: Seconds before each message.
        bytes_per_second: What the network carries; None for any amount.
    """

    delay: float = 0.1
    bytes_per_second: float | None = None


# ── messages are not what they should be ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedJson(Fault):
    """The server sends a text that is no JSON; the session goes on."""

    text: str = '{"type": "response.output_audio.delta", "delta": "AAA'


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder(Fault):
    """The event and the one after it change places; at an event of the client's, the next two of the server's do.

    You should know that another event follows: until then the held one does not come.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Fault):
    """The event is sent twice; at an event of the client's, the next one of the server's is."""


# ── at the door ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAtTheDoor(Fault):
    """What befalls the `nth` connection from now instead of being served; `on` means nothing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuseUpgrade(FaultAtTheDoor):
    """The upgrade is answered with an HTTP status.

    Args:
        status: The status.
        retry_after: Seconds, given in the header `Retry-After`; None for no such header.
        code: The `code` of the error in the body, `message` its sentence.
        message: The sentence.
    """

    status: int = 503
    retry_after: int | None = None
    code: str | None = None
    message: str = "The server is overloaded or not ready yet."


@dataclass(frozen=True, slots=True, kw_only=True)
class HangInHandshake(FaultAtTheDoor):
    """The connection is accepted and nothing is said: no answer to the upgrade, or with `upgraded` nothing after it."""

    upgraded: bool = False


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
        if not self._coming or isinstance(self._coming[0], FaultAtTheDoor) or self._coming[0].on not in {None, kind}:
            return None
        return self._counted()

    def due_at_the_door(self) -> FaultAtTheDoor | None:
        """The fault that befalls this connection, if one does."""
        if not self._coming or not isinstance(self._coming[0], FaultAtTheDoor):
            return None
        fault = self._counted()
        return fault if isinstance(fault, FaultAtTheDoor) else None

    def _counted(self) -> Fault | None:
        self._seen += 1
        if self._seen < self._coming[0].nth:
            return None
        self._seen = 0
        return self._coming.popleft()
