"""The caller's audio on its way to the session: as it comes, in order, and with silence where the line sends none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.pipeline.call import Call, in_progress, provider_of
from trunkline.audio import GEMINI_INPUT, GEMINI_OUTPUT, VONAGE, AudioConverter, AudioFormat
from trunkline.pipeline import EventType
from trunkline.realtime.events import SessionRotated
from trunkline.telephony.line import LineTraits

FRAME = 160
QUIET = b"\xff"


class Line(Call):
    """A call in progress whose session tells its audio message by message."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.messages: list[bytes] = []

    async def note(self) -> None:
        take = self.session.send_audio

        async def send_audio(audio: bytes) -> None:
            await take(audio)
            self.messages.append(audio)

        self.session.send_audio = send_audio  # type: ignore[method-assign]


@asynccontextmanager
async def noting(line: Line) -> AsyncIterator[None]:
    async with in_progress(line):
        await line.note()
        yield


async def test_each_frame_is_forwarded_as_it_comes() -> None:
    line = Line()
    async with noting(line):
        for number in range(5):
            line.line.caller_says(bytes([number]) * FRAME)
            await line.pass_ms(0)
            assert line.messages[-1] == bytes([number]) * FRAME
            await line.pass_ms(20)
        assert len(line.messages) == 5


@pytest.mark.parametrize("lag", [0.0012, 0.0025, 0.015])
async def test_lag_of_the_event_loop_adds_no_waiting(lag: float) -> None:
    line = Line()
    async with noting(line):
        line.bridge._uplink.push(b"\x01" * FRAME)
        line.clock._now += lag  # before anybody has their turn
        await line.pass_ms(0)
        assert line.messages == [b"\x01" * FRAME]
        assert line.bridge.metrics().uplink_delay_max_ms <= lag * 1000 + 1e-6


async def test_what_piled_up_during_a_send_goes_in_one_message() -> None:
    line = Line()
    async with noting(line):
        line.session.blocked = anyio.Event()
        for number in range(5):
            line.line.caller_says(bytes([number]) * FRAME)
            await line.pass_ms(20)
        assert line.messages == []
        line.session.blocked.set()
        await line.pass_ms(0)
        assert [len(message) for message in line.messages] == [FRAME, 4 * FRAME]
        assert b"".join(line.messages) == b"".join(bytes([number]) * FRAME for number in range(5))


async def test_a_stalled_vendor_does_not_slow_the_reader_of_the_line() -> None:
    call = Call(buffer_size=5)
    async with in_progress(call):
        call.session.blocked = anyio.Event()
        for number in range(50):
            call.line.caller_says(bytes([number]) * FRAME)
        call.line.press("7")
        call.line.hang_up()
        await call.pass_ms(0)
        assert call.bridge.is_over, "the hang-up was read at once"
        assert call.one(EventType.DTMF).data == {"digit": "7"}
        assert call.bridge.metrics().audio_bytes_dropped >= 40 * FRAME  # five wait, and some went with the first
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "caller_hung_up"}


async def test_the_bytes_of_a_buffer_that_is_used_again_are_kept() -> None:
    call = Call()
    frame = bytearray(FRAME)
    for number in (1, 2, 3):
        frame[:] = bytes([number]) * FRAME
        await call.bridge.send_audio(frame)  # type: ignore[arg-type]
    async with in_progress(call):
        for number in (4, 5):
            frame[:] = bytes([number]) * FRAME
            await call.bridge.send_audio(memoryview(frame))  # type: ignore[arg-type]
        frame.clear()
        await call.pass_ms(0)
        assert bytes(call.session.heard) == b"".join(bytes([number]) * FRAME for number in range(1, 6))


async def test_silence_is_given_when_frames_stop_coming() -> None:
    call = Call()
    async with in_progress(call):
        for _ in range(10):
            call.line.caller_says(b"\x01" * FRAME)
            await call.pass_ms(20)
        assert bytes(call.session.heard) == b"\x01" * 10 * FRAME
        await call.pass_ms(2000)
        filled = bytes(call.session.heard[10 * FRAME :])
        assert set(filled) == {0xFF}, "in the line's own format"
        assert 1600 * 8 <= len(filled) <= 2000 * 8
        call.line.caller_says(b"\x02" * FRAME, timestamp_ms=200 + 2000)
        await call.pass_ms(0)
        total_ms = len(call.session.heard) / 8
        assert abs(total_ms - 2220) <= 25, "the gap in the timestamps is filled once"


async def test_silence_takes_the_place_of_a_gap_in_the_timestamps() -> None:
    call = Call()
    async with in_progress(call):
        call.line.caller_says(b"\x01" * FRAME, timestamp_ms=0)
        call.line.caller_says(b"\x02" * FRAME, timestamp_ms=320)
        await call.pass_ms(0)
        assert bytes(call.session.heard) == b"\x01" * FRAME + QUIET * 300 * 8 + b"\x02" * FRAME


@pytest.mark.parametrize("burst", [1, 5, 20])
async def test_a_line_that_sends_all_its_frames_gets_no_silence(burst: int) -> None:
    call = Call()
    async with in_progress(call):
        for _ in range(100 // burst):
            await call.pass_ms(20 * burst)
            call.line.caller_says(*[b"\x01" * FRAME] * burst)
        await call.pass_ms(0)
        assert bytes(call.session.heard) == b"\x01" * 100 * FRAME


async def test_a_program_that_was_stalled_gets_no_silence() -> None:
    call = Call()
    sleep_until = call.clock.sleep_until

    async def sleep_too_long(moment: float) -> None:
        await sleep_until(moment + 2.5)  # nobody has their turn meanwhile, and frames wait unread

    call.clock.sleep_until = sleep_too_long  # type: ignore[method-assign]
    async with in_progress(call):
        call.line.caller_says(b"\x01" * FRAME)
        await call.pass_ms(3100)
        call.line.caller_says(*[b"\x01" * FRAME] * 150)
        await call.pass_ms(100)
        assert bytes(call.session.heard) == b"\x01" * 151 * FRAME


async def test_audio_that_a_program_gives_ahead_of_time_gets_no_silence_until_it_is_over() -> None:
    call = Call()
    async with in_progress(call):
        await call.bridge.send_audio(b"\x01" * 8000)  # a second at once, as from a file
        await call.pass_ms(1400)
        assert bytes(call.session.heard) == b"\x01" * 8000
        await call.pass_ms(200)
        assert len(call.session.heard) >= 12_000


async def test_no_silence_before_the_first_frame() -> None:
    call = Call()
    async with in_progress(call):
        await call.pass_ms(3000)
        assert call.session.heard == b""


async def test_rotation_to_other_formats_makes_the_converters_anew() -> None:
    call = Call()
    async with in_progress(call):
        call.line.caller_says(b"\x55" * FRAME)
        await call.pass_ms(0)
        assert len(call.session.heard) == FRAME
        call.session.feed(SessionRotated("session-2", GEMINI_INPUT, GEMINI_OUTPUT, "other"))
        await call.pass_ms(0)
        call.line.caller_says(*[b"\x55" * FRAME] * 10)
        await call.pass_ms(0)
        assert len(call.session.heard) - FRAME == pytest.approx(10 * 640, abs=200)
        call.session.answer("Yes.", audio_ms=200)
        await call.pass_ms(500)
        assert call.one(EventType.AGENT_SPEECH_END).data["heard_ms"] == 200
        assert call.bridge.metrics().uplink_delay_ms > 0


class Doubling:
    """A converter of the program's own: half the rate, each sample kept."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def convert(self, audio: bytes, from_: AudioFormat, to: AudioFormat) -> bytes:
        self.sizes.append(len(audio))
        samples = max(1, round(len(audio) / from_.sample_bytes * to.sample_rate / from_.sample_rate))
        return b"\x01" * samples * to.sample_bytes


async def test_a_converter_of_the_program_takes_the_place_of_ours() -> None:
    made: list[Doubling] = []

    def make() -> AudioConverter:
        made.append(Doubling())
        return made[-1]

    provider = provider_of(input_format=GEMINI_OUTPUT, output_format=GEMINI_OUTPUT)
    call = Call(provider, traits=LineTraits(format=VONAGE), converter=make)
    async with in_progress(call):
        call.line.caller_says(bytes(641), bytes(639))  # in the middle of a sample
        await call.pass_ms(0)
        assert set(call.session.heard) == {1}
        assert len(call.session.heard) == 1280 * 3 // 2
        call.session.answer("Yes.", audio_ms=100)
        await call.pass_ms(500)
        assert set(call.line.sent) == {1}
        assert len(call.line.sent) == 3200
    assert len(made) == 2
    assert all(size % 2 == 0 for converter in made for size in converter.sizes)


async def test_the_media_observer_sees_both_directions_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, int]] = []

    def observe(direction: str, audio: bytes) -> None:
        seen.append((direction, len(audio)))
        if len(seen) == 2:
            raise ValueError("no more")

    call = Call(media_observer=observe)
    async with in_progress(call):
        call.line.caller_says(b"\x01" * FRAME)
        await call.pass_ms(0)
        call.session.answer("Yes.", audio_ms=100)
        await call.pass_ms(200)
        call.line.caller_says(b"\x01" * FRAME)
        await call.pass_ms(0)
        assert len(call.session.heard) == 2 * FRAME, "the call goes on"
    assert seen == [("in", FRAME), ("out", 800)]
    assert "media observer failed" in caplog.text
