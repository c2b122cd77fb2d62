"""A speech session over a WebSocket that is kept warm, and opened anew where it is needed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from trunkline.audio import AudioFormat
from trunkline.errors import ConnectionFailed, LocalProtocolError, ProviderError
from trunkline.tts.link import LinkUtterance, SpeechLink
from trunkline.tts.pieces import TIMEOUT
from trunkline.tts.provider import SpeechPiece, Utterance
from trunkline.tts.text import is_speakable


class WarmSession:
    """One call's voice over a WebSocket.

    Args:
        tasks: Runs the connections.
        make_link: Makes a connection that is not open yet.
        output_format: The format of the audio.
    """

    def __init__(
        self, tasks: anyio.abc.TaskGroup, make_link: Callable[[], SpeechLink], output_format: AudioFormat
    ) -> None:
        self._tasks = tasks
        self._make_link = make_link
        self._output_format = output_format
        self._link: SpeechLink | None = None
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
        try:
            utterance = WarmUtterance(self, await self.begin())
            try:
                yield utterance
            finally:
                self._abandon(utterance.close())
        finally:
            self._speaking = False

    async def connect(self) -> SpeechLink:
        """The connection that serves, opened anew where there is none that can.

        Raises:
            ProviderError: The vendor refused or could not be reached.
        """
        if self._link is not None:
            if self._link.is_usable:
                return self._link
            self._link.close()
            self._link = None
        link = self._make_link()
        await self._tasks.start(link.run)
        self._link = link
        return link

    def close(self) -> None:
        """Let the connections go."""
        self._closed = True
        if self._link is not None:
            self._link.close()

    async def begin(self) -> LinkUtterance:
        """An utterance on a connection that serves.

        Raises:
            ProviderError: The vendor refused or could not be reached.
        """
        warm = self._link
        link = await self.connect()
        try:
            return await link.begin()
        except ProviderError:
            if link is not warm:
                raise  # it was opened just now: another would fare no better
        # A warm connection may have died unnoticed; nothing was asked of it yet.
        link.close()
        self._link = None
        link = await self.connect()
        return await link.begin()

    def _abandon(self, utterance: LinkUtterance) -> None:
        messages = utterance.abandon()
        utterance.queue.end()
        if messages and not self._closed:
            self._tasks.start_soon(utterance.link.tell, *messages)


class WarmUtterance:
    """An answer, which goes on over another connection where the first is lost before anything of it was heard.

    Args:
        session: Opens connections.
        spoken: The answer over the connection that serves.
    """

    def __init__(self, session: WarmSession, spoken: LinkUtterance) -> None:
        self._session = session
        self._spoken = spoken
        self._texts: list[str] = []
        self._finished = False
        self._closed = False
        self._heard = False
        self._may_repeat = True
        self._repeating = False

    async def send(self, sentence: str) -> None:
        """Speak a sentence after those before it; see `Utterance`."""
        if self._finished or self._closed:
            raise LocalProtocolError("the utterance is over" if self._closed else "the utterance is finished")
        text = sentence.strip()
        if is_speakable(text):
            self._texts.append(text)
            if not self._repeating:
                await self._spoken.send(text)

    async def finish(self) -> None:
        """Say that no more sentences come; see `Utterance`."""
        if not self._finished and not self._closed:
            self._finished = True
            if not self._repeating:
                await self._spoken.finish()

    def __aiter__(self) -> "WarmUtterance":
        return self

    async def __anext__(self) -> SpeechPiece:
        while True:
            try:
                piece = await self._spoken.queue.next()
            except ConnectionFailed as error:
                if self._heard or not self._may_repeat or error.code == TIMEOUT:
                    raise
                await self._repeat()
                continue
            if piece is None:
                raise StopAsyncIteration
            self._heard = True
            return piece

    def close(self) -> LinkUtterance:
        """Nothing more is wanted; what is left to be given up."""
        self._closed = True
        return self._spoken

    async def _repeat(self) -> None:
        """Say all of it again, over another connection; what is sent meanwhile waits its turn."""
        self._may_repeat = False
        self._repeating = True
        self._spoken = await self._session.begin()
        said = 0
        while said < len(self._texts):
            said += 1
            await self._spoken.send(self._texts[said - 1])
        self._repeating = False
        if self._finished:
            await self._spoken.finish()


@asynccontextmanager
async def warm_session(make_link: Callable[[], SpeechLink], output_format: AudioFormat) -> AsyncIterator[WarmSession]:
    """Connect, and close when the block ends.

    Raises:
        ProviderError: The vendor refused or could not be reached.
    """
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    session = WarmSession(tasks, make_link, output_format)
    try:
        await session.connect()
        yield session
    finally:
        session.close()
        tasks.cancel_scope.cancel()
        # The group is not told of an error of the block, which would come back wrapped.
        await tasks.__aexit__(None, None, None)
