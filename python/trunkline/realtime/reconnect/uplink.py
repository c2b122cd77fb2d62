"""What goes to the present session, one thing at a time: the caller's audio out of the log, and commands."""

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from trunkline.audio import AudioFormat
from trunkline.errors import ConfigError, LocalProtocolError, SessionClosed, ToolError
from trunkline.realtime.provider import RealtimeSession
from trunkline.realtime.reconnect.audio_replay import ReplayCursor
from trunkline.realtime.reconnect.state import ConversationState
from trunkline.realtime.session_task import SessionTask

log = logging.getLogger(__name__)

Command = Callable[[RealtimeSession], Awaitable[None]]


class Uplink:
    """Gives the present session what it is due. While there is none, audio stays in the log, and commands wait for the next one.

    What the program did wrong (`LocalProtocolError`, `ToolError`, `ConfigError`) is raised. That the session is over is told by its
    events, and any other exception of a provider's means that its session is.

    Args:
        state: The conversation, whose log the audio comes out of.

    Attributes:
        task: The present session; None while there is none.
        cursor: How far it was given the caller's audio.
        sends: How many things were sent, in all.
        is_sending: Whether one is on its way.
    """

    def __init__(self, state: ConversationState) -> None:
        self.task: SessionTask | None = None
        self.sends = 0
        self.is_sending = False
        self._state = state
        self._replay = state.replay
        self._waiting: deque[anyio.Event] = deque()
        self._kept: list[Command] = []

    # ── the present session ──────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, task: SessionTask) -> None:
        """The first session."""
        self.task = task
        self.cursor = ReplayCursor(self._replay, task.session.input_format)

    def detach(self) -> None:
        """There is no session from now on."""
        self.task = None

    def forget_commands(self) -> None:
        """The next session is told in its history of all commands up to now."""
        self._kept.clear()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Nothing is on its way to a session within this block, but what you send with `go_on`."""
        await self._take_turn()
        try:
            yield
        finally:
            self._end_turn()

    async def go_on(self, task: SessionTask, commands: Sequence[Command]) -> None:
        """Go on with this session: give it the log, the commands that waited, then these; you must have the turn."""
        self.begin(task)
        waited, self._kept = self._kept, []
        await self._catch_up()
        for command in (*waited, *commands):
            await self._send(task, command, is_late=True)

    def use_format(self, audio_format: AudioFormat) -> None:
        """The present session takes this format from now on."""
        self.cursor.use(audio_format)

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def send_audio(self) -> None:
        """Give the session what is new in the log."""
        if self.task is None:
            return
        if self.is_sending:
            await self._take_turn()
        else:
            self.is_sending = True
        try:
            await self._catch_up()
        finally:
            if self._waiting:
                self._end_turn()
            else:
                self.is_sending = False

    async def send(self, command: Command, *, keep: bool = True) -> None:
        """Give the session a command; if there is none, it waits for the next one, unless it need not be kept.

        Once it has begun it is sent, or the session is given up: the caller's cancellation waits for that.
        """
        task = self.task
        if task is None:
            if keep:
                self._kept.append(command)
            return
        with anyio.CancelScope(shield=True):
            await self._take_turn()
            try:
                if task is self.task:  # else the next session is told in its history
                    await self._send(task, command)
            finally:
                self._end_turn()

    @property
    def has_kept(self) -> bool:
        """Whether commands wait for a session."""
        return bool(self._kept)

    async def _catch_up(self) -> None:
        """Give the session what it was not given of the log; you must have the turn."""
        cursor = self.cursor
        while (task := self.task) is not None and cursor.next < self._replay.last:
            audio = cursor.take()
            self.sends += 1
            try:
                if audio:
                    await task.session.send_audio(audio)
                elif audio is None:
                    await self._commit(task.session)
            except SessionClosed:
                return
            except Exception as error:  # noqa: BLE001 - a provider may be anybody's
                task.close(error)
                return

    async def _commit(self, session: RealtimeSession) -> None:
        if not session.capabilities.commit:
            return  # this vendor ends turns by itself
        if tail := self.cursor.flush():
            await session.send_audio(tail)
        await session.commit_audio()

    async def _send(self, task: SessionTask, command: Command, *, is_late: bool = False) -> None:
        self.sends += 1
        try:
            await command(task.session)
        except SessionClosed:
            return
        except (LocalProtocolError, ToolError, ConfigError) as error:
            if not is_late:
                raise
            log.info("the next session does not take a command: %s", error)
        except Exception as error:  # noqa: BLE001 - a provider may be anybody's
            task.close(error)

    # ── one at a time ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _take_turn(self) -> None:
        """Wait until nothing is on its way. A lock would cost as much as all else that is done for a frame."""
        if not self.is_sending:
            self.is_sending = True
            return
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self._end_turn()
            else:
                self._waiting.remove(turn)
            raise

    def _end_turn(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self.is_sending = False
