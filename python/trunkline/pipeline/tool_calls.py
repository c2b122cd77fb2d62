"""The model's tool calls: each is run, answered once, and told to everybody."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from anyio.abc import TaskGroup

from trunkline.clock import Clock
from trunkline.conversation import ToolCall
from trunkline.errors import LocalProtocolError, SessionClosed
from trunkline.pipeline.events import EventLog, EventType
from trunkline.pipeline.metrics import MetricsCollector
from trunkline.pipeline.transcript import Transcript
from trunkline.realtime.events import ToolCallRequested
from trunkline.realtime.provider import FunctionCallHandler, RealtimeSession
from trunkline.tools import CompiledTools, ToolDefinition, ToolDispatcher, ToolHandler

logger = logging.getLogger("trunkline.pipeline")


class ToolCalls:
    """The tools of one call, joined to its session.

    Args:
        tools: Definitions, or plain functions.
        handlers: What runs each definition, by name.
        on_function_call: Runs whatever has no handler.
        timeout: Seconds that a tool may take, unless it says otherwise.
        transcript: Where calls are noted, for the answer that follows.
        log: Where events go.
        metrics: Where figures go.
        clock: What everything is timed by.
    """

    def __init__(
        self,
        tools: Iterable[ToolDefinition | Callable[..., Any]],
        handlers: Mapping[str, ToolHandler],
        *,
        on_function_call: FunctionCallHandler | None,
        timeout: float,
        transcript: Transcript,
        log: EventLog,
        metrics: MetricsCollector,
        clock: Clock,
    ) -> None:
        compiled = CompiledTools(tools, handlers, on_function_call=on_function_call)
        self._dispatcher = ToolDispatcher(
            compiled,
            on_slow=self._is_slow,
            on_late=self._ended_late,
            timeout=timeout,
            clock=clock,
        )
        self.definitions = compiled.definitions
        self.interrupt = self._dispatcher.interrupt
        self.user_spoke = self._dispatcher.user_spoke
        self.cancel = self._dispatcher.cancel
        self._transcript = transcript
        self._log = log
        self._metrics = metrics
        self._tasks: TaskGroup | None = None
        self._session: RealtimeSession | None = None

    def begin(self, tasks: TaskGroup, session: RealtimeSession) -> None:
        """The session exists; calls run in `tasks` from now on."""
        self._tasks, self._session = tasks, session
        self._dispatcher.start(tasks)

    def answer(self, request: ToolCallRequested) -> None:
        """Run a tool and give the model its result, whatever comes of it."""
        if self._tasks is not None and self._session is not None:
            self._tasks.start_soon(self._answer, self._session, request, name=f"trunkline tool {request.name}")

    async def _answer(self, session: RealtimeSession, request: ToolCallRequested) -> None:
        try:
            call = await self._dispatcher.run(
                request.call_id, request.name, request.arguments, response_id=request.response_id
            )
            self._metrics.tool_calls += 1
            self._transcript.add_tool_call(call)
            self._log.emit(EventType.TOOL_CALL, call_id=request.call_id, **call.to_json())
            await session.send_tool_result(request.call_id, call.result)
        except LocalProtocolError as error:
            logger.warning("tool call %s is not answered: %s", request.call_id, error)
        except SessionClosed:
            logger.info("the session ended before tool %s answered", request.name)

    def _is_slow(self, call_id: str, name: str, filler: str) -> None:
        logger.debug("tool %s (%s) is slow", name, call_id)
        if self._tasks is not None and self._session is not None:
            self._tasks.start_soon(self._say, self._session, filler, name="trunkline filler")

    async def _say(self, session: RealtimeSession, filler: str) -> None:
        with suppress(SessionClosed):
            await session.create_response(f'Say exactly: "{filler}"', during_tools=True)

    def _ended_late(self, call_id: str, call: ToolCall) -> None:
        self._log.emit(EventType.TOOL_CALL, call_id=call_id, late=True, **call.to_json())
