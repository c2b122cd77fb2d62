"""One session's tools: each call is run and answered once, and nothing of one session is felt in another."""

import gc
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from trunkline.clock import ManualClock
from trunkline.conversation import ToolCall
from trunkline.errors import LocalProtocolError
from trunkline.realtime.events import (
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEvent,
    SpeechStarted,
    ToolCallCancelled,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.tool_host import ToolHost
from trunkline.testing.fake_provider import FakeProvider, FakeSession
from trunkline.tools import CompiledTools, ToolDefinition, ToolDispatcher, tool


def look(what: str = "") -> str:
    return f"saw {what}"


async def hang() -> None:
    await anyio.sleep_forever()


class Setting:
    """A host in a session, and what it reported."""

    def __init__(self, *tools: Any, clock: ManualClock | None = None, **options: Any) -> None:
        self.calls: list[tuple[str, ToolCall, bool]] = []
        self.done: list[tuple[str, bool]] = []
        self.clock = clock or ManualClock()
        self.host = ToolHost(
            CompiledTools(tools),
            on_call=lambda *facts: self.calls.append(facts),
            on_done=lambda *facts: self.done.append(facts),
            clock=self.clock,
            **options,
        )
        self.session: FakeSession

    async def request(self, call_id: str, name: str = "look", response_id: str = "") -> None:
        event = ToolCallRequested(call_id, name, "{}", response_id or f"r-{call_id}")
        self.session.feed(event)
        self.host.take(event)
        await anyio.wait_all_tasks_blocked()

    def refused(self) -> list[bool]:
        """Whether each call was refused, in the order of their ids: a refusal may be done before a thread is."""
        in_order = sorted(self.calls, key=lambda done: (len(done[0]), done[0]))
        return ["too many" in call.error for _, call, _ in in_order]


@asynccontextmanager
async def running(setting: Setting) -> AsyncIterator[Setting]:
    async with FakeProvider().connect(ProcessConfig()) as setting.session, anyio.create_task_group() as tasks:
        setting.host.begin(tasks, setting.session)
        yield setting
        tasks.cancel_scope.cancel()


async def until_done(setting: Setting, count: int) -> None:
    with anyio.fail_after(10):
        while len(setting.done) < count:
            await anyio.lowlevel.checkpoint()


async def test_call_is_run_reported_and_answered() -> None:
    async with running(Setting(look)) as setting:
        assert [definition.name for definition in setting.host.definitions] == ["look"]
        assert not setting.host.busy
        event = ToolCallRequested("c", "look", '{"what": "Rome"}', "r")
        setting.session.feed(event)
        setting.host.take(event)
        assert setting.host.busy
        await until_done(setting, 1)
        assert setting.session.results == {"c": "saw Rome"}
        assert [(call_id, call.result, late) for call_id, call, late in setting.calls] == [("c", "saw Rome", False)]
        assert setting.done == [("c", True)]
        assert not setting.host.busy
        assert (setting.host.counters.calls, setting.host.counters.successes) == (1, 1)


async def test_call_told_twice_is_answered_once() -> None:
    async with running(Setting(hang)) as setting:
        await setting.request("c", "hang")
        await setting.request("c", "hang")
        setting.host.take(ToolCallCancelled("c"))
        await anyio.wait_all_tasks_blocked()
        await setting.request("c", "hang")
        assert len(setting.calls) == 1
        assert setting.host.counters.calls == 1


async def test_call_that_the_vendor_takes_back_is_stopped_and_not_answered() -> None:
    async with running(Setting(hang)) as setting:
        await setting.request("during", "hang")
        setting.host.take(ToolCallCancelled("during"))
        await anyio.wait_all_tasks_blocked()
        setting.host.take(ToolCallCancelled("before"))
        await setting.request("before", "hang")
        assert setting.session.results == {}
        assert setting.done == [("during", False), ("before", False)]
        assert setting.host.counters.cancelled == 2


async def test_interruption_detaches_a_tool_whose_result_is_reported_late() -> None:
    may_end = anyio.Event()

    @tool(on_interruption="detach")
    async def letter() -> str:
        await may_end.wait()
        return "sent"

    async with running(Setting(letter)) as setting:
        await setting.request("c", "letter")
        setting.host.interrupt()
        await anyio.wait_all_tasks_blocked()
        assert "running" in setting.session.results["c"]
        may_end.set()
        await anyio.wait_all_tasks_blocked()
        assert [(call.result, late) for _, call, late in setting.calls][1:] == [("sent", True)]
        assert setting.host.counters.detached == 1


async def test_end_of_the_session_is_no_failure_of_the_host() -> None:
    may_end = anyio.Event()

    async def slow() -> str:
        await may_end.wait()
        return "late"

    async with running(Setting(slow)) as setting:
        await setting.request("c", "slow")
        await setting.session.aclose()
        may_end.set()
        await until_done(setting, 1)
        assert setting.done == [("c", False)]


async def test_answer_that_the_session_does_not_want_is_no_failure_of_the_host(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Setting(look)) as setting:
        setting.host.take(ToolCallRequested("unknown", "look", "{}", "r"))  # the session knows no such call
        await until_done(setting, 1)
        assert "is not answered" in caplog.text


async def test_call_before_begin_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="begin"):
        Setting(look).host.take(ToolCallRequested("c", "look", "{}", "r"))


# ── rounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_model_in_a_circle_is_refused_until_the_user_is_heard() -> None:
    async with running(Setting(look, max_rounds=2)) as setting:
        events: tuple[SessionEvent, ...] = (
            SpeechStarted("u1"),
            UserTranscript("hm", False, "u2"),
            Interrupted("r9"),
            ResponseFinished("plain"),
        )
        for n, event in enumerate(events):
            setting.host.take(event)
            for call in range(3):
                await setting.request(f"{n}-{call}")
                await until_done(setting, 3 * n + call + 1)
            assert setting.refused()[-3:] == [False, False, True]
        setting.host.user_spoke()
        await setting.request("again")
        await until_done(setting, 13)
        assert setting.refused()[-1] is False


async def test_calls_of_one_answer_are_one_round() -> None:
    async with running(Setting(look, max_rounds=1)) as setting:
        for call in range(3):
            await setting.request(str(call), response_id="r1")
        await setting.request("other", response_id="r2")
        await until_done(setting, 4)
        assert setting.refused() == [False, False, False, True]


async def test_late_words_of_a_turn_do_not_reset_the_limit_again() -> None:
    async with running(Setting(look, max_rounds=1)) as setting:
        setting.host.take(SpeechStarted("u1"))
        await setting.request("1")
        setting.host.take(UserTranscript("Go", False, "u1"))
        setting.host.take(UserTranscript("Go.", True, "u1"))
        await setting.request("2")
        await until_done(setting, 2)
        assert setting.refused() == [False, True]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
async def test_answers_with_calls_and_fillers_do_not_reset_the_limit(status: Any) -> None:
    @tool(filler="One moment.", filler_after=1)
    async def slow() -> str:
        await clock.sleep_until(clock.now() + 2)
        return "done"

    clock = ManualClock()
    async with running(Setting(slow, max_rounds=1, clock=clock)) as setting:
        await setting.request("1", "slow", "r1")
        setting.host.take(ResponseFinished("r1"))
        await clock.advance(3)
        assert setting.session.commands[0] == ("say", "One moment.")
        setting.host.take(ResponseStarted("filler"))
        setting.host.take(ResponseFinished("filler", status))
        await setting.request("2", "slow", "r2")
        await until_done(setting, 2)
        assert setting.refused() == [False, True]


# ── many sessions ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_sessions_share_tools_and_feel_nothing_of_each_other() -> None:
    compiled = CompiledTools([look])
    for _ in range(12):  # the same ids, and more calls in all than one session may make in a row
        provider, done = FakeProvider(), anyio.Event()
        async with provider.connect(ProcessConfig()) as session, anyio.create_task_group() as tasks:
            host = ToolHost(compiled, on_done=lambda *_, done=done: done.set())
            host.begin(tasks, session)
            event = ToolCallRequested("c", "look", "{}", "r")
            session.feed(event)
            host.take(event)
            await done.wait()
        assert session.results == {"c": "saw "}


async def test_host_is_freed_without_the_garbage_collector() -> None:
    compiled = CompiledTools([ToolDefinition("book"), look])
    gc.collect()
    gc.disable()
    try:
        host = ToolHost(compiled, on_call=print)
        async with FakeProvider().connect(ProcessConfig()) as session, anyio.create_task_group() as tasks:
            host.begin(tasks, session)
        gone = weakref.ref(host)
        del host, tasks, session
        assert gone() is None
        hosts = gc.get_count()[0]
        for _ in range(100):
            ToolDispatcher(compiled)
            ToolHost(compiled)
        assert gc.get_count()[0] - hosts < 100  # objects that a session's tools leave behind
    finally:
        gc.enable()


def test_tools_of_a_session_cost_microseconds() -> None:
    compiled = CompiledTools([look, hang, ToolDefinition("book")])
    best = min(_seconds(lambda: ToolHost(compiled)) for _ in range(50))
    assert best < 0.001  # 3.7 ms when schemas and validators were made for each session


def _seconds(make: Any) -> float:
    began = time.perf_counter()
    make()
    return time.perf_counter() - began
