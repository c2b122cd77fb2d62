"""The suite that every engine of speech to text passes, ours and yours.

    class TestMyEngine(SpeechToTextSuite):
        troubles = {SttTrouble.DROP, SttTrouble.WRONG_KEY}

        def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
            return my_vendor_on_loopback(transcripts)

Under pytest the class is collected like any other, with anyio's plugin, on every event loop that your `anyio_backend` fixture names. A check
of what the engine or its vendor cannot do is skipped and says so.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from unittest import SkipTest

import anyio
import anyio.lowlevel

from trunkline.audio import TWILIO, AudioFormat
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    InvalidConfig,
    ProviderUnavailable,
    RateLimited,
    SessionClosed,
)
from trunkline.stt.provider import SttSession
from trunkline.testing.suites.cancellation import cut_at
from trunkline.testing.suites.stt_stage import SttTrouble, SttVendor, said, say, until
from trunkline.wire.stt.events import (
    ErrorReported,
    SessionEnded,
    SpeechStarted,
    SpeechStopped,
    SttEvent,
    Transcript,
    TurnEndLikely,
    TurnResumed,
)

LINE = TWILIO
SENTENCE = "when do you open"
SECOND = "and on sunday"


class SpeechToTextSuite:
    """Subclass it, say what its vendor can suffer, and write `vendor`.

    Attributes:
        troubles: What your vendor can be made to suffer by `SttVendor.inflict`.
        patience: Seconds that one check may take.
        partial_after_ms: How much speech makes words come before the end of an utterance; None where the vendor on loopback tells none.
    """

    troubles: Collection[SttTrouble] = ()
    patience: float = 20.0
    partial_after_ms: int | None = 1200

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        """A vendor that hears these utterances, one after the other, whatever is said."""
        raise NotImplementedError

    @asynccontextmanager
    async def stage(self, *transcripts: str, inflict: SttTrouble | None = None) -> AsyncIterator[SttVendor]:
        """A vendor for one check; at the end nothing of it may be open."""
        if inflict is not None and inflict not in self.troubles:
            raise SkipTest(f"the vendor cannot be made to suffer {inflict}")
        with anyio.fail_after(self.patience):
            async with self.vendor(transcripts) as vendor:
                if inflict is not None:
                    vendor.inflict(inflict)
                yield vendor
                await vendor.stt.aclose()
                await vendor.stt.aclose()
                while vendor.open_sessions:
                    await anyio.lowlevel.checkpoint()

    # ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_utterance_ends_in_one_final_transcript(self) -> None:
        async with self.stage(SENTENCE) as vendor, vendor.stt.connect(LINE) as session:
            await say(session)
            assert (await self._next_final(session)).text == SENTENCE
            await session.aclose()
            events = await until(session, SessionEnded)
            assert not [event for event in events if isinstance(event, Transcript)]

    async def test_two_utterances_come_in_their_order(self) -> None:
        async with self.stage(SENTENCE, SECOND) as vendor, vendor.stt.connect(LINE) as session:
            await say(session)
            first = await self._next_final(session)
            await say(session)
            second = await self._next_final(session)
            assert (first.text, second.text) == (SENTENCE, SECOND)
            assert first.stable == len(SENTENCE)

    async def test_every_line_format_is_heard(self) -> None:
        for line in (AudioFormat("mulaw", 8_000), AudioFormat("alaw", 8_000), AudioFormat("linear16", 16_000)):
            async with self.stage(SENTENCE) as vendor, vendor.stt.connect(line) as session:
                assert session.input_format == line
                await say(session)
                assert (await self._next_final(session)).text == SENTENCE

    async def test_audio_of_two_speakers_is_refused(self) -> None:
        async with self.stage() as vendor:
            try:
                async with vendor.stt.connect(AudioFormat("linear16", 16_000, 2)):
                    raise AssertionError("stereo was taken")
            except InvalidConfig as error:
                assert error.field == "audio_format"

    async def test_words_come_while_the_caller_speaks(self) -> None:
        if self.partial_after_ms is None:
            raise SkipTest("the vendor on loopback tells no words before the end")
        async with self.stage(SENTENCE) as vendor, vendor.stt.connect(LINE) as session:
            if not session.capabilities.streams:
                raise SkipTest("the engine does not stream")
            await say(session)
            partials = [event for event in await self._up_to_final(session) if isinstance(event, Transcript)]
            assert len(partials) > 1
            assert all(SENTENCE.startswith(partial.text) for partial in partials)
            assert all(not partial.is_final and partial.stable <= len(partial.text) for partial in partials[:-1])

    async def test_silence_gives_no_words(self) -> None:
        async with self.stage(SENTENCE) as vendor, vendor.stt.connect(LINE) as session:
            for frame in said(LINE, speech_ms=0, silence_ms=2000):
                await session.send_audio(frame)
            await session.finalize()
            await session.aclose()
            events = await until(session, SessionEnded)
            assert not [event for event in events if isinstance(event, Transcript | SpeechStarted)]

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_speech_is_reported_once_with_its_moments(self) -> None:
        async with self.stage(SENTENCE) as vendor, vendor.stt.connect(LINE) as session:
            if not session.capabilities.reports_speech:
                raise SkipTest("the engine does not report speech")
            await say(session)
            events = await self._up_to_final(session)
            if not any(isinstance(event, SpeechStopped) for event in events):
                events += await until(session, SpeechStopped)
            started = [event for event in events if isinstance(event, SpeechStarted)]
            stopped = [event for event in events if isinstance(event, SpeechStopped)]
            assert len(started) == len(stopped) == 1
            assert events.index(started[0]) < events.index(stopped[0])
            assert started[0].audio_ms is None or 0 <= started[0].audio_ms <= 600
            assert stopped[0].audio_ms is None or 1200 <= stopped[0].audio_ms <= 2600

    async def test_a_likely_end_is_told_before_the_end(self) -> None:
        async with self.stage(SENTENCE) as vendor, vendor.stt.connect(LINE) as session:
            if not session.capabilities.predicts_turn_end:
                raise SkipTest("the engine does not predict ends of turns")
            await say(session)
            events = await self._up_to_final(session)
            likely = [event for event in events if isinstance(event, TurnEndLikely | TurnResumed)]
            final = events[-1]
            assert isinstance(final, Transcript)
            assert isinstance(likely[-1], TurnEndLikely)
            assert likely[-1].text == final.text

    async def test_finalize_ends_an_utterance_in_mid_speech(self) -> None:
        async with self.stage(SENTENCE) as vendor, vendor.stt.connect(LINE) as session:
            await say(session, silence_ms=0, ask=True)
            assert (await self._next_final(session)).text

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_closed_session_ends_and_takes_no_audio(self) -> None:
        async with self.stage(SENTENCE) as vendor, vendor.stt.connect(LINE) as session:
            await say(session)
            await self._next_final(session)
            await session.aclose()
            await session.aclose()
            events = await until(session, SessionEnded)
            assert events[-1] == SessionEnded("closed")
            assert await until(session, SessionEnded) == []
            for refused in (session.send_audio(b"\xff" * 160), session.finalize()):
                try:
                    await refused
                    raise AssertionError("a closed session took a command")
                except SessionClosed:
                    pass

    async def test_an_error_of_the_block_stays_as_it_is(self) -> None:
        async with self.stage(SENTENCE) as vendor:
            try:
                async with vendor.stt.connect(LINE) as session:
                    await say(session)
                    raise KeyError("mine")
            except KeyError as error:
                assert error.args == ("mine",)

    async def test_a_session_can_be_cut_anywhere(self) -> None:
        async with self.stage(*[SENTENCE] * 100) as vendor:

            async def talk() -> None:
                async with vendor.stt.connect(LINE) as session:
                    await say(session)
                    await self._next_final(session)

            step = 1
            while await cut_at(step, talk):
                step += 1
            assert step > 1

    # ── troubles ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_broken_connection_ends_the_session_with_an_error(self) -> None:
        await self._ends_with(SttTrouble.DROP, ConnectionFailed)

    async def test_a_vendor_that_failed_ends_the_session_with_an_error(self) -> None:
        await self._ends_with(SttTrouble.CLOSE, ProviderUnavailable)

    async def test_a_message_that_cannot_be_read_costs_nothing_else(self) -> None:
        async with self.stage(SENTENCE, inflict=SttTrouble.MALFORMED) as vendor, vendor.stt.connect(LINE) as session:
            await say(session)
            events = await self._up_to_final(session)
            errors = [event for event in events if isinstance(event, ErrorReported)]
            assert [(error.fatal, error.error.code) for error in errors] == [(False, "malformed_message")]

    async def test_a_vendor_that_is_down_is_told_as_such(self) -> None:
        await self._refused(SttTrouble.REFUSED, ProviderUnavailable)

    async def test_too_many_requests_say_how_long_to_wait(self) -> None:
        error = await self._refused(SttTrouble.RATE_LIMITED, RateLimited)
        assert isinstance(error, RateLimited)
        assert error.retry_after == 30

    async def test_a_wrong_key_is_told_and_not_shown(self) -> None:
        await self._refused(SttTrouble.WRONG_KEY, AuthFailed)

    async def test_a_vendor_that_never_answers_is_given_up(self) -> None:
        await self._refused(SttTrouble.HANGING, ConnectionFailed)

    # ── what the checks share ────────────────────────────────────────────────────────────────────────────────────────

    async def _ends_with(self, trouble: SttTrouble, kind: type[Exception]) -> None:
        async with self.stage(SENTENCE, inflict=trouble) as vendor, vendor.stt.connect(LINE) as session:
            try:
                await say(session, ask=False)
            except SessionClosed:
                pass
            events = await until(session, SessionEnded)
            ended = events[-1]
            assert isinstance(ended, SessionEnded)
            assert ended.reason == "failed"
            assert isinstance(ended.error, kind), ended
            assert ErrorReported(ended.error, fatal=True) in events

    async def _refused(self, trouble: SttTrouble, kind: type[Exception]) -> Exception:
        """The error of a trouble at the door: of opening a session, or of the first utterance where nothing is opened before."""
        async with self.stage(SENTENCE, inflict=trouble) as vendor:
            error: Exception | None = None
            try:
                async with vendor.stt.connect(LINE) as session:
                    await say(session)
                    events = await until(session, ErrorReported, SessionEnded)
                    error = events[-1].error if isinstance(events[-1], ErrorReported | SessionEnded) else None
            except kind as refused:
                error = refused
            assert isinstance(error, kind), error
            return error

    async def _next_final(self, session: SttSession) -> Transcript:
        final = (await self._up_to_final(session))[-1]
        assert isinstance(final, Transcript)
        return final

    async def _up_to_final(self, session: SttSession) -> list[SttEvent]:
        events: list[SttEvent] = []
        async for event in session:
            events.append(event)
            if isinstance(event, Transcript) and event.is_final:
                return events
        raise AssertionError(f"no final transcript came: {events}")
