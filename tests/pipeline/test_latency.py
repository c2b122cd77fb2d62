"""Receipts: where the milliseconds of each answer went."""

import anyio
import pytest

from tests.pipeline.call import Call, in_progress, says
from trunkline.clock import ManualClock
from trunkline.pipeline.latency import LatencyTracker
from trunkline.realtime.events import ResponseFinished, ResponseStarted, SpeechStarted, SpeechStopped, ToolCallRequested


async def test_every_answer_has_a_receipt() -> None:
    call = Call(greeting="Hello.")
    async with in_progress(call):
        await call.pass_ms(90)
        call.session.feed(*says("a1", "Hello.", 100))
        await call.pass_ms(500)
        await call.bridge.send_text("hi")
        await call.pass_ms(200)
        call.session.feed(*says("a2", "Hi.", 100, "r2"))
        await call.pass_ms(500)
        call.session.feed(SpeechStarted("u1", 0), SpeechStopped("u1", 0))
        await call.pass_ms(300)
        call.session.feed(*says("a3", "Yes.", 100, "r3"))
        await call.pass_ms(500)
        call.session.feed(ResponseStarted("r4"))
        await call.pass_ms(50)
        call.session.feed(*says("a4", "Still there?", 100, "r4")[1:])
        await call.pass_ms(500)
        metrics = call.bridge.metrics()
    told = [(receipt.item_id, receipt.trigger, receipt.playout_ms) for receipt in metrics.receipts]
    assert told == [("a1", "greeting", 100), ("a2", "text", 200), ("a3", "speech", 300), ("a4", "agent", 50)]
    assert [receipt.mark_ms - receipt.playout_ms for receipt in metrics.receipts if receipt.mark_ms] == [100] * 4
    assert metrics.avg_total_latency_ms == 300, "the means are of answers to the caller's speech"


async def test_tool_time_and_the_wait_for_the_end_of_speech_are_told_apart() -> None:
    release = anyio.Event()

    async def look_up() -> str:
        await release.wait()
        return "found"

    call = Call(tools=[look_up])
    async with in_progress(call):
        for _ in range(50):
            call.line.caller_says(bytes(160))
            await call.pass_ms(20)
        call.session.feed(SpeechStarted("u1", 0), SpeechStopped("u1", 500))
        await call.pass_ms(100)
        call.session.feed(ResponseStarted("r1"), ToolCallRequested("c1", "look_up", "{}", "r1"), ResponseFinished("r1"))
        await call.pass_ms(400)
        release.set()
        await call.pass_ms(150)
        call.session.feed(*says("a1", "Found.", 100, "r2"))
        await call.pass_ms(200)
        (receipt,) = call.bridge.metrics().receipts
    assert (receipt.trigger, receipt.provider_ms, receipt.tool_ms) == ("speech", 650, 400)
    assert receipt.endpointing_ms == 500, "1,000 ms were sent, and the speech ended at 500"
    assert receipt.uplink_ms == 0


async def test_an_answer_after_words_and_a_tool_counts_from_the_tool() -> None:
    def look_up() -> str:
        return "found"

    call = Call(tools=[look_up])
    async with in_progress(call):
        await call.bridge.send_text("hi")
        request = ToolCallRequested("c1", "look_up", "{}", "r1")
        call.session.feed(*says("a1", "Let me see.", 100)[:-1], request, ResponseFinished("r1"))
        await call.pass_ms(400)
        call.session.feed(*says("a2", "Found.", 100, "r2"))
        await call.pass_ms(300)
        first, second = call.bridge.metrics().receipts
    assert (first.trigger, second.trigger, second.playout_ms) == ("text", "tool", 400)


async def test_parallel_tools_count_once() -> None:
    clock = ManualClock()
    tracker = LatencyTracker(clock)
    tracker.asked("speech", uplink_ms=12.4)
    tracker.tool_started("c1")
    await clock.advance(0.1)
    tracker.tool_started("c2")
    await clock.advance(0.2)
    tracker.tool_ended("c1")
    await clock.advance(0.3)
    tracker.tool_ended("c2")
    tracker.tool_ended("c2")
    await clock.advance(0.1)
    tracker.first_audio("a1")
    assert tracker.first_sent("a1") == 700
    assert tracker.first_sent("a1") is None, "the later items of an answer have no receipt"
    (receipt,) = tracker.receipts
    assert (receipt.tool_ms, receipt.uplink_ms, receipt.provider_ms) == (600, 12, 700)
    assert receipt.to_json()["trigger"] == "speech"


@pytest.mark.parametrize("marked", [True, False])
async def test_an_answer_that_was_interrupted_before_it_was_sent_has_no_receipt(*, marked: bool) -> None:
    tracker = LatencyTracker(ManualClock())
    tracker.asked("speech")
    tracker.first_audio("a1")
    tracker.interrupted()
    if marked:
        tracker.mark_returned()
    assert tracker.first_sent("a1") is None
    assert tracker.receipts == ()
