"""The providers of a fallback client: whose turn it is, and who is left alone."""

import logging
from collections import deque
from collections.abc import Callable

import anyio.abc

from trunkline.clock import Clock
from trunkline.errors import AllProvidersFailed
from trunkline.realtime.fallback import Attempt, CoolDown, may_fall_back
from trunkline.realtime.held_session import HeldSession
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider

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

    def cooling(self) -> tuple[str, ...]:
        """The names of those that are left alone at the moment."""
        return tuple(provider.name for provider in self.providers if self._wait(provider) > 0)

    async def open(
        self,
        config: ProcessConfig,
        tasks: anyio.abc.TaskGroup,
        failed: Callable[[Exception], None],
        *,
        instead_of: HeldSession | None = None,
    ) -> HeldSession:
        """A session, kept open by a task of its own; `failed` is told of each failure that was not the last word.

        Raises:
            AllProvidersFailed: None could open one.
            Exception: One failed in a way that is no reason to try another.
        """
        failures: list[tuple[str, Exception]] = []
        for provider in self._order(instead_of):
            held = HeldSession(provider, config)
            tasks.start_soon(held.hold, name=f"trunkline session with {provider.name}")
            began = self._clock.now()
            try:
                await held.opened(self._connect_timeout, self._clock)
            except Exception as error:
                self._note(provider, error, began)
                if not may_fall_back(error):
                    raise
                self._state(provider).failed(error, self._clock.now())
                failures.append((provider.name, error))
                failed(error)
            else:
                self._note(provider, None, began)
                self.failovers += instead_of is not None
                return held
        raise AllProvidersFailed(failures) from (failures[-1][1] if failures else None)

    def died(self, held: HeldSession, error: Exception) -> None:
        """A session broke, which counts like one that could not be opened."""
        self._state(held.provider).failed(error, self._clock.now())

    def answered(self, held: HeldSession) -> None:
        """A session was of use: what its provider failed in before is forgiven."""
        self._state(held.provider).succeeded()

    def _order(self, lost: HeldSession | None) -> list[RealtimeProvider]:
        """For a new session all, the cooling ones last; in place of one that broke only the others that follow it, and at last its own.

        So a provider whose sessions break at once is not asked again and again.
        """
        if lost is None:
            return sorted(self.providers, key=self._wait)
        places = [place for place, provider in enumerate(self.providers) if provider is lost.provider]
        after = places[0] + 1 if places else 0
        return [one for one in (*self.providers[after:], *self.providers[:after]) if not self._wait(one)]

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
