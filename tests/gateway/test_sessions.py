"""What an application does to a session, and what a session does by itself when time passes."""

from pathlib import Path

import anyio
import numpy as np
import pytest

from tests.gateway.carrier import FRAME, PlainGateway, fake, until_lost
from trunkline.audio import AudioFormat, wav
from trunkline.clock import ScaledClock
from trunkline.errors import InvalidAudioData, SessionClosed
from trunkline.testing.fake_provider import FakeSession

pytestmark = pytest.mark.anyio


async def obey(session: FakeSession) -> None:
    """Say what is to be said."""
    while True:
        command = await session.next_command()
        if command[0] == "say":
            session.answer(str(command[1]), audio_ms=300)


async def test_sentence_is_said_and_heard_before_the_call_is_closed() -> None:
    async with PlainGateway(realtime_provider=fake(script=obey)) as gateway, gateway.phone() as phone:
        await gateway.until("session_started")
        (session,) = gateway.sessions
        await session.say("Good-bye.")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: session.close("done", after_speech=True))
            assert await until_lost(phone) == 1000
        assert [turn.text for turn in session.transcript()] == ["Good-bye."]
        assert session.metrics().agent_speech_duration_ms == 300
        with pytest.raises(SessionClosed):
            await session.say("Too late.")


async def test_file_is_played_to_its_end(tmp_path: Path) -> None:
    notice = tmp_path / "notice.wav"
    wav.write(notice, AudioFormat("linear16", 16000), np.full(16000 * 300 // 1000, 5000, np.int16))
    async with PlainGateway(clock=ScaledClock(5)) as gateway, gateway.phone():
        await gateway.until("session_started")
        (session,) = gateway.sessions
        with anyio.fail_after(5):
            await session.play(notice)
        assert session.metrics().audio_bytes_sent == pytest.approx(2400, abs=40)
        with pytest.raises(FileNotFoundError):
            await session.play(tmp_path / "other.wav")
        (tmp_path / "text.wav").write_text("no audio")
        with pytest.raises(InvalidAudioData):
            await session.play(tmp_path / "text.wav")


async def test_caller_on_hold_is_not_heard() -> None:
    provider = fake()
    async with PlainGateway(realtime_provider=provider) as gateway, gateway.phone() as phone:
        await gateway.until("session_started")
        (session,) = gateway.sessions
        await session.hold()
        assert session.is_on_hold
        await phone.send(FRAME)
        await provider.session.wait_heard(160)
        assert FRAME not in provider.session.heard
        await session.resume()
        await phone.send(FRAME)
        with anyio.fail_after(5):
            while FRAME not in provider.session.heard:
                await anyio.wait_all_tasks_blocked()


# ── by itself ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("goodbye", ["", "Our time is up."])
async def test_longest_duration_ends_the_call_with_a_goodbye(goodbye: str) -> None:
    clock = ScaledClock(10)
    options = {"goodbye": goodbye} if goodbye else {}
    async with PlainGateway(
        realtime_provider=fake(script=obey), max_session_duration=5, clock=clock, **options
    ) as gateway:
        async with gateway.phone() as phone:
            assert await until_lost(phone) == 1000
        await gateway.until_empty()
        assert gateway.reasons() == ["max_duration"]
        assert [turn.text for turn in gateway.sessions[0].transcript()] == [goodbye] * bool(goodbye)


async def test_silent_caller_is_asked_and_then_hung_up() -> None:
    clock = ScaledClock(20)
    async with PlainGateway(
        realtime_provider=fake(script=obey),
        idle_timeout=5,
        idle_prompt="Are you there?",
        goodbye="Good-bye.",
        clock=clock,
    ) as gateway:
        async with gateway.phone() as phone:
            assert await until_lost(phone) == 1000
        await gateway.until_empty()
        assert gateway.reasons() == ["idle"]
        words = [turn.text for turn in gateway.sessions[0].transcript()]
        assert words == ["Are you there?", "Are you there?", "Good-bye."]


async def test_caller_who_answers_is_not_hung_up() -> None:
    clock = ScaledClock(20)
    async with PlainGateway(
        realtime_provider=fake(script=obey),
        idle_timeout=5,
        idle_prompt="Are you there?",
        max_idle_prompts=1,
        clock=clock,
    ) as gateway:
        async with gateway.phone() as phone:
            for count in (1, 2, 3):
                await gateway.until("agent_speech_end", count)
                await phone.send("key 1")
            await phone.send("stop")
        await gateway.until_empty()
        assert gateway.reasons() == ["caller_hung_up"]


async def test_nobody_is_idle_on_hold_or_while_the_agent_speaks() -> None:
    clock = ScaledClock(20)
    provider = fake()
    async with PlainGateway(realtime_provider=provider, idle_timeout=10, media_timeout=None, clock=clock) as gateway:
        async with gateway.phone() as phone, anyio.create_task_group() as tasks:
            tasks.start_soon(until_lost, phone)
            await gateway.until("session_started")
            provider.session.answer("A long story.", audio_ms=20_000)
            await gateway.until("agent_speech_end")
            await gateway.sessions[0].hold()
            await clock.sleep_until(clock.now() + 25)
            assert gateway.sessions[0].is_active, gateway.reasons()
            await gateway.sessions[0].resume()
        await gateway.until_empty()
        assert gateway.reasons() == ["idle"]


async def test_line_without_audio_is_hung_up() -> None:
    async with PlainGateway(media_timeout=4, clock=ScaledClock(10)) as gateway:
        async with gateway.phone() as phone:
            assert await until_lost(phone) == 1000
        await gateway.until_empty()
        assert gateway.reasons() == ["media_timeout"]
