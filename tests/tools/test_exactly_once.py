"""Every tool call is answered exactly once, in whatever order calls, answers, interruptions, cancellations and deadlines come."""

import json
from typing import Any

import anyio
import anyio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.phone import settle
from trunkline.clock import ManualClock
from trunkline.conversation import ToolCall
from trunkline.errors import ToolError
from trunkline.tools import CompiledTools, OnInterruption, ToolDefinition, ToolDispatcher

POLICIES: tuple[OnInterruption, ...] = ("cancel", "finish", "detach")
IDS = st.integers(0, 5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from(POLICIES)),
        st.tuples(st.just("cancel"), IDS),
        st.tuples(st.just("finish"), IDS),
        st.tuples(st.just("fail"), IDS),
        st.tuples(st.just("interrupt"), st.none()),
        st.tuples(st.just("advance"), st.sampled_from([1, 3, 9])),
        st.tuples(st.just("speak"), st.none()),
    ),
    max_size=30,
)
TIMEOUT = 10


class Conversation:
    """Calls numbered in the order they are made, each of which waits to be told how it ends."""

    def __init__(self, limit: int, max_rounds: int) -> None:
        self.clock = ManualClock()
        self.made: list[OnInterruption] = []
        self.answers: dict[str, list[ToolCall]] = {}
        self.late: dict[str, list[ToolCall]] = {}
        self.slow: list[str] = []
        self._ends: dict[int, anyio.Event] = {}
        self._fails: set[int] = set()
        self.tools = ToolDispatcher(
            CompiledTools(
                [ToolDefinition(policy, on_interruption=policy, filler="Hm.") for policy in POLICIES],
                on_function_call=self._handle,
            ),
            on_slow=lambda call_id, *_: self._on_slow(call_id),
            on_late=lambda call_id, call: self.late.setdefault(call_id, []).append(call),
            timeout=TIMEOUT,
            limit=limit,
            max_rounds=max_rounds,
            clock=self.clock,
        )

    def _on_slow(self, call_id: str) -> None:
        assert call_id not in self.answers
        self.slow.append(call_id)

    def end(self, number: int) -> anyio.Event:
        return self._ends.setdefault(number, anyio.Event())

    async def _handle(self, call_id: str, _name: str, _arguments: str) -> str:
        await self.end(int(call_id)).wait()
        if int(call_id) in self._fails:
            raise ToolError("x", "as asked")
        return '"done"'

    async def _run(self, number: int, policy: str) -> None:
        call = await self.tools.run(str(number), policy, "{}")
        self.answers.setdefault(str(number), []).append(call)

    async def do(self, tasks: anyio.abc.TaskGroup, step: str, what: Any) -> None:
        match step:
            case "run":
                tasks.start_soon(self._run, len(self.made), what)
                self.made.append(what)
            case "cancel":
                self.tools.cancel(str(what))
            case "finish":
                self.end(what).set()
            case "fail":
                if not self.end(what).is_set():
                    self._fails.add(what)
                self.end(what).set()
            case "interrupt":
                self.tools.interrupt()
            case "advance":
                await self.clock.advance(what)
            case "speak":
                self.tools.user_spoke()


@given(steps=STEPS)
@settings(max_examples=100, deadline=None)
async def test_without_a_pause_between_steps(steps: list[tuple[str, Any]]) -> None:
    talk = Conversation(limit=2, max_rounds=3)
    async with anyio.create_task_group() as tasks:
        talk.tools.start(tasks)
        for step, what in steps:
            await talk.do(tasks, step, what)
            await anyio.lowlevel.checkpoint()
        await settle()
        await talk.clock.advance(TIMEOUT)
    assert {number: len(calls) for number, calls in talk.answers.items()} == {
        str(number): 1 for number in range(len(talk.made))
    }
    assert all(len(calls) == 1 for calls in talk.late.values())
    for (call,) in talk.answers.values():
        assert not call.error or json.loads(call.result) == {"error": call.error}
        assert json.loads(call.result)
    counters = talk.tools.counters
    ended = counters.successes + counters.failures + counters.timeouts + counters.cancelled + counters.refused
    assert counters.calls == ended == len(talk.made)
    assert counters.detached == len(talk.late)
    assert len(set(talk.slow)) == len(talk.slow)


class Expected:
    """What each call must end as when everybody has time between two steps."""

    def __init__(self) -> None:
        self.now = 0
        self.told: dict[int, str] = {}
        self._open: dict[int, tuple[OnInterruption, int]] = {}
        self._ended: dict[int, str] = {}
        self._taken_back: set[int] = set()
        self._made = 0

    def do(self, step: str, what: Any) -> None:
        match step:
            case "run":
                self._open[self._made] = (what, self.now + TIMEOUT)
                if self._made in self._taken_back:
                    self._answer(self._made, "cancelled")
                elif self._made in self._ended:
                    self._answer(self._made, self._ended[self._made])
                self._made += 1
            case "cancel":
                self._taken_back.add(what)
                self._answer(what, "cancelled")
            case "finish" | "fail":
                self._answer(what, self._ended.setdefault(what, step))
            case "interrupt":
                for number, (policy, _) in list(self._open.items()):
                    if policy == "cancel":
                        self._answer(number, "cancelled")
                    elif policy == "detach":
                        self.told.setdefault(number, "detached")
            case "advance":
                self.now += what
                for number, (_, deadline) in list(self._open.items()):
                    if deadline <= self.now:
                        self._answer(number, "timed out")

    def _answer(self, number: int, told: str) -> None:
        if self._open.pop(number, None) is not None:
            self.told.setdefault(number, told)


def kind(call: ToolCall) -> str:
    for word, meaning in (("cancelled", "cancelled"), ("no answer within", "timed out"), ("as asked", "fail")):
        if word in call.error:
            return meaning
    return "detached" if "running" in call.result else "finish"


@given(steps=STEPS)
@settings(max_examples=100, deadline=None)
async def test_with_time_between_steps_each_answer_is_the_expected_one(steps: list[tuple[str, Any]]) -> None:
    talk = Conversation(limit=100, max_rounds=1000)
    expected = Expected()
    async with anyio.create_task_group() as tasks:
        talk.tools.start(tasks)
        for step, what in [*steps, ("advance", TIMEOUT)]:
            await talk.do(tasks, step, what)
            expected.do(step, what)
            await settle()
            assert {int(number): kind(calls[0]) for number, calls in talk.answers.items()} == expected.told
