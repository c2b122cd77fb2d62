"""The suite itself: which checks are there, that it needs no pytest, and that it fails what should fail."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

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
    capabilities = Capabilities(input_rate=24000, output_rate=24000, cancel=False, interrupts_itself=False)
    troubles: ClassVar[Collection[Trouble]] = (Trouble.DROP,)


class Rich(Poor):
    capabilities = CAPABILITIES
    troubles = tuple(Trouble)

    def vendor(self, scene: Scene) -> AbstractAsyncContextManager[OpenAIStage]:
        return openai_stage(scene)


def test_checks_that_do_not_apply_are_not_there() -> None:
    assert {name for name in Rich.checks() if name not in Poor.checks()} >= {
        "test_the_user_interrupts",
        "test_an_answer_is_cancelled",
        "test_turns_by_hand",
        "test_a_stall_is_survived",
    }
    assert "test_a_broken_connection_ends_with_an_error" in Poor.checks()
    for name in RealtimeProviderSuite.checks():
        assert (name in Rich.checks()) != name.endswith(
            ("taken_up_again", "after_an_oversized_message", "vendors_limit")
        ), name


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
