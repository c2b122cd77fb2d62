"""When a fallback client may go on to its next provider, and when it passes one over."""

from collections.abc import Iterator
from dataclasses import dataclass

from trunkline.errors import AllProvidersFailed, ConfigError, ProviderError, TrunklineError


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at opening a session.

    Attributes:
        provider: The provider's name.
        error: Why it failed; None if it did not.
        seconds: How long it took.
    """

    provider: str
    error: Exception | None
    seconds: float


def may_fall_back(error: Exception) -> bool:
    """Whether another provider may do what failed here with this error.

    Causes and the members of groups count as the error itself does: a refused key or an invalid configuration anywhere among them is a
    reason to stop. Of the rest the outermost error of this package's tree decides, and what is not of it may always fall back.
    """
    return reason_to_stop(error) is None


def reason_to_stop(error: Exception) -> TrunklineError | None:
    """The error in an error because of which no other provider may be tried; None if one may."""
    known = list(_known(error))
    if known and isinstance(known[0], AllProvidersFailed):
        return next(filter(None, (reason_to_stop(failure) for _, failure in known[0].attempts)), None)
    if known and not known[0].may_fall_back:
        return known[0]
    return next((one for one in known if isinstance(one, ProviderError | ConfigError) and not one.may_fall_back), None)


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


class CoolDown:
    """Which provider is left alone after it failed, and until when.

    Args:
        failures: How many failures in a row it takes.
        seconds: How long it then lasts; where the vendor asked for a time, its first failure is enough and that time holds.
    """

    def __init__(self, *, failures: int, seconds: float) -> None:
        self._failures = failures
        self._seconds = seconds
        self._in_a_row = 0
        self.until = float("-inf")

    def failed(self, error: Exception, now: float) -> None:
        """It failed at this moment of the clock."""
        self._in_a_row += 1
        asked = retry_after(error)
        if asked is not None:
            self.until = max(self.until, now + asked)
        elif self._in_a_row >= self._failures:
            self.until = max(self.until, now + self._seconds)

    def succeeded(self) -> None:
        """It works."""
        self._in_a_row = 0
        self.until = float("-inf")
