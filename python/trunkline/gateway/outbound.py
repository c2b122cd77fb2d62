"""The calls that a gateway makes, whoever the carrier is: dialled over REST, told of by callbacks, and then sessions like all others."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio

from trunkline.clock import Clock
from trunkline.errors import CallRejected, InvalidConfig, TrunklineError
from trunkline.gateway.admission import Admission
from trunkline.gateway.call import CallSession
from trunkline.gateway.commands import CallCommands
from trunkline.gateway.config import CallInfo, Logger
from trunkline.pipeline import EventType
from trunkline.telephony.continued import ContinuedLine
from trunkline.telephony.control import FINAL, CallState, OutgoingCall
from trunkline.telephony.line import CallLine, LineTraits
from trunkline.transport import HttpClient

RING_GRACE: Final = 30.0
"""Seconds after the ring's timeout in which the carrier must have told how it ended, or opened the media."""

DIALLED_WITHIN: Final = 5.0
"""Seconds that a callback about a call waits until the carrier has answered the request that made it."""

TOLD: Final = frozenset({EventType.CALL_STATE, EventType.ANSWERING_MACHINE, EventType.SESSION_ENDED})
"""The events that a status callback of the application's is told."""


@dataclass(slots=True)
class _Dialled:
    """A call from the request to its end; `settled` once it is known whether there is one, `over` once the carrier said that it is."""

    settled: anyio.Event = field(default_factory=anyio.Event)
    session: CallSession | None = None
    error: Exception | None = None
    abandoned: bool = False
    over: bool = False


class OutboundCalls:
    """Makes calls and follows them.

    The carrier's callbacks name a call by the key in their address, since they may come before the carrier has said what its id is.

    Args:
        commands: The carrier's REST interface, and the lines of the calls.
        admission: The places of the gateway.
        traits: What the carrier's lines can do; None where the gateway makes no calls.
        open_session: Makes the session of a call on its line.
        run_session: Runs it, from the beginning of the media to its end.
        run_soon: Runs something in a task of the gateway.
        clock: What everything is timed by.
        logger: Where it is told how calls go.
    """

    def __init__(
        self,
        commands: CallCommands,
        admission: Admission,
        *,
        traits: LineTraits | None,
        open_session: Callable[[CallInfo, CallLine], CallSession],
        run_session: Callable[[CallSession, CallLine], Awaitable[None]],
        run_soon: Callable[..., None],
        clock: Clock,
        logger: Logger,
    ) -> None:
        self._commands = commands
        self._admission = admission
        self._traits = traits
        self._open_session = open_session
        self._run_session = run_session
        self._run_soon = run_soon
        self._clock = clock
        self._logger = logger
        self._dialled: dict[str, _Dialled] = {}

    async def make_call(self, call: Callable[[str], OutgoingCall], *, status_callback: str | None) -> CallSession:
        """Make a call; returns when the carrier has taken it, before it rings.

        Args:
            call: Makes the call, of the query that its callbacks must carry.
            status_callback: Where its states are posted.

        Raises:
            InvalidConfig: The call cannot be made so.
            CallRejected: There is no place for it.
            ProviderError: The carrier refused.
            TransportError: The carrier cannot be reached.
        """
        if status_callback is not None and not status_callback.startswith(("https://", "http://")):
            raise InvalidConfig("status_callback", "must be an address of the form https://host/path")
        if self._traits is None:
            raise InvalidConfig("make_call", "this carrier's gateway makes no calls")
        key = secrets.token_urlsafe(16)
        outgoing = call(f"call={key}")
        self._commands.control.check(outgoing)
        dialled = self._dialled[key] = _Dialled()
        # In a task of the gateway: once the carrier has the request, somebody must wait for the id of the call, whoever is cancelled.
        self._run_soon(self._dial, key, dialled, outgoing, self._traits, status_callback)
        try:
            await dialled.settled.wait()
        except BaseException:
            dialled.abandoned = True
            raise
        if dialled.error is not None:
            raise dialled.error
        assert dialled.session is not None  # noqa: S101 - or there was an error
        return dialled.session

    # ── what the carrier says ────────────────────────────────────────────────────────────────────────────────────────

    async def answered(self, key: str) -> CallInfo | None:
        """The call that the carrier asks what to do with; None if it is over, or no call of ours."""
        session = await self._session(key)
        if session is None or not session.is_active:
            return None
        session.note_state("answered")
        return session.info

    async def progress(self, key: str, state: CallState, detail: str = "") -> None:
        """How far a call is; `detail` is the carrier's own word. Callbacks may come in any order, and more than once."""
        session = await self._session(key)
        if session is None:
            return
        session.note_state(state, detail=detail)
        if state in FINAL:
            self._dialled[key].over = True
            self._admission.forget(session.id)
            line = self._commands.line_of(session.id)
            began = line is not None and line.has_begun
            self._run_soon(session.close, f"carrier_{state}" if began else state)

    async def machine(self, key: str, answered_by: str, detail: str = "") -> None:
        """Who answered: `human`, `machine`, `fax` or `unknown`."""
        session = await self._session(key)
        if session is not None:
            session.note(EventType.ANSWERING_MACHINE, answered_by=answered_by, detail=detail)

    async def _session(self, key: str) -> CallSession | None:
        dialled = self._dialled.get(key)
        if dialled is None:
            return None
        with self._clock.move_on_after(DIALLED_WITHIN):
            await dialled.settled.wait()
        return dialled.session if key in self._dialled else None

    # ── one call ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _dial(
        self, key: str, dialled: _Dialled, call: OutgoingCall, traits: LineTraits, status_callback: str | None
    ) -> None:
        try:
            with self._admission.place(key):
                call_id = await self._commands.control.create(call)
            if dialled.abandoned:
                await self._give_up(call_id)
                return
            # Nothing is awaited between giving one place back and taking the other, so it is there.
            line = ContinuedLine(traits, clock=self._clock)
            with self._admission.place(call_id), self._commands.line(call_id, line):
                info = CallInfo(
                    call_id=call_id,
                    from_=call.from_,
                    to=call.to,
                    direction="outbound",
                    start_time=self._clock.wall(),
                )
                dialled.session = session = self._open_session(info, line)
                session.note_state("initiated")
                dialled.settled.set()
                if status_callback is not None:
                    self._run_soon(self._relay, session, status_callback)
                await self._follow(session, line, dialled, call.timeout)
        except TrunklineError as error:
            if dialled.settled.is_set():
                raise
            dialled.error = error
        finally:
            if not dialled.settled.is_set():
                dialled.error = dialled.error or CallRejected("the gateway stopped")
                dialled.settled.set()
            del self._dialled[key]

    async def _follow(self, session: CallSession, line: ContinuedLine, dialled: _Dialled, timeout: float) -> None:
        """Wait for the media, then run the session; one that gets none is over."""
        try:
            with self._clock.move_on_after(timeout + RING_GRACE):
                await self._media_or_end(session, line)
            if line.has_begun and session.is_active:
                session.note_state("answered")
                await self._run_session(session, line)
                return
            if session.is_active:
                self._logger.warning("call %s: the carrier did not tell how it went", session.id)
                session.note_state("no_answer")
                await session.close("no_answer")
        finally:
            with self._clock.move_on_after(DIALLED_WITHIN, shield=True):
                await session.close("closed")
                await line.aclose()
                self._admission.forget(session.id)
                if not line.has_begun and not dialled.over:
                    await self._give_up(session.id)

    async def _give_up(self, call_id: str) -> None:
        """Let the phone stop ringing."""
        try:
            await self._commands.control.hang_up(call_id)
        except TrunklineError as error:
            self._logger.warning("call %s could not be hung up: %s", call_id, error)

    async def _media_or_end(self, session: CallSession, line: ContinuedLine) -> None:
        async with anyio.create_task_group() as tasks:

            async def first(wait: Callable[[], Awaitable[None]]) -> None:
                await wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(first, line.wait_line)
            tasks.start_soon(first, session.wait_closed)

    async def _relay(self, session: CallSession, url: str) -> None:
        """Post the states of a call to the application, in order, each once it was taken or given up."""
        async with HttpClient(timeout=10.0, retries=3, clock=self._clock) as http:
            async for event in session.events():
                if event.type not in TOLD:
                    continue
                news: dict[str, Any] = {"call_id": session.id, **event.to_json()}
                try:
                    answer = await http.request("POST", url, json=news, idempotent=True)
                    failed = "" if answer.status < 400 else f"HTTP status {answer.status}"
                except TrunklineError as error:
                    failed = str(error)
                if failed:
                    self._logger.warning("call %s: its status callback failed: %s", session.id, failed)
