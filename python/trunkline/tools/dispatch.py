"""Running the model's tool calls: every call gets exactly one answer, whatever the tool does."""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial

import anyio
from anyio.abc import TaskGroup

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.conversation import ToolCall
from trunkline.errors import InvalidConfig, LocalProtocolError, ToolError, ToolTimedOut, single
from trunkline.tools.arguments import read_arguments
from trunkline.tools.breaker import TOO_MANY_CALLS, LoopBreaker
from trunkline.tools.calling import WorkerThreads
from trunkline.tools.calling import call as call_function
from trunkline.tools.compiled import CompiledTools
from trunkline.tools.counters import ToolCounters, ToolTally
from trunkline.tools.definition import ToolDefinition, is_duration
from trunkline.tools.results import detached_text, result_text
from trunkline.tools.running import Outcome, RunningCall

logger = logging.getLogger("trunkline.tools")

MOST_EARLY_CANCELLATIONS = 64


class ToolDispatcher:
    """Runs the tool calls of one session.

    Args:
        tools: The tools, which many sessions may share.
        on_slow: Given call id, tool name and filler phrase, once, when a tool that has a filler has taken its `filler_after` seconds.
        on_late: Given call id and outcome when a detached tool has ended; the model was answered before and gets nothing more.
        timeout: Seconds that a tool may take, unless its definition says otherwise.
        limit: How many tools may run at once; further ones wait, and the wait counts.
        max_rounds: How many rounds of tool calls the model may make without a word of the user in between.
        clock: What measures the time.

    Raises:
        InvalidConfig: A number is out of range.

    Functions that are not `async` run in worker threads, so that a slow one never holds up the audio. A thread cannot be stopped: when its
    call is over for whatever reason the model is told, and the thread is left to finish on its own; what it returns is dropped. As long as
    `limit` such threads have not finished, plain functions fail at once.

    What the model is told of a failure: the message of a `ToolError`, which is meant for it, and of any other exception only that the tool
    failed, because messages of databases and HTTP clients hold addresses and keys. The log has the exception with its traceback.
    """

    def __init__(
        self,
        tools: CompiledTools,
        *,
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
        self._tools = tools
        self._on_slow = on_slow
        self._on_late = on_late
        self._timeout = timeout
        self._clock = clock
        self._threads = WorkerThreads(limit)
        self._places = anyio.CapacityLimiter(limit)
        self._breaker = LoopBreaker(max_rounds)
        self._tally = ToolTally()
        self._background: TaskGroup | None = None
        self._running: dict[str, RunningCall] = {}
        self._begun: set[str] = set()
        self._cancelled_early: deque[str] = deque(maxlen=MOST_EARLY_CANCELLATIONS)

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
        tool = self._tools.definition(name)
        detachable = tool is not None and tool.on_interruption == "detach"
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
            tool = self._tools.definition(call.name)
            policy = "finish" if tool is None else tool.on_interruption
            if policy == "cancel":
                call.cancel("the caller interrupted")
            elif policy == "detach" and call.answer(detached_text(call.name), "", self._clock.now()):
                self._tally.detached += 1

    def user_spoke(self) -> None:
        """The user said something: the model may call tools afresh."""
        self._breaker.reset()

    # ── one call ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _settle(self, call: RunningCall, tool: ToolDefinition | None, arguments: str) -> None:
        """Run the tool to its end and give the answer; raises nothing but cancellation."""
        timeout = self._timeout
        if tool is not None and tool.timeout is not None:
            timeout = tool.timeout
        outcome = Outcome()
        try:
            with call.scope, self._clock.move_on_after(timeout) as deadline:
                # A group of its own tells a tool that was cancelled from within, which is a failure, from a call that is.
                async with anyio.create_task_group() as tasks:
                    if tool is not None and tool.filler and self._on_slow is not None:
                        tasks.start_soon(self._wait_until_slow, call, tool, self._on_slow)
                    tasks.start_soon(self._attempt, call, arguments, outcome, tasks.cancel_scope)
            if outcome.fate is None:
                if call.scope.cancel_called:
                    outcome.fail("cancelled", ToolError(call.name, f"cancelled: {call.why_cancelled}"))
                elif deadline.cancel_called:
                    outcome.fail("timed_out", ToolTimedOut(call.name, timeout))
                else:
                    outcome.fail("failed", ToolError(call.name, "stopped without an answer"))
        finally:
            self._end(call, outcome)

    async def _attempt(self, running: RunningCall, arguments: str, outcome: Outcome, scope: anyio.CancelScope) -> None:
        name = running.name
        try:
            running.arguments = read_arguments(name, arguments)
            function = self._tools.prepare(running.call_id, name, running.arguments, arguments)
            async with self._places:
                outcome.succeed(result_text(name, await call_function(function, threads=self._threads)))
        except Exception as raised:
            failure = single(raised)
            if not isinstance(failure, ToolError):
                logger.warning("tool %s failed", name, exc_info=raised)
                failure = ToolError(name, "failed")
            outcome.fail("failed", failure)
        scope.cancel()

    async def _wait_until_slow(
        self, call: RunningCall, definition: ToolDefinition, on_slow: Callable[[str, str, str], None]
    ) -> None:
        await self._clock.sleep_until(call.began + definition.filler_after)
        if not call.is_answered:
            _notify(on_slow, call.call_id, call.name, definition.filler)

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
                _notify(self._on_late, call.call_id, call.record(outcome.result, outcome.error, now))


def _notify(listener: Callable[..., None], *facts: object) -> None:
    try:
        listener(*facts)
    except Exception:
        logger.exception("a listener to tools failed")
