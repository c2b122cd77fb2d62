"""The suite itself: which checks are there, that it needs no pytest, and that it fails what should fail."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar
from unittest import SkipTest

import anyio
import anyio.lowlevel
import pytest

from tests.testing.suites.openai_stage import OpenAIStage, openai_stage
from trunkline.realtime.events import SessionEvent
from trunkline.realtime.openai.session import CAPABILITIES, OpenAIRealtimeSession
from trunkline.realtime.provider import Capabilities
from trunkline.testing.suites import RealtimeProviderSuite, Scene, Trouble
from trunkline.testing.suites.cancellation import cut_at

pytestmark = pytest.mark.anyio


class Poor(RealtimeProviderSuite):
    capabilities = Capabilities(input_rate=24000, output_rate=24000, interrupts_itself=False)
    troubles: ClassVar[Collection[Trouble]] = (Trouble.DROP,)


class Rich(Poor):
    capabilities = CAPABILITIES
    troubles = tuple(Trouble)

    def vendor(self, scene: Scene) -> AbstractAsyncContextManager[OpenAIStage]:
        return openai_stage(scene)


class Lasting(Rich):
    lasting = True


def test_checks_of_what_a_provider_cannot_do_are_skipped_by_the_capability() -> None:
    assert Poor.skipped() == {
        "test_an_answer_is_cancelled": "Capabilities.cancel is False",
        "test_an_answer_is_truncated_to_what_was_heard": "Capabilities.truncate is False",
        "test_an_open_tool_call_is_answered_in_the_next_session": "Capabilities.seeds_tool_calls is False",
        "test_the_user_interrupts": "Capabilities.interrupts_itself is False",
        "test_turns_by_hand": "Capabilities.clear is False",
    }
    assert Rich.skipped() == {
        "test_an_open_tool_call_is_refused_where_it_cannot_be_told": "Capabilities.seeds_tool_calls is True"
    }


async def test_a_skipped_check_raises_what_pytest_takes_for_a_skip() -> None:
    with pytest.raises(SkipTest, match="cancel is False"):
        await Poor().test_an_answer_is_cancelled()


def test_checks_of_troubles_that_cannot_be_made_are_not_there() -> None:
    assert "test_a_broken_connection_ends_with_an_error" in Poor.checks()
    assert Poor.test_a_stall_is_survived is None
    assert "test_a_stall_is_survived" in Rich.checks()
    for name in RealtimeProviderSuite.checks():
        ends = name in Rich.checks() or name in Rich.skipped()
        assert ends != name.endswith(("taken_up_again", "after_an_oversized_message", "vendors_limit")), name
        lasts = name in Lasting.checks() or name in Lasting.skipped()
        assert lasts != name.endswith(("_ends_with_an_error",)), name


def test_it_is_imported_without_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; import trunkline.testing.suites"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_vendor_has_to_be_written() -> None:
    with pytest.raises(NotImplementedError, match="Poor"):
        await Poor().test_a_text_turn()


async def test_a_failing_check_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(self: OpenAIRealtimeSession, audio: bytes) -> None:
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(OpenAIRealtimeSession, "send_audio", deaf)
    monkeypatch.setattr(Rich, "patience", 2.0)
    monkeypatch.setattr(Rich, "checks", lambda: ["test_a_spoken_turn", "test_a_text_turn"])
    with pytest.RaisesGroup(AssertionError) as failed:
        await Rich.run()
    (failure,) = failed.value.exceptions
    assert failure.__notes__ == ["in the check test_a_spoken_turn"]
    assert "longer than 2 s; it saw SessionReady" in str(failure)


async def test_an_event_that_a_cancelled_read_loses_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = OpenAIRealtimeSession.__anext__

    async def forgetful(self: OpenAIRealtimeSession) -> SessionEvent:
        event = await whole(self)
        await anyio.lowlevel.checkpoint()
        return event

    monkeypatch.setattr(OpenAIRealtimeSession, "__anext__", forgetful)
    monkeypatch.setattr(Rich, "patience", 1.0)
    with pytest.raises(AssertionError):
        await Rich().test_cancelled_at_every_read_nothing_is_lost()


async def test_a_session_that_leaves_a_task_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async with anyio.create_task_group() as tasks:

        class Leaky(Rich):
            patience = 1.0

            @asynccontextmanager
            async def vendor(self, scene: Scene) -> AsyncIterator[OpenAIStage]:
                async with openai_stage(scene) as vendor:
                    dial: Callable[[], AbstractAsyncContextManager[object]] = vendor.provider._dial  # type: ignore[attr-defined]

                    def leaking() -> AbstractAsyncContextManager[object]:
                        tasks.start_soon(anyio.sleep_forever)
                        return dial()

                    monkeypatch.setattr(vendor.provider, "_dial", leaking)
                    yield vendor

        with pytest.raises(AssertionError, match="these tasks are left"):
            await Leaky().test_cancelled_at_every_await()
        tasks.cancel_scope.cancel()


async def test_work_is_cut_at_each_of_its_waits() -> None:
    done: list[str] = []

    async def work() -> None:
        for name in "abc":
            await anyio.lowlevel.checkpoint()
            done.append(name)

    told = []
    for step in range(1, 20):
        done.clear()
        cut = await cut_at(step, work)
        told.append("".join(done))
        if not cut:
            break
    assert told[0] == ""
    assert told[-1] == "abc"
    assert sorted(told) == told
    assert {"a", "ab"} <= set(told)


async def test_what_work_raises_is_raised() -> None:
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        raise LookupError

    with pytest.raises(LookupError):
        await cut_at(99, work)
