"""A provider's session in a task of its own, which opens, reads and closes it.

So a session can be opened while another one serves, and be given up by whoever waits for it.
"""

from collections.abc import Awaitable, Callable

import anyio

from trunkline.clock import Clock
from trunkline.errors import (
    ConnectionFailed,
    DeadlineExceeded,
    ProviderError,
    RequestRejected,
    SessionClosed,
    TrunklineError,
    single,
)
from trunkline.realtime.events import ErrorReported, SessionEnded, SessionEvent, SessionReady
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession

Take = Callable[["SessionTask", SessionEvent], Awaitable[None]]
"""Gets each event of a session between the first and the last."""


class SessionTask:
    """One session of one provider; you must run `run()` in a task.

    Args:
        provider: Whose session it is.
        config: How it should be.

    Attributes:
        ready: The session's first event; None until it came.
        ended: Set once nothing more comes of the session; its provider may still be closing it.
        on_ended: Called then, if it is set.
        over: Set once the session is closed and nothing of it is left.
        failure: Why there is no session, or no more; None also if the vendor closed it in the ordinary way.
    """

    def __init__(self, provider: RealtimeProvider, config: ProcessConfig) -> None:
        self.provider = provider
        self.ready: SessionReady | None = None
        self.ended = anyio.Event()
        self.on_ended: Callable[[], None] | None = None
        self.over = anyio.Event()
        self.failure: Exception | None = None
        self._config = config
        self._session: RealtimeSession | None = None
        self._connecting = anyio.CancelScope()
        self._reading = anyio.CancelScope()
        self._settled = anyio.Event()
        self._released = anyio.Event()

    @property
    def session(self) -> RealtimeSession:
        """The session, once it is open.

        Raises:
            SessionClosed: It is not open yet.
        """
        if self._session is None:
            raise SessionClosed("the session is not open yet", vendor=self.provider.name)
        return self._session

    async def run(self, take: Take) -> None:
        """Open the session, read it until it ends or `close` is called, and close it.

        Whatever the provider raises is kept in `failure`, whatever its class.

        Args:
            take: Gets the events, once `read` was called; the session is not read further before it returns.
        """
        try:
            with self._connecting:
                async with self.provider.connect(self._config) as session:
                    self._session = session
                    try:
                        with self._reading:  # cancelled alone, so that the provider closes its session undisturbed
                            await self._read(session, take)
                    except Exception as error:
                        self.failure = self.failure or single(error)
                        self._end()
                        raise
                    self._end()  # not where a task of the provider's crashed: that is known when it has closed
        except Exception as error:  # noqa: BLE001 - a provider may be anybody's; whoever opens or reads the session is told
            self.failure = self.failure or single(error)
        finally:
            self._end()
            self.over.set()

    async def wait_ready(self, timeout: float, clock: Clock) -> SessionReady:
        """Wait until the session is ready; where that fails or is cancelled, the session is closed.

        Raises:
            ConnectionFailed: It was not ready after `timeout` seconds, or ended before.
            Exception: Whatever the provider raised.
        """
        try:
            with clock.move_on_after(timeout):
                await self._settled.wait()
        finally:
            if self.ready is None:
                self.close()
        if self.ready is not None:
            return self.ready
        if self.failure is not None:
            raise self.failure
        if self.ended.is_set():
            raise ConnectionFailed("the session ended before it was ready", vendor=self.provider.name)
        late = DeadlineExceeded("opening a session", timeout)
        raise ConnectionFailed(str(late), "timeout", vendor=self.provider.name) from late

    def read(self) -> None:
        """Read the session from now on; until then nothing after its first event is taken."""
        self._released.set()

    def close(self, failure: Exception | None = None) -> None:
        """Let the session go, without waiting for its end; `failure` says why if it was given up."""
        self.failure = self.failure or failure
        (self._connecting if self._session is None else self._reading).cancel()

    def ending(self) -> ProviderError:
        """Why the session ended although nobody on this side asked for it."""
        if self.failure is None:
            return ConnectionFailed("the vendor closed the session", vendor=self.provider.name)
        return as_provider_error(self.failure, self.provider.name)

    def _end(self) -> None:
        if self.ended.is_set():
            return
        self._settled.set()
        self.ended.set()
        if self.on_ended is not None:
            self.on_ended()

    async def _read(self, session: RealtimeSession, take: Take) -> None:
        async for event in session:
            if self.ready is None:
                if isinstance(event, SessionReady):
                    self.ready = event
                    self._settled.set()
                    await self._released.wait()
                elif isinstance(event, SessionEnded):
                    self.failure = event.error
                    return
            elif isinstance(event, SessionEnded):
                self.failure = event.error or self.failure
                return
            elif isinstance(event, ErrorReported) and event.fatal:
                self.failure = event.error  # the end follows and says the same
            else:
                await take(self, event)


def as_provider_error(error: Exception, vendor: str) -> ProviderError:
    """The error itself if a provider may tell it of a session; otherwise one that it is the cause of.

    That a session is over (`SessionClosed`), such as by its limit, is no reason not to open another.
    """
    if isinstance(error, ProviderError) and not isinstance(error, SessionClosed):
        return error
    is_refusal = isinstance(error, TrunklineError) and not isinstance(error, SessionClosed) and not error.may_fall_back
    code = error.code if isinstance(error, ProviderError) else None
    translated = (RequestRejected if is_refusal else ConnectionFailed)(
        str(error) or type(error).__name__, code, vendor=vendor
    )
    translated.__cause__ = error
    return translated
