"""The providers of a fallback client: whose turn it is, and who is left alone."""

import logging
from collections import deque

import anyio.abc

from trunkline.clock import Clock
from trunkline.errors import AllProvidersFailed, ProviderUnavailable
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider
from trunkline.realtime.reconnect.fallback import Attempt, CoolDown, may_fall_back, reason_to_stop
from trunkline.realtime.reconnect.held_session import HeldSession

log = logging.getLogger(__name__)

REMEMBERED = 100
"""Attempts that are remembered."""


class ProviderPool:
    """Opens sessions with the first provider that can.

    Args:
        providers: In the order in which they are tried.
        connect_timeout: Seconds that each has.
        failures: How many failures in a row it takes until one is left alone.
        cool_down: For how many seconds.
        clock: Where time comes from.

    Attributes:
        attempts: The last tries.
        tried: How many there were in all.
        failed: How many of them were in vain.
        failovers: How many sessions were opened in place of one that broke.
    """

    def __init__(
        self,
        providers: tuple[RealtimeProvider, ...],
        *,
        connect_timeout: float,
        failures: int,
        cool_down: float,
        clock: Clock,
    ) -> None:
        self.providers = providers
        self.attempts: deque[Attempt] = deque(maxlen=REMEMBERED)
        self.tried = self.failed = self.failovers = 0
        self._connect_timeout = connect_timeout
        self._failures = failures
        self._cool_down = cool_down
        self._clock = clock
        self._states: dict[int, CoolDown] = {}

    def keep(self, providers: tuple[RealtimeProvider, ...]) -> None:
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
        return tuple(provider.name for provider in self.providers if self._wait(provider) > 0)

    async def open(
        self, config: ProcessConfig, tasks: anyio.abc.TaskGroup, *, instead_of: RealtimeProvider | None = None
    ) -> tuple[HeldSession, list[tuple[str, Exception]]]:
        """A session, kept open by a task of its own, and the attempts that failed before it, as (name, error).

        Args:
            config: How it should be.
            tasks: Where that task runs.
            instead_of: Whose session it follows, which broke.

        Raises:
            ProviderUnavailable: There is none.
            AllProvidersFailed: None could open one.
            TrunklineError: One failed in a way that is no reason to try another.
        """
        self.first()
        failures: list[tuple[str, Exception]] = []
        for provider in self._order(instead_of):
            held = HeldSession(provider, config)
            tasks.start_soon(held.hold, name=f"trunkline session with {provider.name}")
            began = self._clock.now()
            try:
                await held.opened(self._connect_timeout, self._clock)
            except Exception as error:
                self._note(provider, error, began)
                if (reason := reason_to_stop(error)) is error:
                    raise
                if reason is not None:
                    raise reason from error
                self._state(provider).failed(error, self._clock.now())
                failures.append((provider.name, error))
            else:
                self._note(provider, None, began)
                self.failovers += instead_of is not None
                return held, failures
        raise AllProvidersFailed(failures) from (failures[-1][1] if failures else None)

    def died(self, provider: RealtimeProvider, error: Exception) -> None:
        """A session broke, which counts like one that could not be opened."""
        if may_fall_back(error):
            self._state(provider).failed(error, self._clock.now())

    def answered(self, provider: RealtimeProvider) -> None:
        """A session was of use: what its provider failed in before is forgiven."""
        self._state(provider).succeeded()

    def _order(self, lost: RealtimeProvider | None) -> list[RealtimeProvider]:
        """All, the cooling ones last; in place of a session that broke, first those that follow its provider, and itself at last."""
        places = [place + 1 for place, provider in enumerate(self.providers) if provider is lost]
        after = places[0] if places else 0
        return sorted((*self.providers[after:], *self.providers[:after]), key=self._wait)

    def _wait(self, provider: RealtimeProvider) -> float:
        return max(0.0, self._state(provider).until - self._clock.now())

    def _state(self, provider: RealtimeProvider) -> CoolDown:
        return self._states.setdefault(id(provider), CoolDown(failures=self._failures, seconds=self._cool_down))

    def _note(self, provider: RealtimeProvider, error: Exception | None, began: float) -> None:
        self.attempts.append(Attempt(provider=provider.name, error=error, seconds=self._clock.now() - began))
        self.tried += 1
        if error is not None:
            self.failed += 1
            log.warning("no session with %s: %s", provider.name, error)
