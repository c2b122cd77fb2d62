"""The providers that a session may come from, in order: who is tried next, and who is left alone for a while."""

import logging
import math
from collections import deque
from dataclasses import dataclass

from trunkline.clock import Clock
from trunkline.errors import ProviderUnavailable
from trunkline.realtime.provider import RealtimeProvider
from trunkline.realtime.reconnect.policy import may_fall_back, retry_after

log = logging.getLogger(__name__)

KEPT_ATTEMPTS = 100
"""Attempts that are remembered."""


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


class CoolDown:
    """Until when a provider is left alone after it failed.

    Args:
        failures: How many failures in a row it takes.
        seconds: How long it then lasts; where the vendor asked for a time, its first failure is enough and that time holds.

    Attributes:
        until: When it is over, in seconds of the clock.
        asked_until: Likewise, as far as the vendor asked for it.
    """

    def __init__(self, *, failures: int, seconds: float) -> None:
        self._failures = failures
        self._seconds = seconds
        self._in_a_row = 0
        self.until = self.asked_until = -math.inf

    def failed(self, error: Exception, now: float) -> None:
        """It failed at this moment."""
        self._in_a_row += 1
        asked = retry_after(error)
        if asked is not None:
            self.asked_until = max(self.asked_until, now + asked)
            self.until = max(self.until, self.asked_until)
        elif self._in_a_row >= self._failures:
            self.until = max(self.until, now + self._seconds)

    def succeeded(self) -> None:
        """It works."""
        self._in_a_row = 0
        self.until = self.asked_until = -math.inf


class Candidates:
    """The providers of a client, and how each of them fared; shared by all of its conversations.

    Args:
        providers: In the order in which they are tried.
        failures: How many failures in a row it takes until one is left alone.
        cool_down: For how many seconds.
        clock: Where time comes from.

    Attributes:
        attempts: The last tries.
        tried: How many there were in all.
        failed: How many of them were in vain.
        failovers: How many sessions were taken over by another provider.
    """

    def __init__(
        self, providers: tuple[RealtimeProvider, ...], *, failures: int, cool_down: float, clock: Clock
    ) -> None:
        self.providers = providers
        self.attempts: deque[Attempt] = deque(maxlen=KEPT_ATTEMPTS)
        self.tried = self.failed = self.failovers = 0
        self._failures = failures
        self._cool_down = cool_down
        self._clock = clock
        self._states: dict[int, CoolDown] = {}

    def replace(self, providers: tuple[RealtimeProvider, ...]) -> None:
        """Try these from now on."""
        self.providers = providers
        self._states = {id(one): self._states[id(one)] for one in providers if id(one) in self._states}

    def first(self) -> RealtimeProvider:
        """The primary.

        Raises:
            ProviderUnavailable: There is no provider.
        """
        if not self.providers:
            raise ProviderUnavailable("the client has no provider")
        return self.providers[0]

    def cooling(self) -> tuple[str, ...]:
        """The names of those that are left alone at the moment."""
        return tuple(provider.name for provider in self.providers if self._cooling_for(provider) > 0)

    def in_order(self, after: RealtimeProvider | None = None) -> list[RealtimeProvider]:
        """All of them, those that are left alone last.

        Args:
            after: Whose session broke: those that follow it come first, and itself at last.
        """
        places = [place + 1 for place, provider in enumerate(self.providers) if provider is after]
        start = places[0] if places else 0
        return sorted((*self.providers[start:], *self.providers[:start]), key=self._cooling_for)

    def asked_wait(self, provider: RealtimeProvider) -> float:
        """Seconds for which its vendor still asks to be left alone."""
        return max(0.0, self._state(provider).asked_until - self._clock.now())

    # ── how they fare ────────────────────────────────────────────────────────────────────────────────────────────────

    def opened(self, provider: RealtimeProvider, began: float) -> None:
        """A session was opened, at which it was tried from `began` on."""
        self._note(provider, None, began)

    def not_opened(self, provider: RealtimeProvider, error: Exception, began: float) -> None:
        """No session could be opened."""
        self._note(provider, error, began)
        log.warning("no session with %s: %s", provider.name, error)
        self.broke(provider, error)

    def broke(self, provider: RealtimeProvider, error: Exception) -> None:
        """A session broke, which counts like one that could not be opened."""
        if may_fall_back(error):
            self._state(provider).failed(error, self._clock.now())

    def answered(self, provider: RealtimeProvider) -> None:
        """A session was of use: what its provider failed in before is forgotten."""
        self._state(provider).succeeded()

    def _cooling_for(self, provider: RealtimeProvider) -> float:
        return max(0.0, self._state(provider).until - self._clock.now())

    def _state(self, provider: RealtimeProvider) -> CoolDown:
        return self._states.setdefault(id(provider), CoolDown(failures=self._failures, seconds=self._cool_down))

    def _note(self, provider: RealtimeProvider, error: Exception | None, began: float) -> None:
        self.attempts.append(Attempt(provider=provider.name, error=error, seconds=self._clock.now() - began))
        self.tried += 1
        self.failed += error is not None
