"""One of a vendor's sessions, of the several that a conversation goes through."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import TracebackType

import anyio

from trunkline.clock import Clock
from trunkline.errors import ConnectionFailed, ProviderError, SessionClosed, TrunklineError
from trunkline.realtime import events
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession

SEND_TIMEOUT = 15.0
"""Seconds that a vendor may take to accept a command; a connection's own deadline is shorter."""


class Leg:
    """A vendor's session and the task that owns and reads it: `run`, until it is over or `retire` is called.

    Args:
        provider: Whose session it is.
        config: How it should be.
        clock: Where time comes from.
    """

    def __init__(self, provider: RealtimeProvider, config: ProcessConfig, *, clock: Clock) -> None:
        self._provider = provider
        self._config = config
        self._clock = clock
        self._session: RealtimeSession | None = None
        self._scope = anyio.CancelScope()
        self._sending: _Sending | None = None
        self._chosen = anyio.Event()
        self._is_retired = False
        self.ready: events.SessionReady | None = None
        self.opened = anyio.Event()
        """The session is ready, or is not going to be."""
        self.over = anyio.Event()
        """Nothing is left of it."""
        self.failure: TrunklineError | None = None
        """Why there is no session, or no more; None also if the vendor closed it in the ordinary way."""
        self.began = 0.0
        self.next_entry = 0
        """The number of the entry of the input log that is sent next."""
        self.skipped = 0
        """Bytes of the caller's audio that this session was not given, before what it was given."""
        self.sent_bytes = 0

    @property
    def session(self) -> RealtimeSession:
        """The session; only once `ready` is set."""
        assert self._session is not None  # noqa: S101 - see above
        return self._session

    @property
    def position(self) -> int:
        """How far into all of the caller's audio this session was given it."""
        return self.skipped + self.sent_bytes

    async def run(self, take: Callable[["Leg", events.SessionEvent], Awaitable[None]]) -> None:
        """Connect, and once `choose` is called hand each event to `take`."""
        try:
            with self._scope:
                async with self._provider.connect(self._config) as session:
                    self._session = session
                    with anyio.CancelScope() as self._scope:  # from here on the session is closed in the ordinary way
                        if self._is_retired:
                            return
                        await self._read(session, take)
        except TrunklineError as error:
            self.failure = error
        finally:
            self.opened.set()
            self.over.set()

    async def _read(
        self, session: RealtimeSession, take: Callable[["Leg", events.SessionEvent], Awaitable[None]]
    ) -> None:
        async for event in session:
            match event:
                case events.SessionEnded(error=error):
                    self.failure = self.failure or error
                    return
                case events.SessionReady() if self.ready is None:
                    self.ready = event
                    self.began = self._clock.now()
                    self.opened.set()
                    await self._chosen.wait()
                case events.ErrorReported(fatal=True):
                    pass  # the end follows and says the same
                case _:
                    await take(self, self._placed(event))

    def choose(self) -> None:
        """This is the session of the conversation now."""
        self._chosen.set()

    def retire(self) -> None:
        """Close the session; what is being sent to it is given up."""
        self._is_retired = True
        self._scope.cancel()
        if self._sending is not None:
            self._sending.scope.cancel()

    def sending(self) -> "_Sending":
        """Around a command to the session, one at a time: `with leg.sending()`.

        A command is sent whole or the session is given up, so the caller's cancellation waits for it. That the session is over is told by
        its end.
        """
        self._sending = _Sending(self._clock.now())
        return self._sending

    @property
    def stalls_at(self) -> float:
        """When to give the session up for not accepting a command; `SEND_TIMEOUT` seconds from now if none is being sent.

        Whoever watches sleeps until then and looks again, which spares each command a deadline of its own.
        """
        since = self._clock.now() if self._sending is None or self._sending.is_over else self._sending.since
        return since + SEND_TIMEOUT

    def give_up(self) -> None:
        """The vendor has not accepted a command in time."""
        if self._is_retired or self.failure is not None:
            return
        self.failure = ConnectionFailed("the vendor takes no commands any more", "stalled", vendor=self._provider.name)
        self.retire()

    def ending(self) -> ProviderError:
        """Why the session ended, which nobody on this side asked for."""
        if isinstance(self.failure, ProviderError) and not isinstance(self.failure, SessionClosed):
            return self.failure
        # That this session is over, such as by its limit, is no reason why another should not be opened.
        code = self.failure.code if isinstance(self.failure, SessionClosed) else None
        error = ConnectionFailed(str(self.failure or "the vendor closed the session"), code, vendor=self._provider.name)
        error.__cause__ = self.failure
        return error

    def _placed(self, event: events.SessionEvent) -> events.SessionEvent:
        """The event with its times counted from the beginning of the conversation instead of this session's."""
        earlier_ms = int(self.session.input_format.duration_ms(self.skipped))
        if isinstance(event, events.SpeechStarted):
            return replace(event, audio_start_ms=event.audio_start_ms + earlier_ms)
        if isinstance(event, events.SpeechStopped) and event.audio_end_ms:
            return replace(event, audio_end_ms=event.audio_end_ms + earlier_ms)
        return event


class _Sending:
    """A command on its way; a class because a generator would cost half as much again, fifty times a second."""

    __slots__ = ("is_over", "scope", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.scope = anyio.CancelScope(shield=True)
        self.is_over = False

    def __enter__(self) -> None:
        self.scope.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.is_over = True
        return bool(self.scope.__exit__(kind, error, trace)) or isinstance(error, SessionClosed)
