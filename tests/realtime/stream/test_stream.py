"""Audio in, answers and words out, over a session that the test feeds."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.realtime.stream.source import Source, make_provider, read_all, until_quiet
from trunkline.audio import OPENAI, TWILIO, AudioFormat, StreamConverter
from trunkline.clock import ManualClock
from trunkline.errors import AuthFailed, ConnectionFailed, SessionClosed
from trunkline.realtime import AudioChunk, ProcessConfig, Transcript
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionRotated,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.testing.fake_provider import BAREST, FakeProvider


@pytest.fixture
def source() -> Any:
    made = Source()
    yield made
    made.close()


def test_a_chunk_in_both_spellings() -> None:
    assert AudioChunk(bytes(4800)).duration_ms == 100
    assert AudioChunk(bytes(3200), True, 16000).duration_ms == 100
    told = AudioChunk(data=b"1234", duration_ms=100, is_final=False)
    assert (told.audio, told.duration_ms, told.is_final, told.sample_rate) == (b"1234", 100, False, 24000)


def test_who_said_a_transcript() -> None:
    assert Transcript("hi", is_input=True, is_final=True).role == "user"
    assert Transcript("hi", is_input=False, is_final=True, item_id="i").role == "agent"


async def test_a_turn_and_its_end(source: Source) -> None:
    clock, provider = ManualClock(), make_provider()
    async with provider.process_audio_stream(source, clock=clock) as stream:
        source.give(b"ab", b"cd")
        await until_quiet()
        assert provider.session.heard == b"abcd"
        provider.session.feed(
            SpeechStarted("u"),
            SpeechStopped("u"),
            ResponseStarted("r"),
            AudioReceived(b"xx", "i", "r"),
            AgentTranscript("Hello", False, "i", "r"),
        )
        await until_quiet()
        source.end()
        await clock.advance(20)  # an answer that runs is waited for
        provider.session.feed(
            UserTranscript("Hi.", True, "u"),
            AudioReceived(b"yy", "i", "r"),
            AgentTranscript("Hello.", True, "i", "r"),
            ResponseFinished("r"),
        )
        await clock.advance(1.1)
        assert await read_all(stream) == [AudioChunk(b"xx"), AudioChunk(b"yy"), AudioChunk(b"", is_final=True)]
        assert [line async for line in stream.transcripts] == [
            Transcript("Hello", False, False, "i"),
            Transcript("Hi.", True, True, "u"),
            Transcript("Hello.", False, True, "i"),
        ]
        assert (stream.stats.sent_bytes, stream.stats.received_bytes) == (4, 4)
    assert provider.running == 0


async def test_the_words_can_be_read_when_all_is_over(source: Source) -> None:
    provider = make_provider()
    async with provider.process_audio_stream(source) as stream:
        provider.session.feed(
            *(UserTranscript(f"{n}", True, "u") for n in range(5000)), SessionEnded("closed_by_vendor")
        )
        assert await read_all(stream) == []
    assert len([line async for line in stream.transcripts]) == 5000


async def test_an_answer_that_is_expected_is_waited_for(source: Source) -> None:
    clock, provider = ManualClock(), make_provider()
    async with provider.process_audio_stream(source, clock=clock) as stream:
        await until_quiet()
        provider.session.feed(SpeechStarted("u"), SpeechStopped("u"))
        source.end()
        await clock.advance(4.9)
        provider.session.feed(ResponseStarted("r"), AudioReceived(b"xx", "i", "r"), ResponseFinished("r"))
        await clock.advance(1.1)
        assert [chunk.data for chunk in await read_all(stream)] == [b"xx", b""]


async def test_who_is_still_speaking_when_the_input_ends_is_followed_by_silence(source: Source) -> None:
    clock, provider = ManualClock(), make_provider()
    async with provider.process_audio_stream(source, clock=clock) as stream:
        source.give(b"\x01\x01")
        await until_quiet()
        provider.session.feed(SpeechStarted("u"))
        source.end()
        await clock.advance(0.35)
        assert provider.session.heard == b"\x01\x01" + OPENAI.silence(400)
        provider.session.feed(SpeechStopped("u"))
        await clock.advance(5.1)
        assert await read_all(stream) == []
        assert provider.session.heard == b"\x01\x01" + OPENAI.silence(400)


async def test_a_model_that_is_never_done_is_not_waited_for_longer_than_that(source: Source) -> None:
    clock, provider = ManualClock(), make_provider()
    async with provider.process_audio_stream(source, clock=clock, drain_timeout=10) as stream:
        await until_quiet()
        provider.session.feed(ResponseStarted("r"), AudioReceived(b"xx", "i", "r"))
        source.end()
        await clock.advance(9.9)
        assert not provider.session.closed
        await clock.advance(0.2)
        assert [chunk.data for chunk in await read_all(stream)] == [b"xx"]


async def test_a_slow_reader_makes_the_session_wait_and_loses_nothing(source: Source) -> None:
    clock, provider = ManualClock(), make_provider()
    sent = [bytes([n]) * 4800 for n in range(50)]
    async with provider.process_audio_stream(source, buffer_ms=1000, drain_timeout=5, clock=clock) as stream:
        await until_quiet()
        provider.session.feed(ResponseStarted("r"), *(AudioReceived(audio, "i", "r") for audio in sent))
        provider.session.feed(ResponseFinished("r"))
        source.end()
        await until_quiet()
        assert stream.stats.received_bytes == 11 * 4800  # ten chunks of 100 ms wait, with one at the door
        await clock.advance(60)  # what the reader takes is not the model's time
        assert not provider.session.closed
        got: list[AudioChunk] = []
        with anyio.fail_after(5):
            while len(got) < 51:
                got.append(await anext(stream.audio))
        await clock.advance(1.1)
        assert await read_all(stream) == []
    assert b"".join(chunk.data for chunk in got) == b"".join(sent)
    assert stream.stats.interrupted_bytes == 0


async def test_a_session_that_takes_nothing_makes_the_source_wait(source: Source) -> None:
    provider, taken = make_provider(), 0

    async def audio() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < 100:
            taken += 1
            yield bytes(4800)

    async with provider.process_audio_stream(audio(), buffer_ms=1000) as stream:
        provider.session.blocked = anyio.Event()
        await until_quiet()
        assert taken == 12  # one is being sent, ten wait, one is at the door
        provider.session.blocked.set()
        await until_quiet()
        assert stream.stats.sent_bytes == 480000


async def test_the_source_is_heard_while_the_session_is_being_opened(source: Source) -> None:
    provider = make_provider()
    provider.hangs = True
    with anyio.move_on_after(30) as scope:
        async with anyio.create_task_group() as tasks:

            async def enter() -> None:
                async with provider.process_audio_stream(source):
                    raise AssertionError("opened")

            tasks.start_soon(enter)
            source.give(*([b"ab"] * 100))
            await until_quiet()
            source.give(*([b"ab"] * 100))  # raises if nobody took the first hundred
            scope.cancel()
    assert scope.cancelled_caught


async def test_other_formats_are_converted_both_ways(source: Source) -> None:
    provider = make_provider()
    voice = bytes(range(256)) * 10
    pcm = bytes(48000)
    config = ProcessConfig(input_format=TWILIO, output_format=TWILIO)
    async with provider.process_audio_stream(source, config) as stream:
        source.give(voice)
        await until_quiet()
        assert provider.session.config.input_format == TWILIO
        assert provider.session.heard == StreamConverter(TWILIO, OPENAI).convert(voice)
        source.end()
        await until_quiet()
        assert len(provider.session.heard) == len(voice) * 6  # to the last sample
        provider.session.feed(AudioReceived(pcm, "i", "r"), ResponseFinished("r"), SessionEnded("closed_by_vendor"))
        got = await read_all(stream)
        assert len(b"".join(chunk.data for chunk in got)) == 8000
        assert sum(chunk.duration_ms for chunk in got) == 1000
        assert got[-1].is_final
        assert got[-1].data


async def test_what_an_interruption_left_unread_is_dropped_and_counted(source: Source) -> None:
    provider = make_provider()
    async with provider.process_audio_stream(source) as stream:
        provider.session.feed(ResponseStarted("r"), AudioReceived(b"xxxx", "i", "r"))
        assert (await anext(stream.audio)).data == b"xxxx"
        provider.session.feed(AudioReceived(b"yyyy", "i", "r"), Interrupted("r"), ResponseFinished("r", "cancelled"))
        provider.session.feed(SessionEnded("closed_by_vendor"))
        await until_quiet()
        assert await read_all(stream) == [AudioChunk(b"", is_final=True)]
        assert stream.stats.interrupted_bytes == 4


async def test_an_error_is_raised_once_after_the_audio(source: Source) -> None:
    provider, error = make_provider(), ConnectionFailed("the line broke")
    async with provider.process_audio_stream(source) as stream:
        provider.session.feed(AudioReceived(b"xx", "i", "r"), ErrorReported(AuthFailed("survived")))
        provider.session.die(error)
        assert (await anext(stream.audio)).data == b"xx"
        with pytest.raises(ConnectionFailed) as told:
            await anext(stream.audio)
        assert told.value is error
        assert await read_all(stream) == []
        assert [line async for line in stream.transcripts] == []
        assert stream.error is error
        assert stream.stats.errors == 2


async def test_an_error_of_the_source_reaches_the_reader() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"ab"
        raise OSError("the microphone is gone")

    provider = make_provider()
    async with provider.process_audio_stream(broken()) as stream:
        with pytest.raises(OSError, match="microphone"):
            await anext(stream.audio)
        assert provider.session.heard == b"ab"


async def test_a_refusal_is_raised_where_the_stream_is_opened(source: Source) -> None:
    with pytest.raises(AuthFailed):
        async with make_provider(failures=[AuthFailed("no")]).process_audio_stream(source):
            raise AssertionError("opened")


async def test_what_the_block_raises_comes_out_as_it_is(source: Source) -> None:
    provider = make_provider()
    with pytest.raises(KeyError, match="mine"):
        async with provider.process_audio_stream(source):
            raise KeyError("mine")
    group = ExceptionGroup("mine", [ValueError("x")])
    with pytest.raises(ExceptionGroup) as told:
        async with provider.process_audio_stream(source):
            raise group
    assert told.value is group
    assert provider.running == 0


async def test_leaving_early_ends_everything() -> None:
    closed = False

    async def endless() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            while True:
                yield b"ab"
        finally:
            closed = True

    provider = make_provider()
    async with provider.process_audio_stream(endless(), buffer_ms=1) as stream:
        provider.session.blocked = anyio.Event()
        provider.session.feed(AudioReceived(b"xx", "i", "r"))
        assert (await anext(stream.audio)).data == b"xx"
        await until_quiet()  # the source waits for room
    assert closed
    assert provider.running == 0
    assert await read_all(stream) == []


async def test_the_session_underneath(source: Source) -> None:
    provider = make_provider()
    async with provider.process_audio_stream(source) as stream:
        with pytest.raises(SessionClosed):
            _ = stream.session
        await until_quiet()
        await stream.session.send_text("hi")
        assert provider.session.commands == [("text", "hi")]


async def test_cancelled_at_every_await(source: Source) -> None:
    """The n-th time that anything waits, all of it is cancelled: nothing may be left, whatever n is."""
    for patience in range(12):
        provider = make_provider()
        source.give(b"ab", b"cd")
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def use(provider: FakeProvider = provider) -> None:
                    async with provider.process_audio_stream(source) as stream:
                        provider.session.feed(ToolCallRequested("c", "t", "{}", "r"), AudioReceived(b"xx", "i", "r"))
                        await anext(stream.audio)
                        await anext(stream.transcripts)

                tasks.start_soon(use)
                for _ in range(patience):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        assert provider.running == 0


async def test_two_hundred_streams_leave_nothing() -> None:
    async def audio() -> AsyncIterator[bytes]:
        yield b"ab"

    provider = make_provider()
    for _ in range(200):
        async with provider.process_audio_stream(audio()) as stream:
            provider.session.feed(AudioReceived(b"xx", "i", "r"))
            assert (await anext(stream.audio)).data == b"xx"
    assert (provider.opened, provider.running) == (200, 0)
    await until_quiet()


def bare_provider() -> FakeProvider:
    return make_provider(capabilities=BAREST)


async def test_end_of_the_answer_is_found_where_the_vendor_reports_no_speech(source: Source) -> None:
    clock, provider = ManualClock(), bare_provider()
    async with provider.process_audio_stream(source, clock=clock) as stream:
        source.give(b"\x01\x01")
        await until_quiet()
        source.end()
        await clock.advance(0.45)
        assert provider.session.heard == b"\x01\x01" + OPENAI.silence(
            500
        )  # so that the vendor notices that the user has ended
        provider.session.feed(ResponseStarted("r"), AudioReceived(b"xx", "i", "r"))
        await clock.advance(9)
        assert provider.session.heard == b"\x01\x01" + OPENAI.silence(500)  # it has noticed
        provider.session.feed(AudioReceived(b"yy", "i", "r"), ResponseFinished("r"))
        await clock.advance(1.1)
        assert [chunk.data for chunk in await read_all(stream)] == [b"xx", b"yy", b""]
    assert stream.stats.sent_bytes == 2


async def test_vendor_that_reports_no_speech_and_never_answers_is_given_five_seconds(source: Source) -> None:
    clock, provider = ManualClock(), bare_provider()
    async with provider.process_audio_stream(source, clock=clock) as stream:
        source.give(b"\x01\x01")
        await until_quiet()
        source.end()
        await clock.advance(4.8)
        assert not provider.session.closed
        await clock.advance(0.4)
        assert await read_all(stream) == []


async def test_formats_of_a_session_that_replaces_another_are_converted(source: Source) -> None:
    provider = make_provider()
    pcm_8k = AudioFormat("linear16", 8000)
    async with provider.process_audio_stream(source) as stream:
        source.give(bytes(4800))
        await until_quiet()
        provider.session.feed(SessionRotated("s2", pcm_8k, pcm_8k, "fake"))
        provider.session.feed(AudioReceived(bytes(1600), "i", "r"), ResponseFinished("r"))
        source.give(bytes(4800))
        await until_quiet()
        source.end()
        await until_quiet()
        assert provider.session.heard_bytes == 4800 + 1600
        provider.session.feed(SessionEnded("closed_by_vendor"))
        assert sum(chunk.duration_ms for chunk in await read_all(stream)) == 100
        assert stream.stats.received_bytes == 4800
