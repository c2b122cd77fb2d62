"""The line in memory of a bridge without a carrier."""

import anyio

from trunkline.audio import TWILIO, VONAGE
from trunkline.clock import ManualClock
from trunkline.pipeline import BridgeConfig, RealtimeBridge
from trunkline.pipeline.audio_out import AudioOut
from trunkline.testing.fake_provider import FakeProvider


async def test_audio_out_gives_whole_frames_in_order_and_ends() -> None:
    out = AudioOut(TWILIO)
    await out.send_media(bytes([1]) * 320)
    await out.send_media(bytes([2]) * 160)
    out.close()
    assert [frame async for frame in out.read()] == [bytes([1]) * 160, bytes([1]) * 160, bytes([2]) * 160]


async def test_audio_out_that_nobody_reads_keeps_a_second_and_counts_the_rest() -> None:
    out = AudioOut(VONAGE)
    for number in range(100):
        await out.send_media(bytes([number]) * 640)
    out.close()
    frames = [frame async for frame in out.read()]
    assert [frame[0] for frame in frames] == list(range(50, 100))
    assert out.dropped_bytes == 50 * 640


async def test_audio_out_is_emptied_by_a_clear() -> None:
    out = AudioOut(TWILIO)
    await out.send_media(bytes(320))
    await out.clear()
    out.close()
    assert [frame async for frame in out.read()] == []


async def test_bridge_whose_audio_out_nobody_reads_stays_small_and_hears_by_the_clock() -> None:
    clock = ManualClock()
    provider = FakeProvider()
    bridge = RealtimeBridge(BridgeConfig(provider=provider, from_format=VONAGE), clock=clock)
    async with bridge:
        await clock.advance(0.01)
        provider.session.answer("A long one.", audio_ms=5000)
        await clock.advance(6)
        metrics = bridge.metrics()
        assert metrics.agent_speech_duration_ms == 5000
        assert metrics.audio_bytes_dropped == 4000 * 32
        provider.session.answer("Another.", audio_ms=500)
        with anyio.fail_after(5):
            await clock.advance(1)
