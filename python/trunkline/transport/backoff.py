"""How long to wait before trying again."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trunkline.errors import InvalidConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays that grow, so that a service that is down is not asked by everybody at once and all the time.

    Args:
        first: Seconds of the second delay; the first is none.
        factor: How many times longer each is than the one before.
        longest: Seconds that none exceeds.
        jitter: The share of a delay, 0 to 1, that is drawn by lot: 0.5 makes a delay of 8 s anything from 4 to 8 s.

    Raises:
        InvalidConfig: A number that makes no sense.
    """

    first: float = 0.5
    factor: float = 2.0
    longest: float = 10.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if self.first < 0:
            raise InvalidConfig("first", f"must not be negative, got {self.first!r}")
        if self.factor < 1:
            raise InvalidConfig("factor", f"must be at least 1, got {self.factor!r}")
        if self.longest < self.first:
            raise InvalidConfig("longest", f"must be at least {self.first!r}, got {self.longest!r}")
        if not 0 <= self.jitter <= 1:
            raise InvalidConfig("jitter", f"must be between 0 and 1, got {self.jitter!r}")

    def delays(self, *, lot: Callable[[], float] = random.random) -> Iterator[float]:
        """Seconds to wait before each attempt, without end: 0, first, first x factor, first x factor^2, … up to `longest`, less the jitter.

        Where a service says how long to wait, wait that long if it is longer: `max(delay, error.retry_after or 0)`.

        Args:
            lot: Draws from 0 to 1.
        """
        yield 0.0
        delay = self.first
        while True:
            yield delay * (1 - self.jitter * lot())
            delay = min(delay * self.factor, self.longest)
