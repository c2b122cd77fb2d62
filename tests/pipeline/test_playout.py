"""A bounded lead, marks, and one place where an interruption empties the line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from trunkline.audio import TWILIO, VONAGE, AudioFormat
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost
from trunkline.pipeline.ledger import Cut
from trunkline.pipeline.playout import Playout
from trunkline.telephony.line import LineTraits
from trunkline.testing.memory_line import MemoryLine
from trunkline.wire.telephony.events import Cleared, MarkReceived

WHOLE_FRAMES = LineTraits(format=TWILIO, whole_frames=True)


class Listener:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.happened: list[tuple[str, str]] = []
        self.stops = 0

    def agent_started(self, item_id: str) -> None:
        self.happened.append(("started", item_id))

    def agent_heard(self, item_id: str) -> None:
        self.happened.append(("heard", item_id))

    def stop_reached(self) -> None:
        self.stops += 1

    def mark_returned(self) -> None:
        pass

    def audio_cut(self, size: int) -> None:
        pass

    def audio_sent(self, payload: bytes, begins: float) -> None:
        pass


class Stage:
    def __init__(self, traits: LineTraits | None = None, *, tells_cleared: bool = False, **options: Any) -> None:
        self.clock = ManualClock()
        self.line = MemoryLine(traits, clock=self.clock, tells_cleared=tells_cleared)
        self.listener = Listener()
        self.playout = Playout(self.line, self.listener, clock=self.clock, **options)

    @property
    def happened(self) -> list[tuple[str, str]]:
        return self.listener.happened

    async def pass_ms(self, duration_ms: int) -> None:
        await self.clock.advance(duration_ms / 1000)

    async def read(self) -> None:
        while True:
            match await self.line.receive():
                case MarkReceived(name):
                    self.playout.mark_received(name)
                case Cleared():
                    self.playout.cleared()

    def media(self) -> list[int]:
        return [len(message[1]) for message in self.line.messages if message[0] == "media"]  # type: ignore[arg-type]


@asynccontextmanager
async def playing(stage: Stage) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.playout.run)
        tasks.start_soon(stage.read)
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
    stage = Stage(WHOLE_FRAMES)
    async with playing(stage):
        stage.playout.write("a", b"\x01" * 200)
        await anyio.wait_all_tasks_blocked()
        assert stage.media() == [160]
        stage.playout.finish("a")
        await stage.pass_ms(100)
        assert stage.media() == [160, 160]
        assert stage.line.sent == b"\x01" * 200 + b"\xff" * 120
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
    traits = LineTraits(format=TWILIO, returns_marks=False, can_clear=False, max_lead_ms=60)
    stage = Stage(traits)
    async with playing(stage):
        stage.playout.write("a", bytes(1600))
        stage.playout.finish("a")
        await stage.pass_ms(210)
        assert stage.happened == [("started", "a"), ("heard", "a")]
        assert {message[0] for message in stage.line.messages} == {"media"}
        assert max(stage.media()) <= 480
        stage.playout.write("b", bytes(1600))
        await anyio.wait_all_tasks_blocked()
        stage.playout.interrupt()
        assert ("clear",) not in stage.line.messages


async def test_an_interruption_empties_the_line_and_tells_what_was_heard() -> None:
    stage = Stage()
    async with playing(stage):
        stage.playout.write("a", bytes(8000))
        stage.playout.write("b", bytes(800))
        await stage.pass_ms(500)
        assert stage.playout.interrupt() == [Cut("a", 500, 1000), Cut("b", 0, 100)]
        await stage.pass_ms(0)
        sent = stage.media()
        await stage.pass_ms(2000)
        assert stage.media() == sent
        assert not stage.playout.speaking
        assert stage.playout.heard_ms("a") == 500
        assert stage.line.messages[-1] == ("clear",)
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
    stage.line.lose()
    stage.playout.write("a", bytes(160))
    with pytest.raises(ConnectionLost):
        await stage.playout.run()


async def test_audio_of_any_length_leaves_where_the_carrier_takes_it() -> None:
    stage = Stage()
    async with playing(stage):
        stage.playout.write("a", b"\x01" * 201)
        stage.playout.finish("a")
        await stage.pass_ms(100)
        assert stage.line.sent == b"\x01" * 201, "no silence is added"
        assert stage.happened == [("started", "a"), ("heard", "a")]


async def test_marks_are_only_sent_on_lines_that_return_them() -> None:
    stage = Stage(LineTraits(format=TWILIO, returns_marks=False))
    async with playing(stage):
        for _ in range(50):
            stage.playout.write("a", bytes(800))
            await stage.pass_ms(100)
        assert {message[0] for message in stage.line.messages} == {"media"}
        assert not stage.playout._ledger._pending, "and none is waited for"


async def test_marks_that_never_return_do_not_pile_up() -> None:
    stage = Stage()
    stage.read = anyio.sleep_forever  # type: ignore[method-assign]
    async with playing(stage):
        for _ in range(300):
            stage.playout.write("a", bytes(1600))
            await stage.pass_ms(200)
        assert len(stage.playout._ledger._pending) <= 256


async def test_playout_keeps_what_is_queued_and_nothing_that_was_played() -> None:
    stage = Stage()
    stage.line._keep_messages = False
    async with playing(stage):
        for _ in range(60):  # a minute of speech, a second at a time
            stage.playout.write("a", bytes(9600))
            await stage.pass_ms(1200)
        playout = stage.playout
        assert playout._queued <= 9600
        assert sum(map(len, playout._sent)) <= 2 * 3200 + 9600
        assert len(playout._ledger._stretches) <= 2


async def test_the_phone_is_cleared_before_anything_new_is_played() -> None:
    stage = Stage()
    async with playing(stage):
        stage.playout.write("a", b"\x01" * 8000)
        await stage.pass_ms(100)
        stage.playout.interrupt()
        stage.playout.write("b", b"\x02" * 160)
        await stage.pass_ms(0)
        kinds = [message for message in stage.line.messages if message[0] != "mark"]
        assert [kind for kind, *_ in kinds] == ["media", "clear", "media"]
        assert kinds[-1][1] == b"\x02" * 160


async def test_an_interruption_while_audio_is_being_sent_clears_that_audio_too() -> None:
    stage = Stage()
    async with playing(stage):
        stage.line.blocked = anyio.Event()
        stage.playout.write("a", bytes(1600))
        await stage.pass_ms(0)
        assert stage.playout.interrupt() == [Cut("a", 0, 200)]
        stage.line.blocked.set()
        await stage.pass_ms(1000)
        assert stage.line.messages[-1] == ("clear",)
        assert stage.line.heard_ms == 0


async def test_interrupt_on_a_line_that_cannot_clear_counts_what_was_sent_as_heard() -> None:
    stage = Stage(LineTraits(format=TWILIO, can_clear=False, max_lead_ms=400))
    async with playing(stage):
        stage.playout.write("a", bytes(8000))
        await stage.pass_ms(100)
        assert stage.playout.interrupt() == [Cut("a", 400, 1000)]
        stage.playout.write("b", bytes(3200))
        stage.playout.finish("b")
        await stage.pass_ms(0)
        assert stage.line.sent_ms == 400, "the lead is full of what cannot be taken back"
        await stage.pass_ms(1000)
        assert stage.happened == [("started", "a"), ("started", "b"), ("heard", "b")]
        assert stage.line.heard_ms == 800
        assert (stage.playout.heard_ms("a"), stage.playout.heard_ms("b")) == (400, 400)


async def test_an_item_that_was_sent_whole_is_not_cut_on_a_line_that_cannot_clear() -> None:
    stage = Stage(LineTraits(format=TWILIO, can_clear=False, max_lead_ms=400))
    async with playing(stage):
        stage.playout.write("a", bytes(1600))
        stage.playout.finish("a")
        await stage.pass_ms(100)
        assert stage.playout.interrupt() == []
        await stage.pass_ms(200)
        assert stage.happened == [("started", "a"), ("heard", "a")]


@pytest.mark.parametrize("can_clear", [True, False])
async def test_pause_and_resume_play_everything_once(*, can_clear: bool) -> None:
    stage = Stage(LineTraits(format=VONAGE, can_clear=can_clear))
    audio = bytes(range(1, 251)) * 128  # a second of what can be told apart
    async with playing(stage):
        stage.playout.write("a", audio)
        await stage.pass_ms(295)
        stage.playout.pause()
        await stage.pass_ms(1000)
        heard_ms = stage.playout.heard_ms("a")
        assert heard_ms == stage.line.heard_ms == (295 if can_clear else stage.line.sent_ms)
        before = stage.line.sent
        stage.playout.resume()
        stage.playout.finish("a")
        await stage.pass_ms(2000)
        assert before[: heard_ms * 32] + stage.line.sent[len(before) :] == audio
        assert stage.line.heard_ms == pytest.approx(1000)
        assert stage.happened == [("started", "a"), ("heard", "a")]


async def test_what_comes_during_a_pause_is_played_after_it_or_dropped_with_the_rest() -> None:
    for resumes in (True, False):
        stage = Stage()
        async with playing(stage):
            stage.playout.write("a", bytes(4000))
            await stage.pass_ms(200)
            stage.playout.pause()
            stage.playout.finish("a")
            stage.playout.write("b", bytes(1600))
            stage.playout.finish("b")
            if resumes:
                stage.playout.resume()
                await stage.pass_ms(1000)
                assert stage.happened == [("started", "a"), ("started", "b"), ("heard", "a"), ("heard", "b")]
                assert stage.line.heard_ms == pytest.approx(700)
            else:
                assert stage.playout.interrupt() == [Cut("a", 200, 500), Cut("b", 0, 200)]
                await stage.pass_ms(1000)
                assert stage.line.heard_ms == pytest.approx(200)
            assert not stage.playout.speaking


@pytest.mark.parametrize("rate", [11_025, 22_050, 44_100])
async def test_rates_whose_milliseconds_are_no_whole_bytes_do_not_drift(rate: int) -> None:
    audio_format = AudioFormat("linear16", rate)
    stage = Stage(LineTraits(format=audio_format))
    async with playing(stage):
        for _ in range(20):
            stage.playout.write("a", bytes(audio_format.sample_bytes * rate))
            await stage.pass_ms(1000)
            assert abs(stage.playout.heard_ms("a") - stage.line.heard_ms) <= 1
        assert stage.playout.heard_ms("a") in {19_999, 20_000}
        assert all(len(message[1]) % 2 == 0 for message in stage.line.messages if message[0] == "media")  # type: ignore[arg-type]


async def test_a_line_that_answers_clear_with_one_event_tells_how_long_its_answers_take() -> None:
    stage = Stage(tells_cleared=True)
    async with playing(stage):
        stage.playout.write("a", bytes(8000))
        await stage.pass_ms(300)
        stage.playout.interrupt()
        stage.playout.write("b", bytes(1600))
        stage.playout.finish("b")
        await stage.pass_ms(200)
        assert not stage.playout._ledger._free_at_clear
        assert stage.happened[-2:] == [("started", "b"), ("heard", "b")]
