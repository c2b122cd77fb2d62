"""A session that is opened while the phone still rings, so that its first words come at once."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from trunkline.clock import Clock
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession

logger = logging.getLogger("trunkline.pipeline")


class PreparedSession:
    """Opens a session and keeps it for the bridge that takes it.

    Args:
        provider: Whose session.
        config: What the session is asked for.
        clock: What `timeout` is measured by.
    """

    def __init__(self, provider: RealtimeProvider, config: ProcessConfig, *, clock: Clock) -> None:
        self._provider = provider
        self._config = config
        self._clock = clock
        self._session: RealtimeSession | None = None
        self._error: Exception | None = None
        self._settled = anyio.Event()
        self._taken = anyio.Event()
        self._released = anyio.Event()
        self._over = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self, timeout: float) -> None:
        """Hold the session until it is released, or nobody has taken it for `timeout` seconds."""
        try:
            with self._scope:
                async with self._provider.connect(self._config) as self._session:
                    self._settled.set()
                    with self._clock.move_on_after(timeout):
                        await self._taken.wait()
                    if self._taken.is_set():
                        await self._released.wait()
        except Exception as error:  # noqa: BLE001 - whoever takes it is told
            logger.info("the session that was opened while the phone rang failed: %s", error)
            self._error = error
        finally:
            self._session = None
            self._settled.set()
            self._over.set()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[RealtimeSession]:
        """The session, once it is open, or a new one if it was given up; leaving the block closes it. For one taker.

        Raises:
            ProviderError: It could not be opened.
        """
        self._taken.set()
        try:
            await self._settled.wait()
        except BaseException:
            self._scope.cancel()
            raise
        if self._session is None:
            async with self._anew() as session:
                yield session
            return
        try:
            yield self._session
        finally:
            self._released.set()
            with anyio.CancelScope(shield=True):
                await self._over.wait()

    def _anew(self) -> AbstractAsyncContextManager[RealtimeSession]:
        if self._error is not None:
            raise self._error
        return self._provider.connect(self._config)

    def cancel(self) -> None:
        """The call will not come; nothing happens if it did."""
        if not self._taken.is_set():
            self._scope.cancel()
