"""A recording holds what was said and heard, at its time, and nothing else."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.gateway.carrier import PlainGateway, fake
from trunkline.audio import TWILIO, VONAGE, AudioFormat, convert, wav
from trunkline.clock import ManualClock, ScaledClock
from trunkline.gateway.recording import Recording

pytestmark = pytest.mark.anyio

LOUD = 1000
FRAME = convert(np.full(160, 8000, np.int16), AudioFormat("linear16", 8000), TWILIO)


async def settle() -> None:
    """Let the thread that writes finish."""
    for _ in range(3):
        await anyio.to_thread.run_sync(lambda: None)


@asynccontextmanager
async def recording(
    directory: Path, clock: ManualClock, audio_format: AudioFormat = TWILIO
) -> AsyncIterator[Recording]:
    async with anyio.create_task_group() as tasks:
        result = Recording(directory, "CA/1", audio_format, clock=clock)
        tasks.start_soon(result.run)
        yield result
        await result.finish()


def sides(path: Path | None) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    assert path is not None
    audio_format, audio = wav.read(path)
    assert audio_format.channels == 2
    stereo = np.frombuffer(audio, np.int16).reshape(-1, 2)
    return stereo[:, 0], stereo[:, 1]


def loud(side: NDArray[np.int16], rate: int = 8000) -> list[tuple[int, int]]:
    """From when to when there is sound, in milliseconds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (np.abs(side) > LOUD).astype(int), [0]))))
    return [(round(a * 1000 / rate), round(b * 1000 / rate)) for a, b in edges.reshape(-1, 2)]


async def test_both_sides_stand_where_they_were_heard(tmp_path: Path) -> None:
    clock = ManualClock()
    async with recording(tmp_path, clock) as result:
        await clock.advance(0.5)
        for number in range(10):
            result.caller_audio(FRAME, number * 20)
            await clock.advance(0.02)
        result.agent_audio(FRAME * 20, clock.now() + 0.1)
        await clock.advance(2)
    caller, agent = sides(result.path)
    assert loud(caller) == [(480, 680)]
    assert loud(agent) == [(800, 1200)]
    assert len(caller) == pytest.approx(2.7 * 8000, abs=1)


async def test_audio_that_was_cut_was_not_heard(tmp_path: Path) -> None:
    clock = ManualClock()
    async with recording(tmp_path, clock) as result:
        result.agent_audio(FRAME * 10, 0.0)
        result.agent_audio(FRAME * 10, 0.2)
        await clock.advance(0.15)
        result.agent_cut(250 * 8)
        result.agent_audio(FRAME * 5, 1.0)
        await clock.advance(2)
    assert loud(sides(result.path)[1]) == [(0, 150), (1000, 1100)]


async def test_audio_that_was_not_heard_before_the_end_is_not_in_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with recording(tmp_path, clock) as result:
        result.agent_audio(FRAME * 20, 0.0)
        await clock.advance(0.1)
    assert loud(sides(result.path)[1]) == [(0, 100)]


async def test_timestamps_decide_where_the_program_was_late_and_nonsense_of_theirs_does_not(tmp_path: Path) -> None:
    clock = ManualClock()
    async with recording(tmp_path, clock) as result:
        result.caller_audio(FRAME, 1000)
        await clock.advance(3)
        for timestamp_ms in (1020, 1040, 2000):  # read late, and one gap of the carrier's
            result.caller_audio(FRAME, timestamp_ms)
        await clock.advance(1)
        result.caller_audio(FRAME, 9_000_000)
        await clock.advance(0.02)
        result.caller_audio(FRAME, 9_000_020)
        await clock.advance(1)
    assert loud(sides(result.path)[0]) == [(0, 60), (1000, 1020), (3980, 4020)]


async def test_audio_without_timestamps_is_placed_by_the_clock(tmp_path: Path) -> None:
    clock = ManualClock()
    frame = np.full(320, 8000, np.int16).tobytes()
    async with recording(tmp_path, clock, VONAGE) as result:
        for _ in range(5):
            await clock.advance(0.02)
            result.caller_audio(frame, None)
        await clock.advance(1.02)
        result.caller_audio(frame, None)
        await clock.advance(0.1)
    spans = loud(sides(result.path)[0], 16000)
    assert spans == [(0, 100), (1100, 1120)]


async def test_pause_records_silence_of_both_sides(tmp_path: Path) -> None:
    clock = ManualClock()
    async with recording(tmp_path, clock) as result:
        for number in range(100):
            if number == 30:
                result.pause()
                result.pause()
            if number == 60:
                result.resume()
            result.caller_audio(FRAME, number * 20)
            result.agent_audio(FRAME, clock.now())
            await clock.advance(0.02)
        result.pause()
        await clock.advance(7)
        await settle()
    caller, agent = sides(result.path)
    assert loud(caller) == loud(agent) == [(0, 600), (1200, 2000)]


async def test_an_hour_does_not_drift_and_is_not_kept_in_memory(tmp_path: Path) -> None:
    clock = ManualClock()
    minutes = 60
    async with recording(tmp_path, clock) as result:
        for minute in range(minutes):
            result.caller_audio(FRAME, minute * 60_000)
            result.agent_audio(FRAME, clock.now())
            for _ in range(60):
                await clock.advance(1)
            await settle()
            assert len(result._caller.pieces) + len(result._agent.pieces) <= 4
        result.caller_audio(FRAME, minutes * 60_000)
        await clock.advance(1)
    caller, agent = sides(result.path)
    assert [start for start, _ in loud(caller)] == [minute * 60_000 for minute in range(61)]
    assert [start for start, _ in loud(agent)] == [minute * 60_000 for minute in range(60)]


async def test_file_is_its_owners_alone_and_replaces_none(tmp_path: Path) -> None:
    clock = ManualClock()
    directory = tmp_path / "calls"
    paths = []
    for _ in range(2):
        async with recording(directory, clock) as result:
            await clock.advance(0)
        paths.append(result.path)
    assert [path.name for path in paths if path] == ["20260101T000000Z-CA_1.wav", "20260101T000000Z-CA_1-2.wav"]
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths if path] == [0o600, 0o600]


# ── in a gateway ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_call_is_recorded_with_what_the_caller_heard(tmp_path: Path) -> None:
    clock = ScaledClock(5)
    provider = fake()
    async with PlainGateway(realtime_provider=provider, recording_dir=str(tmp_path), clock=clock) as gateway:
        async with gateway.phone() as phone:
            await gateway.until("session_started")
            (session,) = gateway.sessions
            await phone.send(FRAME * 5)
            provider.session.answer("A long story.", audio=FRAME * 200)
            await gateway.until("agent_speech_start")
            await clock.sleep_until(clock.now() + 1)
            await session.interrupt()
            await phone.send("stop")
        await gateway.until("session_ended")
        await gateway.until_empty()
        (cut,) = [event.data for event in gateway.events if event.type == "interruption"]
        caller, agent = sides(session.recording)
        assert sum(end - start for start, end in loud(caller)) == 100
        assert sum(end - start for start, end in loud(agent)) == pytest.approx(cut["heard_ms"], abs=2)
    assert session.recording is not None
    assert session.recording.parent == tmp_path


async def test_recording_can_be_paused_and_is_off_unless_asked_for(tmp_path: Path) -> None:
    clock = ScaledClock(5)
    async with PlainGateway(recording_dir=tmp_path, clock=clock) as gateway:
        async with gateway.phone() as phone:
            await gateway.until("session_started")
            gateway.sessions[0].pause_recording()
            await phone.send(FRAME * 5)
            await phone.send("key 1")
            await gateway.until("dtmf")
            gateway.sessions[0].resume_recording()
            await phone.send("stop")
        await gateway.until_empty()
        assert loud(sides(gateway.sessions[0].recording)[0]) == []
    async with PlainGateway() as gateway, gateway.phone():
        await gateway.until("session_started")
        gateway.sessions[0].pause_recording()
        gateway.sessions[0].resume_recording()
        assert gateway.sessions[0].recording is None


async def test_disk_that_fails_does_not_end_the_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    async with PlainGateway(recording_dir=tmp_path / "file") as gateway, gateway.phone() as phone:
        await gateway.until("session_started")
        await phone.send(FRAME)
        with anyio.fail_after(5):
            while "a recording failed" not in caplog.text:
                await anyio.wait_all_tasks_blocked()
        assert gateway.sessions[0].is_active
        assert gateway.sessions[0].recording is None
