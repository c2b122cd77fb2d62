"""The tools of one session: each call of the model is run and answered once."""

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from anyio.abc import TaskGroup

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import ToolCall
from trunkline.errors import LocalProtocolError, SessionClosed
from trunkline.realtime.events import (
    ResponseFinished,
    SessionEvent,
    SpeechStarted,
    ToolCallCancelled,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.provider import RealtimeSession
from trunkline.tools.compiled import CompiledTools
from trunkline.tools.counters import ToolCounters
from trunkline.tools.definition import ToolDefinition
from trunkline.tools.dispatch import MOST_EARLY_CANCELLATIONS, ToolDispatcher

logger = logging.getLogger("trunkline.realtime")

OnCall = Callable[[str, ToolCall, bool], None]
"""Given the call's id, what became of it, and whether it is late: the tool had been detached, and the model was answered before."""


class ToolHost:
    """Runs the tool calls of one session and sends their results; nothing else drives the dispatcher.

    Give it every event of the session with `take`. It counts the rounds of calls since the user last spoke, and refuses a model that
    calls tools in a circle. The user has spoken when a turn of theirs is heard or read, when `user_spoke` is called, and when the model has
    finished an answer without calls: whatever comes after that answers something new.

    Args:
        tools: The tools, which many sessions may share.
        timeout: Seconds that a tool may take, unless its definition says otherwise.
        limit: How many tools may run at once; further ones wait, and the wait counts.
        max_rounds: How many rounds of tool calls the model may make without a word of the user in between.
        on_call: Called for each call that has ended, before its result is sent. It must not fail. The host keeps it: where it is a method
            of an object that keeps the host, the two are freed by the garbage collector only.
        on_done: Called when nothing more will be done about a call, with its id and whether its result was sent; otherwise as `on_call`.
        clock: What measures the time.

    Raises:
        InvalidConfig: A number is out of range.
    """

    def __init__(
        self,
        tools: CompiledTools,
        *,
        timeout: float = 20.0,
        limit: int = 8,
        max_rounds: int = 10,
        on_call: OnCall | None = None,
        on_done: Callable[[str, bool], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._tools = tools
        self._on_call = on_call
        self._on_done = on_done
        self._speech = _Fillers()
        self._dispatcher = ToolDispatcher(
            tools,
            on_slow=self._speech.say,
            on_late=None if on_call is None else partial(_report_late, on_call),
            timeout=timeout,
            limit=limit,
            max_rounds=max_rounds,
            clock=clock,
        )
        self._tasks: TaskGroup | None = None
        self._session: RealtimeSession | None = None
        self._open: set[str] = set()
        self._cancelled: deque[str] = deque(maxlen=MOST_EARLY_CANCELLATIONS)
        self._calling_response = ""
        self._user_item = ""

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        """What the model is told of."""
        return self._tools.definitions

    @property
    def counters(self) -> ToolCounters:
        """What became of the calls so far."""
        return self._dispatcher.counters

    @property
    def busy(self) -> bool:
        """Whether there are calls whose results were not sent yet."""
        return bool(self._open)

    def begin(self, tasks: TaskGroup, session: RealtimeSession) -> None:
        """Run calls in `tasks` from now on, and answer them to `session`. Both end together, and the tools with them."""
        self._tasks, self._session = tasks, session
        self._speech.begin(tasks, session)
        self._dispatcher.start(tasks)

    def take(self, event: SessionEvent) -> None:
        """Act on an event of the session, if it concerns the tools; never waits.

        Raises:
            LocalProtocolError: A tool is called and `begin` was not.
        """
        match event:
            case ToolCallRequested():
                self._start(event)
            case ToolCallCancelled():
                self._cancelled.append(event.call_id)
                self._dispatcher.cancel(event.call_id)
            case SpeechStarted() | UserTranscript():
                if event.item_id != self._user_item:  # words may come late, when the model has begun to call tools
                    self._user_item = event.item_id
                    self.user_spoke()
            case ResponseFinished(status="completed") if event.response_id != self._calling_response:
                if not self._speech.was_filler():
                    self.user_spoke()

    def user_spoke(self) -> None:
        """The user said or wrote something that no event tells of: the model may call tools afresh."""
        self._dispatcher.user_spoke()

    def interrupt(self) -> None:
        """The caller interrupted the agent: treat each running tool as its definition asks."""
        self._dispatcher.interrupt()

    # ── one call ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, request: ToolCallRequested) -> None:
        if self._tasks is None or self._session is None:
            raise LocalProtocolError("a tool was called before begin(tasks, session)")
        self._calling_response = request.response_id
        if request.call_id in self._open:
            logger.warning("tool call %s was told twice", request.call_id)
            return
        self._open.add(request.call_id)
        self._tasks.start_soon(self._answer, self._session, request, name=f"trunkline tool {request.name}")

    async def _answer(self, session: RealtimeSession, request: ToolCallRequested) -> None:
        call_id, sent = request.call_id, False
        try:
            call = await self._dispatcher.run(call_id, request.name, request.arguments, response_id=request.response_id)
            if self._on_call is not None:
                self._on_call(call_id, call, False)
            if call_id not in self._cancelled:
                await session.send_tool_result(call_id, call.result)
                sent = True
        except LocalProtocolError as error:
            logger.warning("tool call %s is not answered: %s", call_id, error)
        except SessionClosed:
            logger.info("the session ended before tool %s answered", request.name)
        finally:
            self._open.discard(call_id)
            if self._on_done is not None:
                self._on_done(call_id, sent)


class _Fillers:
    """Says the fillers of slow tools, and knows their answers from the model's own."""

    def __init__(self) -> None:
        self._tasks: TaskGroup | None = None
        self._session: RealtimeSession | None = None
        self._pending = 0

    def begin(self, tasks: TaskGroup, session: RealtimeSession) -> None:
        """From now on there is somebody to say them."""
        self._tasks, self._session = tasks, session

    def say(self, call_id: str, name: str, filler: str) -> None:
        """A tool is slow."""
        logger.debug("tool %s (%s) is slow", name, call_id)
        if self._tasks is not None and self._session is not None:
            self._pending += 1
            self._tasks.start_soon(self._say, self._session, filler, name="trunkline filler")

    def was_filler(self) -> bool:
        """An answer without tool calls is complete: tells whether it was a filler."""
        was = self._pending > 0
        self._pending -= was
        return was

    async def _say(self, session: RealtimeSession, filler: str) -> None:
        with suppress(SessionClosed):
            await session.say(filler)


def _report_late(on_call: OnCall, call_id: str, call: ToolCall) -> None:
    on_call(call_id, call, True)
