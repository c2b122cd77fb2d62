"""What the suite plays and what it needs: scenes, troubles, and a vendor under its control."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from trunkline.realtime.provider import RealtimeProvider
from trunkline.testing.brain import CallTool, Heard, Say

Turn: TypeAlias = Sequence[Say | CallTool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """How the vendor's model behaves in one check.

    Args:
        answers: What each response is, in turn and over all sessions, or a function of the conversation so far; what `ScriptedBrain` takes.
        transcripts: What each spoken turn of the user's is understood as, in turn.
        commit: Whether the provider's sessions switch the vendor's voice activity detection off.
        real_time: Whether an answer comes as fast as it plays; otherwise all of it may come at once.
        short_lived: Whether the provider replaces each session of the vendor's after about a second; only asked of `lasting` suites.
    """

    answers: Sequence[Turn] | Callable[[Sequence[Heard]], Turn] = ()
    transcripts: Sequence[str] = ()
    commit: bool = False
    real_time: bool = False
    short_lived: bool = False


class Trouble(StrEnum):
    """What a vendor can be made to suffer. Those of a session strike while it answers, those at the door the next connection."""

    DROP = "drop"
    """The connection breaks without a word."""
    CLOSE = "close"
    """The vendor closes the connection with a code that says it failed."""
    HALF_OPEN = "half_open"
    """The socket stays open, and nothing comes or goes any more."""
    OVERSIZED = "oversized"
    """A message comes that is above what the provider allows."""
    EXPIRY = "expiry"
    """The vendor ends the session because its time is up."""
    ENDING = "ending"
    """The vendor says that it will end the session some time later, and goes on."""
    ERROR = "error"
    """The vendor tells of an error that ends nothing."""
    STALL = "stall"
    """The vendor says nothing for a moment, shorter than any deadline of the provider's."""
    SLOW = "slow"
    """Every message is late."""
    REORDER = "reorder"
    """Two messages change places."""
    DUPLICATE = "duplicate"
    """A message comes twice."""
    MALFORMED = "malformed"
    """A message comes that cannot be read."""
    REFUSED = "refused"
    """At the door: the vendor is overloaded and says so."""
    HANGING = "hanging"
    """At the door: the vendor accepts the connection and never answers."""
    WRONG_KEY = "wrong_key"
    """At the door: the key is refused."""
    RATE_LIMITED = "rate_limited"
    """At the door: there were too many requests."""


class Vendor(Protocol):
    """A vendor's service on loopback, and what it has seen over all sessions. You write one for a provider of yours."""

    @property
    def provider(self) -> RealtimeProvider:
        """The provider under test, connecting to this vendor. Its deadlines must be well below the suite's `patience`."""
        ...

    def inflict(self, trouble: Trouble) -> None:
        """Let this happen once: in the next answer, or at the door of the next connection."""
        ...

    @property
    def open_sessions(self) -> int:
        """How many connections to it are open."""
        ...

    @property
    def instructions(self) -> str:
        """The system prompt of the session that was opened last, as it is now."""
        ...

    @property
    def heard(self) -> bytes:
        """The user's audio that arrived and was not cleared, in the sessions' input format."""
        ...

    @property
    def tool_results(self) -> Sequence[str]:
        """The answers to tool calls that arrived, in their order."""
        ...

    @property
    def truncations(self) -> Sequence[tuple[str, int]]:
        """Which items were truncated, and to how many milliseconds."""
        ...
