"""Running the model's tool calls: every call gets exactly one answer, whatever the tool does."""

import inspect
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import ToolCall
from trunkline.errors import InvalidConfig, LocalProtocolError, ToolError, ToolTimedOut, UnknownTool
from trunkline.tools.arguments import Check, model_check, read_arguments, schema_check
from trunkline.tools.breaker import TOO_MANY_CALLS, LoopBreaker
from trunkline.tools.counters import ToolCounters, ToolTally
from trunkline.tools.definition import ToolDefinition, ToolHandler, is_duration
from trunkline.tools.results import detached_text, result_text
from trunkline.tools.running import Outcome, RunningCall
from trunkline.tools.schema import definition_of, is_model, signature_of

logger = logging.getLogger("trunkline.tools")

MOST_EARLY_CANCELLATIONS = 64


@dataclass(frozen=True, slots=True)
class _Tool:
    """A tool with its check and, unless `on_function_call` runs it, how to call its handler with what the check returns."""

    definition: ToolDefinition
    check: Check
    bind: Callable[[Any], partial[Any]] | None = None


class ToolDispatcher:
    """The tools of one call.

    Args:
        tools: Definitions; plain functions, whose schema comes from their signature and which are called by argument name; pydantic
            models, whose handler is called with the instance.
        handlers: For each definition or model by name, what runs it.
        on_function_call: Runs whatever has no handler; called with the call's id, the tool's name and the arguments as JSON text.
        on_slow: Told call id, tool name and filler phrase, once, when a tool that has a filler has taken its `filler_after` seconds.
        on_late: Told call id and outcome when a detached tool has ended; the model has been answered before and is told nothing.
        timeout: Seconds that a tool may take, unless its definition says otherwise.
        limit: How many tools of one call may run at once; further ones wait, and the wait counts.
        max_rounds: How many rounds of tool calls the model may make without a word of the user in between.
        clock: What measures the time.

    Raises:
        InvalidConfig: A definition's schema is not valid, two tools share a name, a handler has no tool, or a number is out of range.

    Functions that are not `async` run in worker threads, so that a slow one never holds up the audio. A thread cannot be stopped: when its
    call is over for whatever reason the model is told, and the thread is left to finish on its own; what it returns is dropped.

    What the model is told of a failure: the message of a `ToolError`, which is meant for it, and of any other exception only that the tool
    failed, because messages of databases and HTTP clients hold addresses and keys. The log has the exception with its traceback.
    """

    def __init__(
        self,
        tools: Iterable[ToolDefinition | Callable[..., Any]] = (),
        handlers: Mapping[str, ToolHandler] | None = None,
        *,
        on_function_call: Callable[[str, str, str], Any] | None = None,
        on_slow: Callable[[str, str, str], None] | None = None,
        on_late: Callable[[str, ToolCall], None] | None = None,
        timeout: float = 20.0,
        limit: int = 8,
        max_rounds: int = 10,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not is_duration(timeout):
            raise InvalidConfig("timeout", f"must be a number of seconds above 0, got {timeout!r}")
        if limit < 1:
            raise InvalidConfig("limit", f"must be at least 1, got {limit!r}")
        self._on_function_call = on_function_call
        self._on_slow = on_slow
        self._on_late = on_late
        self._timeout = timeout
        self._clock = clock
        self._threads = anyio.CapacityLimiter(limit)
        self._places = anyio.CapacityLimiter(limit)
        self._breaker = LoopBreaker(max_rounds)
        self._tally = ToolTally()
        self._tools = _by_name(tools, handlers or {})
        self._background: TaskGroup | None = None
        self._running: dict[str, RunningCall] = {}
        self._begun: set[str] = set()
        self._cancelled_early: deque[str] = deque(maxlen=MOST_EARLY_CANCELLATIONS)

    @property
    def definitions(self) -> tuple[ToolDefinition, ...]:
        """What the model is told of, in the order given."""
        return tuple(tool.definition for tool in self._tools.values())

    @property
    def counters(self) -> ToolCounters:
        """A snapshot of what became of the calls so far."""
        return self._tally.snapshot(self._breaker.rounds)

    def start(self, tasks: TaskGroup) -> None:
        """Give tools that may be detached a task group to run in; they end with it at the latest."""
        self._background = tasks

    async def run(self, call_id: str, name: str, arguments: str, *, response_id: str = "") -> ToolCall:
        """Run one call and tell what the model is to be told; send `result` once.

        Args:
            call_id: The provider's id of the call.
            name: The tool's name.
            arguments: JSON text as the model wrote it.
            response_id: The provider's id of the answer that holds the call, so that parallel calls are one round.

        Returns:
            The call with `result`, the text for the model. If something failed, `error` says what, and `result` is that as JSON.

        Raises:
            LocalProtocolError: A call of this id was run before, and must not be answered again; or the tool may be detached and
                `start` was not called. Whatever the tool does is told in the result.
        """
        tool = self._tools.get(name)
        detachable = tool is not None and tool.definition.on_interruption == "detach"
        if call_id in self._begun:
            raise LocalProtocolError(f"the tool call {call_id!r} was run before")
        if detachable and self._background is None:
            raise LocalProtocolError(f"tool {name} may be detached; call start(task_group) first")
        self._begun.add(call_id)
        self._tally.begun += 1
        call = self._running[call_id] = RunningCall(call_id, name, self._clock.now())
        if call_id in self._cancelled_early:
            call.cancel("the model took the call back")
        if not self._breaker.begin(response_id):
            outcome = Outcome()
            outcome.fail("refused", TOO_MANY_CALLS)
            self._end(call, outcome)
        elif not detachable or self._background is None:
            await self._settle(call, tool, arguments)
        else:
            task = partial(self._settle, call, tool, arguments)
            self._background.start_soon(task, name=f"trunkline detachable tool {name}")
        try:
            return await call.wait()
        finally:
            if not call.is_answered:
                call.cancel("nobody waits for its answer")

    def cancel(self, call_id: str) -> bool:
        """The vendor took a call back: stop its tool, whatever its policy; False where it has ended or has not begun.

        A call that has not begun is answered as cancelled as soon as it is run.
        """
        call = self._running.get(call_id)
        if call is not None:
            call.cancel("the model took the call back")
        elif call_id not in self._begun:
            self._cancelled_early.append(call_id)
        return call is not None

    def interrupt(self) -> None:
        """The caller interrupted: treat each running tool as its definition asks."""
        for call in list(self._running.values()):
            tool = self._tools.get(call.name)
            policy = "finish" if tool is None else tool.definition.on_interruption
            if policy == "cancel":
                call.cancel("the caller interrupted")
            elif policy == "detach" and call.answer(detached_text(call.name), "", self._clock.now()):
                self._tally.detached += 1

    def user_spoke(self) -> None:
        """The user said something: the model may call tools afresh."""
        self._breaker.reset()

    # ── one call ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _settle(self, call: RunningCall, tool: _Tool | None, arguments: str) -> None:
        """Run the tool to its end and give the answer; raises nothing but cancellation."""
        timeout = self._timeout
        if tool is not None and tool.definition.timeout is not None:
            timeout = tool.definition.timeout
        outcome = Outcome()
        try:
            with call.scope, self._clock.move_on_after(timeout) as deadline:
                # A group of its own tells a tool that was cancelled from within, which is a failure, from a call that is.
                async with anyio.create_task_group() as tasks:
                    if tool is not None and tool.definition.filler and self._on_slow is not None:
                        tasks.start_soon(self._wait_until_slow, call, tool.definition, self._on_slow)
                    tasks.start_soon(self._attempt, call, tool, arguments, outcome, tasks.cancel_scope)
            if outcome.fate is None:
                if call.scope.cancel_called:
                    outcome.fail("cancelled", ToolError(call.name, f"cancelled: {call.why_cancelled}"))
                elif deadline.cancel_called:
                    outcome.fail("timed_out", ToolTimedOut(call.name, timeout))
                else:
                    outcome.fail("failed", ToolError(call.name, "stopped without an answer"))
        finally:
            self._end(call, outcome)

    async def _attempt(
        self, call: RunningCall, tool: _Tool | None, arguments: str, outcome: Outcome, scope: anyio.CancelScope
    ) -> None:
        try:
            call.arguments = read_arguments(call.name, arguments)
            function = self._function(call, tool, arguments)
            async with self._places:
                outcome.succeed(result_text(call.name, await self._call(function)))
        except Exception as raised:
            failure = _alone(raised)
            if not isinstance(failure, ToolError):
                logger.warning("tool %s failed", call.name, exc_info=raised)
                failure = ToolError(call.name, "failed")
            outcome.fail("failed", failure)
        scope.cancel()

    def _function(self, call: RunningCall, tool: _Tool | None, arguments: str) -> partial[Any]:
        if tool is not None:
            checked = tool.check(call.arguments)
            if tool.bind is not None:
                return tool.bind(checked)
        if self._on_function_call is None:
            raise UnknownTool(call.name)
        return partial(self._on_function_call, call.call_id, call.name, arguments)

    async def _call(self, function: partial[Any]) -> Any:
        if inspect.iscoroutinefunction(function.func):
            return await function()
        result = await anyio.to_thread.run_sync(function, abandon_on_cancel=True, limiter=self._threads)
        return await result if inspect.isawaitable(result) else result

    async def _wait_until_slow(
        self, call: RunningCall, definition: ToolDefinition, on_slow: Callable[[str, str, str], None]
    ) -> None:
        await self._clock.sleep_until(call.began + definition.filler_after)
        if not call.is_answered:
            _tell(on_slow, call.call_id, call.name, definition.filler)

    def _end(self, call: RunningCall, outcome: Outcome) -> None:
        now = self._clock.now()
        del self._running[call.call_id]
        fate = outcome.fate
        if fate is None:  # cancelled from outside
            fate = "cancelled"
            outcome.fail(fate, ToolError(call.name, "cancelled: the telephone call ended"))
        self._tally.end(fate, call.duration_ms(now))
        if not call.answer(outcome.result, outcome.error, now):
            logger.info("tool %s, detached before, has ended: %s", call.name, fate)
            if self._on_late is not None:
                _tell(self._on_late, call.call_id, call.told(outcome.result, outcome.error, now))


def _by_name(
    tools: Iterable[ToolDefinition | Callable[..., Any]], handlers: Mapping[str, ToolHandler]
) -> dict[str, _Tool]:
    named: dict[str, _Tool] = {}
    for source in tools:
        tool = _tool(source, handlers)
        name = tool.definition.name
        if name in named:
            raise InvalidConfig("tools", f"there are two tools called {name!r}")
        named[name] = tool
    for name in handlers:
        if name not in named:
            raise InvalidConfig("tool_handlers", f"there is a handler for {name!r} but no such tool")
    return named


def _tool(source: ToolDefinition | Callable[..., Any], handlers: Mapping[str, ToolHandler]) -> _Tool:
    if not isinstance(source, ToolDefinition) and not callable(source):
        raise InvalidConfig("tools", f"a tool is a ToolDefinition, a function or a model, not {type(source).__name__}")
    definition = source if isinstance(source, ToolDefinition) else definition_of(source)
    handler = handlers.get(definition.name)
    bind = None if handler is None else partial(partial, handler)
    if isinstance(source, ToolDefinition):
        return _Tool(definition, schema_check(definition), bind)
    if is_model(source):
        return _Tool(definition, model_check(definition.name, source.model_validate), bind)
    if handler is not None:
        raise InvalidConfig("tool_handlers", f"tool {definition.name!r} is a function, which is its own handler")
    signature = signature_of(source)
    return _Tool(definition, model_check(definition.name, signature.arguments), lambda named: partial(source, **named))


def _alone(raised: Exception) -> Exception:
    """The one error inside the groups that task groups put around it."""
    while isinstance(raised, ExceptionGroup) and len(raised.exceptions) == 1:
        raised = raised.exceptions[0]
    return raised


def _tell(listener: Callable[..., None], *facts: object) -> None:
    try:
        listener(*facts)
    except Exception:
        logger.exception("a listener to tools failed")
