"""A provider whose sessions last, made of one whose sessions do not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import InvalidConfig
from trunkline.realtime.provider import Capabilities, ProcessConfig, RealtimeProvider
from trunkline.realtime.reconnect.policy import Endurance, ReconnectPolicy
from trunkline.realtime.reconnect.session import LastingSession, without_limit
from trunkline.realtime.reconnect.watchdog import Watchdog
from trunkline.realtime.stream import StreamContract

_WATCHDOG = Watchdog()


class LastingProvider(StreamContract):
    """Sessions of another provider that last as long as the conversation.

    Args:
        provider: Whose sessions they are.
        rotate_after: Seconds after which a session is replaced at the next quiet moment; by default 95 % of the vendor's limit (57 minutes
            of an hour), and never where there is none. Shortly before the limit (30 seconds of an hour) it is replaced even if it is busy.
        reconnect: What to do when a session breaks.
        watchdog: When a session counts as frozen; None for never.
        replay_seconds: How much of the caller's audio is kept for a new session, at most.
        clock: Where time comes from.

    Raises:
        InvalidConfig: A number that makes no sense.
    """

    def __init__(
        self,
        provider: RealtimeProvider,
        *,
        rotate_after: float | None = None,
        reconnect: ReconnectPolicy | None = None,
        watchdog: Watchdog | None = _WATCHDOG,
        replay_seconds: float = 30.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if rotate_after is not None and not rotate_after > 0:
            raise InvalidConfig("rotate_after", f"must be above 0, got {rotate_after!r}")
        if not replay_seconds > 0:
            raise InvalidConfig("replay_seconds", f"must be above 0, got {replay_seconds!r}")
        self._provider = provider
        self._clock = clock
        self._endurance = Endurance(
            rotate_after=rotate_after,
            reconnect=reconnect or ReconnectPolicy(),
            watchdog=watchdog,
            replay_seconds=replay_seconds,
        )

    def __repr__(self) -> str:
        return f"LastingProvider({self._provider!r})"

    @property
    def name(self) -> str:
        """The vendor's name, as in the registry."""
        return self._provider.name

    @property
    def capabilities(self) -> Capabilities:
        """What its sessions can do: what the vendor's can, taken up again when they break, and without their limit."""
        return without_limit(self._provider.capabilities)

    @asynccontextmanager
    async def connect(self, config: ProcessConfig) -> AsyncIterator[LastingSession]:
        """Open a session: `async with provider.connect(config) as session`; leaving the block closes it.

        The first of the vendor's sessions is tried once: nobody is waiting in a conversation yet, and whoever wraps this knows what to do.

        Raises:
            ProviderError: The vendor refused or could not be reached; the class says which.
        """
        failed: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                session = LastingSession(self._provider, config, self._endurance, tasks=tasks, clock=self._clock)
                try:
                    await session.open()
                    yield session
                except Exception as error:  # noqa: BLE001 - raised below, as the group would wrap it
                    failed = error
                finally:
                    await session.aclose()
                    tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from group.exceptions[0].__cause__
        if failed is not None:
            raise failed

    async def aclose(self) -> None:
        """Close the provider in it, if it can be closed."""
        close = getattr(self._provider, "aclose", None)
        if close is not None:
            await close()

    close = aclose
