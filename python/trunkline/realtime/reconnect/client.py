"""Providers as one, whose conversations outlive the providers' sessions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import DeadlineExceeded, InvalidConfig, SessionClosed, UnknownProvider
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeProvider
from trunkline.realtime.reconnect.candidates import Attempt, Candidates
from trunkline.realtime.reconnect.policy import ReconnectPolicy, SessionPolicy
from trunkline.realtime.reconnect.session import ReconnectingSession
from trunkline.realtime.reconnect.watchdog import Watchdog
from trunkline.realtime.stream import StreamContract

_WATCHDOG = Watchdog()
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
    """A provider made of providers, whose conversations outlive the sessions they are made of.

    A conversation begins with the first provider that can open a session. A refused key or configuration is raised at once, as it would
    be hidden otherwise; after any other failure the next provider is tried (`trunkline.realtime.reconnect.policy.may_fall_back`). A
    provider that fails repeatedly is left alone for a while; one that says how long (`retry_after`), for so long: until then it is tried
    after all others. Every failed attempt is an `ErrorReported`, not fatal, of the session that came of it, and one of `attempts`.

    From then on a session that comes to its end is replaced at a quiet moment, while it still serves. When one breaks, freezes, or cannot
    answer any more, the next provider takes the conversation up, the same one at last: it is told what was said, hears again what had not
    been understood, and what the program sends meanwhile waits for it. There a provider whose key is refused is passed over, and the
    conversation ends when none is left. Formats may change with the session (`SessionRotated`).

    Options that only one vendor understands, such as a voice, belong to the providers rather than to the `ProcessConfig` they share.
    Providers and client must go by one clock, as `RealtimeSession.ending_at` is compared with it.

    Args:
        providers: The primary, then its fallbacks in order. None at all is allowed: every session then fails with `ProviderUnavailable`.
        connect_timeout: Seconds that each provider has to open a session.
        failover: Whether another provider may take up a conversation that has begun; else it stays with the one it began with.
        rotate_after: Seconds after which a session is replaced at the next quiet moment; by default 95 % of its life, and never where the
            vendor does not say when it ends.
        reconnect: How hard to try when a session is gone.
        watchdog: When a session counts as frozen; None for never.
        replay_seconds: How much of the caller's audio is kept for a new session, at most.
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
        failover: bool = True,
        rotate_after: float | None = None,
        reconnect: ReconnectPolicy | None = None,
        watchdog: Watchdog | None = _WATCHDOG,
        replay_seconds: float = 30.0,
        failures: int = 3,
        cool_down: float = 30.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        numbers = {"connect_timeout": connect_timeout, "replay_seconds": replay_seconds, "failures": failures}
        for field, value in (numbers | {"rotate_after": rotate_after}).items():
            if value is not None and not value > 0:
                raise InvalidConfig(field, f"must be above 0, got {value!r}")
        if cool_down < 0:
            raise InvalidConfig("cool_down", f"must not be negative, got {cool_down!r}")
        self._candidates = Candidates(providers, failures=failures, cool_down=cool_down, clock=clock)
        self._policy = SessionPolicy(
            connect_timeout=connect_timeout,
            failover=failover,
            rotate_after=rotate_after,
            reconnect=reconnect or ReconnectPolicy(),
            watchdog=watchdog,
            replay_seconds=replay_seconds,
        )
        self._clock = clock
        self._sessions: set[ReconnectingSession] = set()
        self._closing: anyio.Event | None = None
        self._dropped_bytes = 0

    def __repr__(self) -> str:
        return f"RealtimeClient({', '.join(self.names)})"

    # ── who is there ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def name(self) -> str:
        """The provider's name if there is one alone, else "fallback"; the providers' own names are in `names`."""
        return self.all[0].name if len(self.all) == 1 else "fallback"

    @property
    def capabilities(self) -> Capabilities:
        """What the primary's sessions can do; an open session tells what its present one can.

        Raises:
            ProviderUnavailable: There is no provider.
        """
        return self._candidates.first().capabilities

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
        return self._candidates.providers

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
        self._candidates.replace((provider, *(other for other in self.fallbacks if other is not provider)))

    def set_fallbacks(self, *providers: RealtimeProvider) -> None:
        """Try these after the primary from now on; without a primary the first of them becomes it."""
        self._candidates.replace((*self.all[:1], *providers))

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """The last attempts at opening a session, oldest first, a hundred at most."""
        return tuple(self._candidates.attempts)

    @property
    def stats(self) -> ClientStats:
        """The figures so far."""
        return ClientStats(
            attempts=self._candidates.tried,
            failed_attempts=self._candidates.failed,
            failovers=self._candidates.failovers,
            dropped_bytes=self._dropped_bytes + sum(session.dropped_bytes for session in self._sessions),
            cooling=self._candidates.cooling(),
        )

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[ReconnectingSession]:
        """Begin a conversation: `async with client.connect(config) as session`.

        Each provider is tried once: nobody is waiting in a conversation yet, and whoever calls this knows what to do.

        Raises:
            ProviderUnavailable: There is no provider.
            AllProvidersFailed: All of several providers failed; it carries each attempt. An only provider's own error is raised instead.
            ProviderError: A provider refused what the others would refuse, too, or must not be asked (`AuthFailed`, `RequestRejected`).
            InvalidConfig: Likewise.
            SessionClosed: The client is closed.
        """
        if self._closing is not None:
            raise SessionClosed("the client is closed")
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            session = ReconnectingSession(self._candidates, config, self._policy, tasks=tasks, clock=self._clock)
            try:
                await session.open()
                self._sessions.add(session)
                try:
                    yield session
                finally:
                    self._sessions.discard(session)
                    self._dropped_bytes += session.dropped_bytes
                    await session.aclose()
            except Exception as error:  # noqa: BLE001 - raised below, where no task group wraps it
                failure = error
            finally:
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def aclose(self) -> None:
        """End all conversations and close all providers; any number of times, also if you are cancelled.

        Raises:
            Exception: What a provider raised, or that it was too slow; if several did so, an `ExceptionGroup` of all.
        """
        if self._closing is not None:
            await self._closing.wait()
            return
        self._closing = anyio.Event()
        errors: list[Exception] = []
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for session in self._sessions:
                    tasks.start_soon(self._close, "a session", session.aclose, errors)
            async with anyio.create_task_group() as tasks:
                for provider in self.all:
                    tasks.start_soon(self._close, provider.name, provider.aclose, errors)
        self._closing.set()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("what the client holds could not all be closed", errors)

    async def _close(self, name: str, close: Callable[[], Awaitable[None]], errors: list[Exception]) -> None:
        try:
            with self._clock.move_on_after(CLOSE_TIMEOUT) as deadline:
                await close()
            if deadline.cancelled_caught:
                errors.append(DeadlineExceeded(f"closing {name}", CLOSE_TIMEOUT))
        except Exception as error:  # noqa: BLE001 - raised when all are closed
            errors.append(error)

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


Client = RealtimeClient
