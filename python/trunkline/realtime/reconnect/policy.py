"""When a session is replaced, how hard it is tried to get another, and which errors leave something to try."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from trunkline.errors import (
    AllProvidersFailed,
    ConfigError,
    InvalidConfig,
    ProviderError,
    RequestRejected,
    SessionClosed,
    TrunklineError,
)
from trunkline.realtime.reconnect.watchdog import Watchdog
from trunkline.transport.backoff import Backoff

ROTATE_AFTER = 0.95
"""The share of a session's life after which it is replaced at the next quiet moment: 57 minutes of an hour."""
BETWEEN_ANSWERS = (30.0, 0.04)
"""Seconds before a session's end, at most this share of its life, from which it is replaced as soon as no answer is running."""
REGARDLESS = (10.0, 0.02)
"""Likewise, from which it is replaced whatever is under way: time enough to connect the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectPolicy:
    """How hard to try to take up a conversation whose session is gone.

    A round tries each provider that may still do it, once. A provider whose error another attempt cannot cure, such as a refused key, is
    not asked again in this conversation; when none is left, the conversation ends at once.

    Args:
        attempts: How many rounds are tried in a row; 0 for none.
        backoff: How long to wait before each. Where all providers asked to be left alone, the shortest of those times is waited if it
            is longer.
        longest_wait: Seconds that a caller may be left waiting on a vendor's word; longer ends the conversation.
        steady_after: Seconds after which a session counts as sound: rounds are counted anew when it breaks.
        failed_answers: How many answers in a row may fail until the provider is given up. An error that another attempt cannot cure,
            such as a quota that is used up, gives it up at the first.

    Raises:
        InvalidConfig: A number that makes no sense.
    """

    attempts: int = 5
    backoff: Backoff = field(default_factory=Backoff)
    longest_wait: float = 20.0
    steady_after: float = 30.0
    failed_answers: int = 3

    def __post_init__(self) -> None:
        for name in ("attempts", "longest_wait", "steady_after"):
            if getattr(self, name) < 0:
                raise InvalidConfig(name, f"must not be negative, got {getattr(self, name)!r}")
        if self.failed_answers < 1:
            raise InvalidConfig("failed_answers", f"must be at least 1, got {self.failed_answers!r}")

    def delays(self) -> Iterator[float]:
        """Seconds to wait before each of the rounds."""
        return (delay for _, delay in zip(range(self.attempts), self.backoff.delays(), strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPolicy:
    """All that a conversation goes by; `RealtimeClient` explains the parts."""

    connect_timeout: float
    failover: bool
    rotate_after: float | None
    reconnect: ReconnectPolicy
    watchdog: Watchdog | None
    replay_seconds: float

    def rotate_from(self, began: float, ending_at: float | None) -> tuple[float, float, float]:
        """When a session is to be replaced: from when at a quiet moment, from when between two answers, and from when in any case.

        Args:
            began: When the session was ready.
            ending_at: When the vendor will end it; None where it does not say, and then only `rotate_after` counts.
        """
        asked = math.inf if self.rotate_after is None else began + self.rotate_after
        if ending_at is None:
            return asked, math.inf, math.inf
        life = max(0.0, ending_at - began)
        between, regardless = (ending_at - min(most, share * life) for most, share in (BETWEEN_ANSWERS, REGARDLESS))
        return min(asked, began + ROTATE_AFTER * life), between, regardless


def may_fall_back(error: Exception) -> bool:
    """Whether another provider may do what failed with this error before a conversation began.

    Causes and the members of groups count as the error itself does: a refused key or an invalid configuration anywhere among them is a
    reason to stop. Of the rest the outermost error of this package's tree decides, and what is not of it may always fall back. That a
    session was over (`SessionClosed`) says nothing as a cause.
    """
    return reason_to_stop(error) is None


def reason_to_stop(error: Exception) -> TrunklineError | None:
    """The error in an error because of which no other provider may be tried; None if one may."""
    known = list(_known(error))
    if known and isinstance(known[0], AllProvidersFailed):
        return next(filter(None, (reason_to_stop(failure) for _, failure in known[0].attempts)), None)
    if known and not known[0].may_fall_back:
        return known[0]
    facts = (
        one for one in known if isinstance(one, ProviderError | ConfigError) and not isinstance(one, SessionClosed)
    )
    return next((one for one in facts if not one.may_fall_back), None)


def may_retry(error: Exception) -> bool:
    """Whether the same provider may do at another attempt what failed with this error; causes count as in `may_fall_back`."""
    known = list(_known(error))
    if known and isinstance(known[0], AllProvidersFailed):
        return any(may_retry(failure) for _, failure in known[0].attempts)
    if not may_fall_back(error):
        return False
    return not any(
        isinstance(one, RequestRejected) or one.is_permanent for one in known if isinstance(one, ProviderError)
    )


def retry_after(error: Exception) -> float | None:
    """Seconds that the vendor asked to be left alone, if it did."""
    asked = [getattr(one, "retry_after", None) for one in _known(error)]
    return max((seconds for seconds in asked if seconds is not None), default=None)


def _known(error: BaseException, seen: frozenset[int] = frozenset()) -> Iterator[TrunklineError]:
    """The errors of this package in an error, the outermost first."""
    if id(error) in seen:
        return
    seen |= {id(error)}
    if isinstance(error, TrunklineError):
        yield error
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for inner in (*members, error.__cause__):
        if inner is not None:
            yield from _known(inner, seen)
