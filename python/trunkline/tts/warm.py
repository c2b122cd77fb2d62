"""A speech session over a WebSocket that is kept warm, and opened anew where it is needed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.abc

from trunkline.audio import AudioFormat
from trunkline.errors import LocalProtocolError, ProviderError
from trunkline.tts.link import LinkUtterance, SpeechLink
from trunkline.tts.provider import Utterance


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
            link, utterance = await self._begin()
            try:
                yield utterance
            finally:
                messages = utterance.abandon()
                utterance.queue.end()
                if messages and not link.over and not self._closed:
                    self._tasks.start_soon(link.tell, *messages)
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

    async def _begin(self) -> tuple[SpeechLink, LinkUtterance]:
        warm = self._link
        link = await self.connect()
        try:
            return link, await link.begin()
        except ProviderError:
            if link is not warm:
                raise  # it was opened just now: another would fare no better
        # A warm connection may have died unnoticed; nothing was asked of it yet.
        link.close()
        self._link = None
        link = await self.connect()
        return link, await link.begin()


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
