"""The suite that every engine of speech to text passes, ours and yours.

    class TestMyEngine(SpeechToTextSuite):
        troubles = {SttTrouble.DROP, SttTrouble.WRONG_KEY}

        def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
            return my_vendor_on_loopback(transcripts)

Under pytest the class is collected like any other, with anyio's plugin, on every event loop that your `anyio_backend` fixture names. A
check of what the engine or its vendor cannot do is skipped and says so.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import ClassVar
from unittest import SkipTest

import anyio
import anyio.lowlevel

from trunkline.audio import TWILIO, AudioFormat
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    InvalidConfig,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    SessionClosed,
)
from trunkline.stt.provider import SttSession
from trunkline.testing.suites.cancellation import cut_at
from trunkline.testing.suites.realtime_listener import expect
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
        tells_partials: Whether the vendor on loopback tells words before the end of an utterance, where the engine streams.
    """

    troubles: ClassVar[Collection[SttTrouble]] = ()
    patience: ClassVar[float] = 20.0
    tells_partials: ClassVar[bool] = True

    def vendor(self, transcripts: Sequence[str]) -> AbstractAsyncContextManager[SttVendor]:
        """A vendor that hears these utterances, one after the other, whatever is said."""
        raise NotImplementedError(f"{type(self).__name__}.vendor is for you to write")

    @asynccontextmanager
    async def stage(self, *transcripts: str, inflict: SttTrouble | None = None) -> AsyncIterator[SttVendor]:
        """A vendor for one check; at the end nothing of it may be open."""
        if inflict is not None and inflict not in self.troubles:
            raise SkipTest(f"the vendor cannot be made to suffer {inflict}")
        with anyio.fail_after(self.patience):
            async with self.vendor(transcripts) as vendor:
                if inflict is not None:
                    vendor.inflict(inflict)
                try:
                    yield vendor
                finally:
                    await vendor.stt.aclose()
                    await vendor.stt.aclose()
                while vendor.open_sessions:
                    await anyio.lowlevel.checkpoint()

    # ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_utterance_ends_in_one_final_transcript(self) -> None:
        """Its words come once, and no more when the session is closed."""
        async with self._session(SENTENCE) as session:
            await say(session)
            final = await self._final(session)
            expect(final.text == SENTENCE, f"{SENTENCE!r} was said, not {final.text!r}")
            await session.aclose()
            more = [event for event in await until(session, SessionEnded) if isinstance(event, Transcript)]
            expect(not more, f"after the final transcript came {more}")

    async def test_two_utterances_come_in_their_order(self) -> None:
        """Each has its own final transcript, all of which is stable."""
        async with self._session(SENTENCE, SECOND) as session:
            finals = []
            for _ in range(2):
                await say(session)
                finals.append(await self._final(session))
            told = [final.text for final in finals]
            expect(told == [SENTENCE, SECOND], f"the utterances came as {told}")
            expect(all(final.stable == len(final.text) for final in finals), "a final transcript is stable as a whole")

    async def test_every_line_format_is_heard(self) -> None:
        """What carriers send is taken as it is or converted."""
        for line in (AudioFormat("mulaw", 8_000), AudioFormat("alaw", 8_000), AudioFormat("linear16", 16_000)):
            async with self._session(SENTENCE, line=line) as session:
                expect(session.input_format == line, f"the session must take {line}, not {session.input_format}")
                await say(session)
                final = await self._final(session)
                expect(final.text == SENTENCE, f"of {line} came {final.text!r}")

    async def test_audio_of_two_speakers_is_refused(self) -> None:
        """Stereo is a mistake of the program's, told before anything is sent."""
        error: InvalidConfig | None = None
        try:
            async with self._session(line=AudioFormat("linear16", 16_000, 2)):
                pass
        except InvalidConfig as refused:
            error = refused
        expect(error is not None and error.field == "audio_format", f"stereo must be refused, not {error!r}")

    async def test_words_come_while_the_caller_speaks(self) -> None:
        """Partial transcripts hold all words so far, and none of them is final."""
        async with self._session(SENTENCE) as session:
            if not (session.capabilities.streams and self.tells_partials):
                raise SkipTest("no words come before the end of an utterance")
            await say(session)
            partials = [event for event in await self._up_to_final(session) if isinstance(event, Transcript)][:-1]
            expect(bool(partials), "no partial transcript came")
            for partial in partials:
                expect(SENTENCE.startswith(partial.text), f"{partial.text!r} is not the beginning of what was said")
                expect(partial.stable <= len(partial.text), "no more can be stable than there is")

    async def test_silence_gives_no_words(self) -> None:
        """Neither words nor speech come of it, also when a final transcript is asked for."""
        async with self._session(SENTENCE) as session:
            for frame in said(LINE, speech_ms=0, silence_ms=2000):
                await session.send_audio(frame)
            await session.finalize()
            await session.aclose()
            events = await until(session, SessionEnded)
            heard = [event for event in events if isinstance(event, Transcript | SpeechStarted)]
            expect(not heard, f"of silence came {heard}")

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_speech_is_reported_once_with_its_moments(self) -> None:
        """One beginning and one end, where they were in the audio if the vendor says."""
        async with self._session(SENTENCE) as session:
            if not session.capabilities.reports_speech:
                raise SkipTest("the engine does not report speech")
            await say(session)
            events = await self._up_to_final(session)
            if not any(isinstance(event, SpeechStopped) for event in events):
                events += await until(session, SpeechStopped)
            speech = [event for event in events if isinstance(event, SpeechStarted | SpeechStopped)]
            kinds = [type(event) for event in speech]
            expect(kinds == [SpeechStarted, SpeechStopped], f"speech was reported as {speech}")
            began, ended = speech[0].audio_ms, speech[1].audio_ms
            expect(began is None or began <= 600, f"speech began at 200 ms, not {began}")
            expect(ended is None or 1200 <= ended <= 2600, f"speech ended at 1400 ms, not {ended}")

    async def test_a_likely_end_is_told_before_the_end(self) -> None:
        """The last prediction before a final transcript has its text."""
        async with self._session(SENTENCE) as session:
            if not session.capabilities.predicts_turn_end:
                raise SkipTest("the engine does not predict ends of turns")
            await say(session)
            events = await self._up_to_final(session)
            likely = [event for event in events if isinstance(event, TurnEndLikely | TurnResumed)]
            final = events[-1]
            fits = likely and isinstance(likely[-1], TurnEndLikely) and isinstance(final, Transcript)
            expect(bool(fits), f"the end was not foretold: {likely}")
            if isinstance(likely[-1], TurnEndLikely) and isinstance(final, Transcript):
                expect(likely[-1].text == final.text, f"{likely[-1].text!r} was foretold, and {final.text!r} came")

    async def test_finalize_ends_an_utterance_in_mid_speech(self) -> None:
        """The caller still speaks, and the words so far come as a final transcript."""
        async with self._session(SENTENCE) as session:
            await say(session, silence_ms=0, ask=True)
            await self._final(session)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_closed_session_ends_and_takes_no_audio(self) -> None:
        """`SessionEnded("closed")` is the last event, and commands are refused."""
        async with self._session(SENTENCE) as session:
            await say(session)
            await self._final(session)
            await session.aclose()
            await session.aclose()
            ended = (await until(session, SessionEnded))[-1]
            expect(ended == SessionEnded("closed"), f"the session ended with {ended}")
            expect(await until(session, SessionEnded) == [], "after the end came more")
            for command in (session.send_audio(b"\xff" * 160), session.finalize()):
                refused = False
                try:
                    await command
                except SessionClosed:
                    refused = True
                expect(refused, "a closed session took a command")

    async def test_an_error_of_the_block_stays_as_it_is(self) -> None:
        """It is neither replaced nor put into a group."""
        mine, raised = KeyError("mine"), None
        try:
            async with self._session(SENTENCE) as session:
                await say(session)
                raise mine
        except KeyError as error:
            raised = error
        expect(raised is mine, f"the block raised {mine!r}, and {raised!r} came out")

    async def test_a_session_can_be_cut_anywhere(self) -> None:
        """Cancelled at any of its waits, it leaves no connection behind."""
        async with self.stage(*[SENTENCE] * 500) as vendor:

            async def talk() -> None:
                async with vendor.stt.connect(LINE) as session:
                    await say(session, speech_ms=300, silence_ms=100, ask=True)
                    await self._final(session)

            step = 1
            while await cut_at(step, talk):
                step += 1
            expect(step > 1, "the session never waited")

    # ── troubles ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_broken_connection_ends_the_session_with_an_error(self) -> None:
        """`ErrorReported`, fatal, and `SessionEnded("failed")` with the same error."""
        await self._ends_with(SttTrouble.DROP, ConnectionFailed)

    async def test_a_vendor_that_failed_ends_the_session_with_an_error(self) -> None:
        """Likewise where the vendor says so in its close code."""
        await self._ends_with(SttTrouble.CLOSE, ProviderUnavailable)

    async def test_a_message_that_cannot_be_read_costs_nothing_else(self) -> None:
        """It is reported, and the words come."""
        async with self._session(SENTENCE, inflict=SttTrouble.MALFORMED) as session:
            await say(session)
            events = await self._up_to_final(session)
            errors = [event for event in events if isinstance(event, ErrorReported)]
            told = [(error.fatal, error.error.code) for error in errors]
            expect(told == [(False, "malformed_message")], f"the message was told as {errors}")

    async def test_a_vendor_that_is_down_is_told_as_such(self) -> None:
        """`ProviderUnavailable`."""
        await self._refused(SttTrouble.REFUSED, ProviderUnavailable)

    async def test_too_many_requests_say_how_long_to_wait(self) -> None:
        """`RateLimited`, with what the vendor asked for."""
        error = await self._refused(SttTrouble.RATE_LIMITED, RateLimited)
        expect(getattr(error, "retry_after", None) == 30, f"the vendor asked for 30 s: {error!r}")

    async def test_a_wrong_key_is_told(self) -> None:
        """`AuthFailed`."""
        await self._refused(SttTrouble.WRONG_KEY, AuthFailed)

    async def test_a_vendor_that_never_answers_is_given_up(self) -> None:
        """`ConnectionFailed`, when the engine's own time is up."""
        await self._refused(SttTrouble.HANGING, ConnectionFailed)

    # ── what the checks share ────────────────────────────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def _session(
        self, *transcripts: str, line: AudioFormat = LINE, inflict: SttTrouble | None = None
    ) -> AsyncIterator[SttSession]:
        async with self.stage(*transcripts, inflict=inflict) as vendor, vendor.stt.connect(line) as session:
            yield session

    async def _ends_with(self, trouble: SttTrouble, kind: type[Exception]) -> None:
        async with self._session(SENTENCE, inflict=trouble) as session:
            with suppress(SessionClosed):
                await say(session, ask=False)
            events = await until(session, SessionEnded)
            ended = events[-1]
            expect(isinstance(ended, SessionEnded) and ended.reason == "failed", f"the session ended with {ended}")
            if isinstance(ended, SessionEnded) and ended.error is not None:
                expect(isinstance(ended.error, kind), f"the error must be {kind.__name__}, not {ended.error!r}")
                expect(ErrorReported(ended.error, fatal=True) in events, "the error was not reported")

    async def _refused(self, trouble: SttTrouble, kind: type[Exception]) -> Exception | None:
        """The error of a trouble at the door: of opening a session, or of the first utterance where nothing is opened before."""
        error: Exception | None = None
        async with self.stage(SENTENCE, inflict=trouble) as vendor:
            try:
                async with vendor.stt.connect(LINE) as session:
                    await say(session)
                    last = (await until(session, ErrorReported, SessionEnded))[-1]
                    error = last.error if isinstance(last, ErrorReported | SessionEnded) else None
            except ProviderError as refused:
                error = refused
            expect(isinstance(error, kind), f"the error must be {kind.__name__}, not {error!r}")
        return error

    async def _final(self, session: SttSession) -> Transcript:
        final = (await self._up_to_final(session))[-1]
        if not isinstance(final, Transcript):
            raise AssertionError(f"not a transcript: {final}")  # noqa: TRY004 - the check fails
        return final

    async def _up_to_final(self, session: SttSession) -> list[SttEvent]:
        events: list[SttEvent] = []
        async for event in session:
            events.append(event)
            if isinstance(event, Transcript) and event.is_final:
                return events
        raise AssertionError(f"no final transcript came: {events}")
