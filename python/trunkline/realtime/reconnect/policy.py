"""How long a vendor's session is used, and how hard it is tried to get another."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from trunkline.errors import InvalidConfig, TrunklineError
from trunkline.realtime.reconnect.watchdog import Watchdog
from trunkline.transport.backoff import Backoff

ROTATE_FROM = 0.95
"""The share of the vendor's limit after which a session is replaced at the next quiet moment: 57 minutes of an hour."""

ROTATE_BY = 119 / 120
"""The share after which it is replaced in any case: 30 seconds before an hour is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectPolicy:
    """How hard to try to take up a conversation whose session is gone.

    Only what another attempt can cure is tried again: a refused key or a refused request ends the conversation at once.

    Args:
        attempts: How many sessions are tried in a row; 0 for none.
        backoff: How long to wait before each. Where the vendor says how long, that is waited if it is longer.
        longest_wait: Seconds that a caller may be left waiting on the vendor's word; longer ends the conversation.
        connect_timeout: Seconds that a vendor may take to have a session ready.
        steady_after: Seconds after which a session counts as sound: attempts are counted anew when it breaks.

    Raises:
        InvalidConfig: A number that makes no sense.
    """

    attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    longest_wait: float = 20.0
    connect_timeout: float = 15.0
    steady_after: float = 30.0

    def __post_init__(self) -> None:
        for name in ("attempts", "longest_wait", "steady_after"):
            if getattr(self, name) < 0:
                raise InvalidConfig(name, f"must not be negative, got {getattr(self, name)!r}")
        if not self.connect_timeout > 0:
            raise InvalidConfig("connect_timeout", f"must be above 0, got {self.connect_timeout!r}")

    def delays(self) -> Iterator[float]:
        """Seconds to wait before each of the attempts."""
        return (delay for _, delay in zip(range(self.attempts), self.backoff.delays(), strict=False))

    def may_retry(self, error: TrunklineError) -> bool:
        """Whether another attempt may cure it, and soon enough."""
        return error.may_fall_back and (getattr(error, "retry_after", None) or 0.0) <= self.longest_wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """All that makes a session last; `LastingProvider` explains the parts."""

    rotate_after: float | None
    reconnect: ReconnectPolicy
    watchdog: Watchdog | None
    replay_seconds: float

    def rotate_between(self, session_limit: float | None) -> tuple[float, float]:
        """Seconds of a session after which it is replaced at a quiet moment, and in any case."""
        limit = math.inf if session_limit is None else session_limit
        rotate_from = ROTATE_FROM * limit if self.rotate_after is None else self.rotate_after
        return rotate_from, max(rotate_from, ROTATE_BY * limit)
