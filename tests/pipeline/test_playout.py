"""Whole frames, a bounded lead, marks, and one place where an interruption empties the line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.pipeline.doubles import MemoryCarrier
from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost
from trunkline.pipeline.ledger import Cut
from trunkline.pipeline.playout import Playout
from trunkline.telephony.line import PortTraits


class Stage:
    def __init__(self, traits: PortTraits | None = None, **options: Any) -> None:
        self.clock = ManualClock()
        self.carrier = MemoryCarrier(self.clock, traits or PortTraits(format=TWILIO))
        self.happened: list[tuple[str, str]] = []
        self.playout = Playout(
            self.carrier,
            clock=self.clock,
            on_started=lambda item: self.happened.append(("started", item)),
            on_heard=lambda item: self.happened.append(("heard", item)),
            **options,
        )

    async def pass_ms(self, duration_ms: int) -> None:
        for _ in range(duration_ms // 10):
            await self.clock.advance(0.010)
            for name in self.carrier.marks_due():
                self.playout.mark_received(name)
        await self.clock.advance(0)

    def media(self) -> list[int]:
        return [len(message[1]) for message in self.carrier.messages if message[0] == "media"]  # type: ignore[arg-type]


@asynccontextmanager
async def playing(stage: Stage) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.playout.run)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


async def test_the_first_audio_leaves_at_once_and_the_lead_is_bounded() -> None:
    stage = Stage()
    async with playing(stage):
        stage.playout.write("a", bytes(8000))
        await anyio.wait_all_tasks_blocked()
        assert stage.media() == [3200]  # 400 ms
        await stage.pass_ms(190)
        assert stage.media() == [3200]
        await stage.pass_ms(20)
        assert stage.media() == [3200, 1600]
        await stage.pass_ms(2000)
        assert sum(stage.media()) == 8000
        assert len(stage.media()) <= 5
    assert stage.happened == [("started", "a")]


async def test_only_whole_frames_leave_until_the_item_is_finished() -> None:
    stage = Stage()
    async with playing(stage):
        stage.playout.write("a", b"\x01" * 200)
        await anyio.wait_all_tasks_blocked()
        assert stage.media() == [160]
        stage.playout.finish("a")
        await stage.pass_ms(100)
        assert stage.media() == [160, 160]
        assert stage.carrier.sent() == b"\x01" * 200 + b"\xff" * 120
        assert stage.happened == [("started", "a"), ("heard", "a")]
        assert stage.playout.heard_ms("a") == 25


async def test_an_item_is_heard_when_its_mark_returns() -> None:
    stage = Stage()
    async with playing(stage):
        stage.playout.write("a", bytes(1600))
        stage.playout.finish("a")
        await stage.pass_ms(190)
        assert stage.happened == [("started", "a")]
        assert stage.playout.speaking
        await stage.pass_ms(10)
        assert stage.happened == [("started", "a"), ("heard", "a")]
        assert not stage.playout.speaking


async def test_a_carrier_without_marks_is_heard_by_the_clock() -> None:
    traits = PortTraits(format=TWILIO, returns_marks=False, can_clear=False, max_lead_ms=60)
    stage = Stage(traits)
    async with playing(stage):
        stage.playout.write("a", bytes(1600))
        stage.playout.finish("a")
        await stage.pass_ms(210)
        assert stage.happened == [("started", "a"), ("heard", "a")]
        assert {message[0] for message in stage.carrier.messages} == {"media"}
        assert max(stage.media()) <= 480
        stage.playout.write("b", bytes(1600))
        await anyio.wait_all_tasks_blocked()
        await stage.playout.interrupt()
        assert ("clear",) not in stage.carrier.messages


async def test_an_interruption_empties_the_line_and_tells_what_was_heard() -> None:
    stage = Stage()
    async with playing(stage):
        stage.playout.write("a", bytes(8000))
        stage.playout.write("b", bytes(800))
        await stage.pass_ms(500)
        assert await stage.playout.interrupt() == [Cut("a", 500, 1000), Cut("b", 0, 100)]
        sent = stage.media()
        await stage.pass_ms(2000)
        assert stage.media() == sent
        assert not stage.playout.speaking
        assert stage.playout.heard_ms("a") == 500
        assert stage.carrier.messages[-1] == ("clear",)
        stage.playout.write("c", bytes(160))
        stage.playout.finish("c")
        await stage.pass_ms(100)
        assert stage.happened == [("started", "a"), ("started", "c"), ("heard", "c")]


async def test_audio_beyond_the_queue_is_dropped_and_counted() -> None:
    stage = Stage(max_queued_ms=100)
    stage.playout.write("a", bytes(1000))
    assert stage.playout.dropped_bytes == 200
    assert stage.playout.speaking


async def test_a_lost_line_ends_the_task() -> None:
    stage = Stage()
    stage.carrier.lost = True
    stage.playout.write("a", bytes(160))
    with pytest.raises(ConnectionLost):
        await stage.playout.run()
