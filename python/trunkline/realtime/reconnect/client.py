"""Several providers as one: where the first cannot, the next does."""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio
import anyio.abc

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import DeadlineExceeded, InvalidConfig, SessionClosed, UnknownProvider
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.realtime.reconnect import LastingProvider, LastingSession, ReconnectPolicy
from trunkline.realtime.reconnect.candidates import ProviderPool
from trunkline.realtime.reconnect.fallback import Attempt
from trunkline.realtime.reconnect.pooled_session import PooledProvider
from trunkline.realtime.reconnect.session import without_limit
from trunkline.realtime.stream import StreamContract

CLOSE_TIMEOUT = 5.0
"""Seconds that each session and each provider has to close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStats:
    """What a client did so far.

    Attributes:
        attempts: Tries at opening a session.
        failed_attempts: Those of them in vain.
        failovers: Sessions that another provider took over.
        dropped_bytes: Audio of the callers' that no session got, because too much of it came between two of them.
        cooling: The names of the providers that are being left alone.
    """

    attempts: int = 0
    failed_attempts: int = 0
    failovers: int = 0
    dropped_bytes: int = 0
    cooling: tuple[str, ...] = ()


class RealtimeClient(StreamContract):
    """A provider made of providers: sessions come from the first one that can open them.

    A refused key or configuration is raised at once, as it would be hidden otherwise; after any other failure the next provider is tried
    (`trunkline.realtime.reconnect.fallback.may_fall_back`). A provider that fails repeatedly is left alone for a while; one that says
    how long (`retry_after`), for so long: until then it is tried after all others. Every failed attempt is an `ErrorReported`, not
    fatal, of the session that came of it, and one of `attempts`.

    With `failover` a conversation outlives its session. If that breaks or freezes, the next provider takes it up, the first one again at
    last: it is told what was said, hears again what had not been understood, and what the program sends meanwhile waits for it. The
    formats stay those of the first session. All this is `LastingProvider`, so the providers need not be of that kind themselves.

    Options that only one vendor understands, such as a voice, belong to the providers rather than to the `ProcessConfig` they share.

    Args:
        providers: The primary, then its fallbacks in order. None at all is allowed: every session then fails with `ProviderUnavailable`.
        connect_timeout: Seconds that each provider has to open a session.
        failover: Whether another provider takes up the conversation when a session breaks.
        replay_seconds: How much of the caller's audio is kept for it.
        failures: How many failures in a row it takes until a provider is left alone.
        cool_down: For how many seconds.
        clock: Where time comes from.

    Raises:
        InvalidConfig: A number that makes no sense.
    """

    def __init__(
        self,
        *providers: RealtimeProvider,
        connect_timeout: float = 10.0,
        failover: bool = False,
        replay_seconds: float = 30.0,
        failures: int = 3,
        cool_down: float = 30.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        numbers = {"connect_timeout": connect_timeout, "replay_seconds": replay_seconds, "failures": failures}
        for field, value in numbers.items():
            if value <= 0:
                raise InvalidConfig(field, f"must be above 0, got {value!r}")
        if cool_down < 0:
            raise InvalidConfig("cool_down", f"must not be negative, got {cool_down!r}")
        self._pool = ProviderPool(
            providers, connect_timeout=connect_timeout, failures=failures, cool_down=cool_down, clock=clock
        )
        self._connect_timeout = connect_timeout
        self._failover = failover
        self._replay_seconds = replay_seconds
        self._clock = clock
        self._sessions: set[RealtimeSession] = set()
        self._closed = False
        self._dropped_bytes = 0

    # ── who is there ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def name(self) -> str:
        """It is "fallback"; the providers' own names are in `names`."""
        return "fallback"

    @property
    def capabilities(self) -> Capabilities:
        """What the primary's sessions can do; an open session tells its own.

        Raises:
            ProviderUnavailable: There is no provider.
        """
        able = self._pool.first().capabilities
        return without_limit(able) if self._failover else able

    @property
    def primary(self) -> RealtimeProvider | None:
        """The provider that is tried first; None if there is none."""
        return next(iter(self.all), None)

    @property
    def fallbacks(self) -> tuple[RealtimeProvider, ...]:
        """Those that are tried next, in order."""
        return self.all[1:]

    @property
    def all(self) -> tuple[RealtimeProvider, ...]:
        """The primary and its fallbacks."""
        return self._pool.providers

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, likewise."""
        return tuple(provider.name for provider in self.all)

    def provider(self, name: str) -> RealtimeProvider:
        """The first provider of this name.

        Raises:
            UnknownProvider: None has it.
        """
        for provider in self.all:
            if provider.name == name:
                return provider
        raise UnknownProvider(name, kind="realtime", available=self.names)

    def set_primary(self, provider: RealtimeProvider) -> None:
        """Try this provider first from now on, in place of the present primary; if it is one of the fallbacks, it is none any more."""
        self._pool.keep((provider, *(other for other in self.fallbacks if other is not provider)))

    def set_fallbacks(self, *providers: RealtimeProvider) -> None:
        """Try these after the primary from now on; without a primary the first of them becomes it."""
        self._pool.keep((*self.all[:1], *providers))

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The last attempts at opening a session, oldest first, a hundred at most."""
        return tuple(self._pool.attempts)

    @property
    def stats(self) -> ClientStats:
        """The figures so far."""
        return ClientStats(
            attempts=self._pool.tried,
            failed_attempts=self._pool.failed,
            failovers=self._pool.failovers,
            dropped_bytes=self._dropped_bytes + sum(map(_dropped, self._sessions)),
            cooling=self._pool.cooling(),
        )

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[RealtimeSession]:
        """Open a session with the first provider that can: `async with client.connect(config) as session`.

        Raises:
            ProviderUnavailable: There is no provider.
            AllProvidersFailed: Every provider failed; it carries each attempt.
            ProviderError: A provider refused what the others would refuse, too, or must not be asked (`AuthFailed`, `RequestRejected`).
            InvalidConfig: Likewise.
            SessionClosed: The client is closed.
        """
        if self._closed:
            raise SessionClosed("the client is closed")
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            try:
                async with self._source(tasks).connect(config) as session:
                    self._sessions.add(session)
                    try:
                        yield session
                    finally:
                        self._sessions.discard(session)
                        self._dropped_bytes += _dropped(session)
            except Exception as error:  # noqa: BLE001 - raised below, where no task group wraps it
                failure = error
            finally:
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    def _source(self, tasks: anyio.abc.TaskGroup) -> RealtimeProvider:
        """What the sessions of one conversation come from."""
        provider = PooledProvider(self._pool, tasks, is_last=not self._failover)
        if not self._failover:
            return provider
        patience = self._connect_timeout * (len(self.all) + 1)
        policy = ReconnectPolicy(connect_timeout=patience)
        return LastingProvider(provider, reconnect=policy, replay_seconds=self._replay_seconds, clock=self._clock)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """End all sessions and close all providers; any number of times.

        Raises:
            Exception: What a provider raised, or that it was too slow; if several did so, an `ExceptionGroup` of all.
        """
        if self._closed:
            return
        self._closed = True
        errors: list[Exception] = []
        for one in (*self._sessions, *self.all):
            close = getattr(one, "aclose", None) or getattr(one, "close", None)
            try:
                with self._clock.move_on_after(CLOSE_TIMEOUT) as deadline:
                    if close is not None and inspect.isawaitable(closing := close()):
                        await closing
                if deadline.cancelled_caught:
                    errors.append(DeadlineExceeded(f"closing {getattr(one, 'name', 'a session')}", CLOSE_TIMEOUT))
            except Exception as error:  # noqa: BLE001 - raised when all are closed
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("what the client holds could not all be closed", errors)

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _dropped(session: RealtimeSession) -> int:
    return session.dropped_bytes if isinstance(session, LastingSession) else 0


Client = RealtimeClient
