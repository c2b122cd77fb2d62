"""A session that a task of its own keeps open, so that it may be opened in one task, read in another and given up by a third."""

from collections.abc import AsyncGenerator, AsyncIterator

import anyio

from trunkline.clock import Clock
from trunkline.errors import ConnectionFailed, DeadlineExceeded, ProviderError, single
from trunkline.realtime.events import SessionEnded, SessionEvent
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession

_CLOSE_TIMEOUT = 2.0


class HeldSession:
    """One session of one provider; you must run `hold()` in a task."""

    def __init__(self, provider: RealtimeProvider, config: ProcessConfig) -> None:
        self.provider = provider
        self._config = config
        self._session: RealtimeSession | None = None
        self._events: AsyncIterator[SessionEvent] | None = None
        self._error: Exception | None = None
        self._settled = anyio.Event()
        self._over = anyio.Event()
        self._end: SessionEnded | None = None
        self._closing = False
        self._scope = anyio.CancelScope()
        self._reading: anyio.CancelScope | None = None

    @property
    def session(self) -> RealtimeSession:
        """The session; only once it is open."""
        assert self._session is not None  # noqa: S101 - `opened` has returned
        return self._session

    async def hold(self) -> None:
        """Open the session and keep it open until it is released; what goes wrong is told by the other methods."""
        try:
            with self._scope:
                async with self.provider.connect(self._config) as session:
                    self._session = session
                    self._settled.set()
                    await anyio.sleep_forever()
        except Exception as error:  # noqa: BLE001 - told to whoever opens or reads
            self._error = single(error)
        finally:
            self._over.set()
            self._settled.set()
            if self._reading is not None:
                self._reading.cancel()
            elif isinstance(self._events, AsyncGenerator):
                with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True):
                    await self._events.aclose()

    async def opened(self, timeout: float, clock: Clock) -> None:
        """Wait until the session is open; if it is not in time, it is given up.

        Raises:
            ConnectionFailed: It was not open after so many seconds.
            Exception: Whatever the provider raised.
        """
        try:
            with clock.move_on_after(timeout):
                await self._settled.wait()
        except BaseException:
            self.release()
            raise
        if self._error is not None:
            raise self._error
        if self._session is None:
            self.release()
            late = DeadlineExceeded("opening a session", timeout)
            raise ConnectionFailed(str(late), "timeout", vendor=self.provider.name) from late

    async def next_event(self) -> SessionEvent:
        """The next event; where the provider or its session broke in its own way, the event that should have told so."""
        if self._end is None:
            event = await self._read()
            if not isinstance(event, SessionEnded):
                return event
            self._end = event  # kept, should the wait below be cancelled
            self.release()
        with anyio.move_on_after(_CLOSE_TIMEOUT):
            await self._over.wait()
        if self._end.error is None and self._error is not None and not self._closing:
            return SessionEnded("failed", as_provider_error(self._error, self.provider.name))
        return self._end

    async def _read(self) -> SessionEvent:
        if self._events is None:
            self._events = aiter(self.session)
        try:
            if not self._over.is_set():
                with anyio.CancelScope() as self._reading:
                    return await anext(self._events)
        except StopAsyncIteration:
            pass
        except Exception as error:  # noqa: BLE001 - a session says how it ended in its last event
            self._error = self._error or single(error)
        finally:
            self._reading = None
        return SessionEnded("closed" if self._closing else "closed_by_vendor")

    async def aclose(self) -> None:
        """Close the session; its events say so."""
        self._closing = True
        await self.session.aclose()

    def release(self) -> None:
        """Let the session go."""
        self._scope.cancel()


def as_provider_error(error: Exception, vendor: str) -> ProviderError:
    """The error itself if it is of that kind, otherwise one that it is the cause of."""
    if isinstance(error, ProviderError):
        return error
    failure = ConnectionFailed(str(error) or type(error).__name__, vendor=vendor)
    failure.__cause__ = error
    return failure
