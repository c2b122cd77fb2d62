"""The figures of a call."""

import json
from datetime import timedelta

import pytest

from tests.pipeline.call import Call, in_progress, provider_of, says
from trunkline.audio import GEMINI_INPUT, GEMINI_OUTPUT
from trunkline.pipeline import EventType
from trunkline.realtime.events import AgentTranscript
from trunkline.testing.fake_provider import FakeSession


async def test_duration_is_a_timedelta_and_everything_is_json() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "Yes.", 100))
        await call.pass_ms(2990)
    metrics = call.bridge.metrics()
    assert metrics.duration == timedelta(milliseconds=metrics.session_duration_ms) == timedelta(seconds=3)
    values = json.loads(json.dumps(metrics.to_json()))
    assert values["agent_turn_count"] == 1
    assert values["receipts"][0]["item_id"] == "a1"
    assert values["tools"]["calls"] == 0


async def test_audio_that_the_session_dropped_is_counted_also_after_the_end() -> None:
    call = Call()
    async with in_progress(call):
        assert call.bridge.metrics().audio_bytes_dropped == 0
        call.session.dropped_bytes = 320  # type: ignore[attr-defined] # as a session that connects anew has it
        assert call.bridge.metrics().audio_bytes_dropped == 320
    assert call.bridge.metrics().audio_bytes_dropped == 320
    assert not hasattr(FakeSession, "dropped_bytes"), "the contract does not ask for it"


async def test_dropped_pieces_of_transcripts_are_counted() -> None:
    call = Call()
    async with in_progress(call):
        call.bridge._log._max_pieces = 3
        call.session.feed(*says("a1", "", 100)[:1])
        call.session.feed(*[AgentTranscript("word ", False, "a1", "r1")] * 10)
        await call.pass_ms(0)
        assert call.bridge.metrics().events_dropped == 7


@pytest.mark.parametrize("converts", [False, True])
async def test_the_delay_added_in_each_direction_is_reported(*, converts: bool) -> None:
    call = Call(provider_of(input_format=GEMINI_INPUT, output_format=GEMINI_OUTPUT)) if converts else Call()
    async with in_progress(call):
        for _ in range(10):
            call.line.caller_says(bytes(160))
            await call.pass_ms(20)
        call.session.answer("Yes.", audio_ms=200)
        await call.pass_ms(500)
        metrics = call.bridge.metrics()
    up, down = metrics.uplink_delay_ms, metrics.downlink_delay_ms
    assert (up, down) == (0, 0) if not converts else (0 < up <= 4 and 0 < down <= 4)
    assert metrics.uplink_delay_max_ms == pytest.approx(up)
    assert call.one(EventType.SESSION_STARTED).data["passes_through"] is not converts
