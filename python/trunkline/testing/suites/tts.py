"""The suite that every text-to-speech engine passes, ours and yours.

    class TestMyEngine(TextToSpeechSuite):
        def engine(self) -> AbstractAsyncContextManager[TextToSpeech]:
            return my_engine_against_my_vendor_on_loopback()

Under pytest the class is collected like any other, with anyio's plugin (`anyio_mode = "auto"`, or mark the class with
`pytest.mark.anyio`), on every event loop that your `anyio_backend` fixture names.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from trunkline.audio import GEMINI_INPUT, TWILIO, AudioFormat
from trunkline.errors import LocalProtocolError
from trunkline.testing.suites.realtime_listener import expect
from trunkline.tts.provider import SpeechPiece, SpeechSession, TextToSpeech, synthesize

FIRST = "Good day, this is the bakery."
SECOND = "We open at seven."
THIRD = "How can I help you?"


class TextToSpeechSuite:
    """Subclass it and write `engine`.

    Attributes:
        patience: Seconds that one check may take.
        tolerance: How much two renderings of the same text may differ in length, as a share.
    """

    patience: float = 20.0
    tolerance: float = 0.1

    @abstractmethod
    def engine(self) -> AbstractAsyncContextManager[TextToSpeech]:
        """A fresh engine, and its vendor behind it; the block ends after each check."""
        raise NotImplementedError

    @asynccontextmanager
    async def session(
        self, output_format: AudioFormat | None = TWILIO
    ) -> AsyncIterator[tuple[TextToSpeech, SpeechSession]]:
        """An engine and an open session, for no longer than `patience`."""
        with anyio.fail_after(self.patience):
            async with self.engine() as tts, tts.open(output_format) as session:
                yield tts, session

    async def test_sentences_are_spoken_in_order_to_their_end(self) -> None:
        """Sentences are spoken in order to their end."""
        async with self.session() as (tts, session):
            pieces = await spoken(session, FIRST, SECOND)
            alone = [len(audio_of(await spoken(session, text))) for text in (FIRST, SECOND)]
            expect(
                abs(len(audio_of(pieces)) - sum(alone)) <= self.tolerance * sum(alone),
                "a part is missing, or is too much",
            )
            if tts.capabilities.sentences:
                numbers = [piece.sentence for piece in pieces]
                expect(
                    numbers == sorted(numbers, key=lambda number: -1 if number is None else number),
                    "the sentences are told out of order",
                )
                expect(set(numbers) == {0, 1}, "not all audio is told to be of one of the two sentences")

    async def test_first_audio_comes_before_the_text_is_finished(self) -> None:
        """First audio comes before the text is finished."""
        async with self.session() as (_, session), session.utterance() as utterance:
            await utterance.send(FIRST)
            piece = await anext(aiter(utterance))
            while not piece.audio:
                piece = await anext(aiter(utterance))
            await utterance.send(SECOND)
            await utterance.finish()
            expect([rest async for rest in utterance], "nothing came behind the first piece")

    async def test_audio_is_whole_samples_of_the_session_format(self) -> None:
        """Audio is whole samples of the session format."""
        for wanted in (TWILIO, GEMINI_INPUT, None):
            async with self.session(wanted) as (tts, session):
                formats = tts.capabilities.formats
                expect(session.output_format in formats, "the session has a format that the engine does not name")
                if wanted in formats:
                    expect(session.output_format == wanted, "the format that was asked for is there, but is not given")
                pieces = await spoken(session, FIRST)
                expect(
                    all(len(piece.audio) % session.output_format.sample_bytes == 0 for piece in pieces),
                    "a piece ends within a sample",
                )
                seconds = session.output_format.duration_ms(len(audio_of(pieces))) / 1000
                expect(
                    0.5 < seconds < 10,
                    f"a sentence of two seconds lasts {seconds:.1f} s: the format is not what it says",
                )

    async def test_words_are_told_with_their_times(self) -> None:
        """Words are told with their times."""
        async with self.session() as (tts, session):
            pieces = await spoken(session, FIRST, SECOND)
            words = [word for piece in pieces for word in piece.words]
            if not tts.capabilities.word_timings:
                expect(not words, "words are told, though the capabilities say they are not")
                return
            expect(
                [word.text for word in words] == f"{FIRST} {SECOND}".split(),
                "the words are not those of the text",
            )
            duration_ms = session.output_format.duration_ms(len(audio_of(pieces)))
            starts = [word.start_ms for word in words]
            expect(starts == sorted(starts), "the words are told out of order")
            expect(
                all(word.start_ms <= word.end_ms <= duration_ms + 100 for word in words),
                "a word ends before it begins, or after the audio",
            )

    async def test_nothing_to_say_is_no_audio(self) -> None:
        """Nothing to say is no audio."""
        async with self.session() as (_, session):
            expect(await spoken(session) == [], "something came of an utterance without a text")
            expect(
                audio_of(await spoken(session, "", "  ", "…")) == b"",
                "something was spoken of texts that cannot be said",
            )
            expect(
                audio_of(await spoken(session, " ", FIRST)),
                "a text behind an empty one was not spoken",
            )

    async def test_leaving_early_drops_the_rest(self) -> None:
        """Leaving early drops the rest."""
        async with self.session() as (_, session):
            whole = len(audio_of(await spoken(session, SECOND)))
            for _ in range(3):
                async with session.utterance() as utterance:
                    await utterance.send(FIRST)
                    await utterance.send(THIRD)
                    await anext(aiter(utterance))
                after = len(audio_of(await spoken(session, SECOND)))
                expect(abs(after - whole) <= self.tolerance * whole, "what was given up is heard in the next utterance")

    async def test_leaving_a_finished_utterance_early_drops_the_rest(self) -> None:
        """Leaving a finished utterance early drops the rest."""
        async with self.session() as (_, session):
            whole = len(audio_of(await spoken(session, SECOND)))
            async with session.utterance() as utterance:
                await utterance.send(FIRST)
                await utterance.finish()
                await anext(aiter(utterance))
            after = len(audio_of(await spoken(session, SECOND)))
            expect(
                abs(after - whole) <= self.tolerance * whole,
                "what was given up is heard in the next utterance",
            )

    async def test_an_utterance_that_nothing_was_said_in_may_be_left(self) -> None:
        """An utterance that nothing was said in may be left."""
        async with self.session() as (_, session):
            async with session.utterance():
                pass
            expect(audio_of(await spoken(session, FIRST)), "the next utterance is not spoken")

    async def test_a_cancelled_reader_leaves_the_session_usable(self) -> None:
        """A cancelled reader leaves the session usable."""
        async with self.session() as (_, session):
            with anyio.CancelScope() as scope:
                async with session.utterance() as utterance:
                    await utterance.send(FIRST)
                    await anext(aiter(utterance))
                    scope.cancel()
                    await anyio.sleep_forever()
            expect(audio_of(await spoken(session, SECOND)), "the next utterance is not spoken")

    async def test_an_error_of_the_block_comes_out_as_it_is(self) -> None:
        """An error of the block comes out as it is."""
        failure = RuntimeError("the block failed")
        caught: Exception | None = None
        try:
            async with self.session() as (_, session), session.utterance() as utterance:
                await utterance.send(FIRST)
                raise failure
        except RuntimeError as error:
            caught = error
        expect(caught is failure, "the error of the block came out as another one")

    async def test_one_utterance_at_a_time(self) -> None:
        """One utterance at a time."""
        async with self.session() as (_, session), session.utterance() as utterance:
            expect(
                await refuses(session.utterance().__aenter__),
                "a second utterance was begun",
            )
            await utterance.send(FIRST)
            await utterance.finish()
            expect([piece async for piece in utterance], "the first utterance is not spoken")

    async def test_misuse_is_told(self) -> None:
        """Misuse is told."""
        async with self.session() as (_, session):
            async with session.utterance() as utterance:
                await utterance.send(FIRST)
                await utterance.finish()
                await utterance.finish()
                expect(await refuses(lambda: utterance.send(SECOND)), "a text after the last one")
            expect(await refuses(lambda: utterance.send(SECOND)), "a text after the end")
        expect(await refuses(session.utterance().__aenter__), "an utterance of a session that is over")

    async def test_sessions_do_not_disturb_each_other(self) -> None:
        """Sessions do not disturb each other."""
        lengths: dict[str, int] = {}

        async def speak(tts: TextToSpeech, text: str) -> None:
            async with tts.open(TWILIO) as session:
                lengths[text] = len(audio_of(await spoken(session, text)))

        with anyio.fail_after(self.patience):
            async with self.engine() as tts:
                alone = {text: len((await synthesize(tts, text, TWILIO))[0]) for text in (FIRST, SECOND, THIRD)}
                async with anyio.create_task_group() as tasks:
                    for text in alone:
                        tasks.start_soon(speak, tts, text)
        expect(
            all(abs(lengths[text] - alone[text]) <= self.tolerance * alone[text] for text in alone),
            "sessions that speak at the same time change each other",
        )

    async def test_closing_the_engine_twice_is_harmless(self) -> None:
        """Closing the engine twice is harmless."""
        with anyio.fail_after(self.patience):
            async with self.engine() as tts:
                expect(tts.name, "the engine has no name")
                await tts.aclose()
                await tts.aclose()


async def spoken(session: SpeechSession, *sentences: str) -> list[SpeechPiece]:
    """All that comes of an utterance of these sentences."""
    async with session.utterance() as utterance:
        for sentence in sentences:
            await utterance.send(sentence)
        await utterance.finish()
        return [piece async for piece in utterance]


def audio_of(pieces: list[SpeechPiece]) -> bytes:
    """The audio of pieces."""
    return b"".join(piece.audio for piece in pieces)


async def refuses(step: Callable[[], Awaitable[object]]) -> bool:
    """Whether a step raises `LocalProtocolError`."""
    try:
        await step()
    except LocalProtocolError:
        return True
    return False
