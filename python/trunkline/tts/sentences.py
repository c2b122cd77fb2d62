"""A speech session of an engine that speaks one text at a time: a request for each sentence, the next ahead of its turn."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import anyio
import anyio.abc

from trunkline.audio import AudioFormat
from trunkline.clock import Clock
from trunkline.errors import LocalProtocolError, ProviderError
from trunkline.tts.pieces import PieceQueue
from trunkline.tts.provider import SpeechPiece, SpeechSession, SpokenWord, Utterance
from trunkline.tts.text import is_speakable

Spoken = Callable[[str], AsyncGenerator[SpeechPiece]]
"""Speaks one text; words are timed from its beginning."""


class SentenceSession:
    """One call's voice.

    Args:
        spoken: Speaks one text.
        output_format: The format of the audio.
        vendor: The vendor's name.
        ahead: How many sentences are asked for at the same time.
        clock: Where time comes from.
    """

    def __init__(self, spoken: Spoken, output_format: AudioFormat, *, vendor: str, ahead: int, clock: Clock) -> None:
        self._spoken = spoken
        self._output_format = output_format
        self._vendor = vendor
        self._ahead = ahead
        self._clock = clock
        self._speaking = False
        self._closed = False

    @property
    def output_format(self) -> AudioFormat:
        """The format of the audio."""
        return self._output_format

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[Utterance]:
        """Begin an answer; see `SpeechSession`."""
        if self._closed:
            raise LocalProtocolError("the session is over")
        if self._speaking:
            raise LocalProtocolError("another utterance is open; one voice speaks one answer at a time")
        self._speaking = True
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        utterance = SentenceUtterance(tasks, self._spoken, self._new_queue, self._output_format, ahead=self._ahead)
        try:
            yield utterance
        finally:
            self._speaking = False
            utterance.close()
            tasks.cancel_scope.cancel()
            # The group is not told of an error of the block, which would come back wrapped.
            await tasks.__aexit__(None, None, None)

    def close(self) -> None:
        """Begin nothing more."""
        self._closed = True

    def _new_queue(self) -> PieceQueue:
        # Whoever speaks keeps the deadlines: a sentence may wait for its turn as long as it takes.
        return PieceQueue(self._output_format, vendor=self._vendor, patience=0.0, clock=self._clock)


class SentenceUtterance:
    """An answer: each sentence has a queue of its own, which are emptied in order.

    Args:
        tasks: Runs the requests.
        spoken: Speaks one text.
        new_queue: Makes a queue.
        audio_format: The format of the audio.
        ahead: How many sentences are asked for at the same time.
    """

    def __init__(
        self,
        tasks: anyio.abc.TaskGroup,
        spoken: Spoken,
        new_queue: Callable[[], PieceQueue],
        audio_format: AudioFormat,
        *,
        ahead: int,
    ) -> None:
        self._tasks = tasks
        self._spoken = spoken
        self._new_queue = new_queue
        self._format = audio_format
        self._ahead = ahead
        self._sentences: list[PieceQueue] = []
        self._spoken_to_end: list[anyio.Event] = []
        self._current = 0
        self._given_bytes = 0  # of all sentences
        self._offset_bytes = 0  # where the current sentence begins
        self._finished = False
        self._closed = False
        self._error: ProviderError | None = None
        self._changed = anyio.Event()

    async def send(self, sentence: str) -> None:
        """Speak a sentence after those before it; see `Utterance`."""
        self._check()
        if self._finished:
            raise LocalProtocolError("the utterance is finished")
        queue = self._new_queue()
        over = anyio.Event()
        self._sentences.append(queue)
        self._spoken_to_end.append(over)
        self._changed.set()
        text = sentence.strip()
        if is_speakable(text):
            self._tasks.start_soon(self._speak, text, len(self._sentences) - 1)
        else:
            queue.end()
            over.set()

    async def finish(self) -> None:
        """Say that no more sentences come; see `Utterance`."""
        self._check()
        self._finished = True
        self._changed.set()

    def __aiter__(self) -> "SentenceUtterance":
        return self

    async def __anext__(self) -> SpeechPiece:
        while True:
            if self._current < len(self._sentences):
                piece = await self._sentences[self._current].next()
                if piece is not None:
                    return self._placed(piece)
                self._current += 1
                self._offset_bytes = self._given_bytes
            elif self._finished or self._closed:
                raise StopAsyncIteration
            else:
                self._changed = anyio.Event()
                await self._changed.wait()

    def close(self) -> None:
        """Give up what is left."""
        self._closed = True
        for queue in self._sentences[self._current :]:
            queue.end()
        self._changed.set()

    def _check(self) -> None:
        if self._closed:
            raise LocalProtocolError("the utterance is over")

    def _placed(self, piece: SpeechPiece) -> SpeechPiece:
        """The piece with its sentence, and its words timed from the beginning of the utterance."""
        offset_ms = round(self._format.duration_ms(self._offset_bytes))
        self._given_bytes += len(piece.audio)
        words = tuple(SpokenWord(word.text, word.start_ms + offset_ms, word.end_ms + offset_ms) for word in piece.words)
        return SpeechPiece(piece.audio, words, self._current)

    async def _speak(self, text: str, number: int) -> None:
        """Speak a sentence once the one that lies `ahead` before it is over: in order, however the tasks are run."""
        queue = self._sentences[number]
        if number >= self._ahead:
            await self._spoken_to_end[number - self._ahead].wait()
        failure = self._error  # of an earlier sentence: this one would come without what goes before it
        if failure is None:
            try:
                async with aclosing(self._spoken(text)) as pieces:
                    async for piece in pieces:
                        queue.put(piece.audio, piece.words)
            except ProviderError as error:
                failure = self._error = error
        queue.end(failure)
        self._spoken_to_end[number].set()


@asynccontextmanager
async def sentence_session(
    spoken: Spoken, output_format: AudioFormat, *, vendor: str, ahead: int = 2, clock: Clock
) -> AsyncIterator[SpeechSession]:
    """A session that ends with the block; see `SentenceSession`."""
    session = SentenceSession(spoken, output_format, vendor=vendor, ahead=ahead, clock=clock)
    try:
        yield session
    finally:
        session.close()
