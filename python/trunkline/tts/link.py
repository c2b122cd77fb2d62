"""One WebSocket to a vendor of speech, and the task that reads it."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.abc

from trunkline.errors import (
    ConnectionFailed,
    ProviderError,
    RemoteProtocolError,
    TransportError,
)
from trunkline.transport import MessageStream
from trunkline.transport.error_map import ConnectionErrors
from trunkline.tts.pieces import PieceQueue

log = logging.getLogger(__name__)

Connect = Callable[[], AbstractAsyncContextManager[MessageStream]]

_GOODBYE = 1.0  # seconds that the last message may take


class LinkUtterance(ABC):
    """An answer as far as it is spoken over one connection.

    Args:
        link: The connection.
        queue: Takes what comes.
    """

    def __init__(self, link: "SpeechLink", queue: PieceQueue) -> None:
        self.queue = queue
        self.finished = False
        self.begun = False
        self.link = link

    async def send(self, text: str) -> None:
        """Speak a text that can be said, after those before it; what goes wrong ends the queue."""
        if not self.queue.is_over:
            self.queue.expect()
            messages = self.say(text)
            self.begun = True
            await self._send(messages)

    async def finish(self) -> None:
        """Say that no more texts come."""
        self.finished = True
        if not self.begun:
            self.queue.end()
        elif not self.queue.is_over:
            self.queue.expect(last=True)
            await self._send(self.last())

    async def _send(self, messages: Sequence[str]) -> None:
        try:
            await self.link.send(*messages)
        except ProviderError as error:
            self.queue.end(error)

    @abstractmethod
    def say(self, text: str) -> Sequence[str]:
        """The messages that have a text spoken."""

    @abstractmethod
    def last(self) -> Sequence[str]:
        """The messages that say that no more text comes."""

    @abstractmethod
    def abandon(self) -> Sequence[str]:
        """Give up what is left, at once; the messages that tell the vendor, none where there is nothing to tell."""


class SpeechLink(ABC):
    """One connection; run `run()` in a task, which connects, reads and closes. A subclass knows the vendor's messages.

    Args:
        connect: Opens the WebSocket.
        vendor: The vendor's name.
        errors: Makes errors of what goes wrong.
        goodbye: What to send before closing.
    """

    def __init__(self, connect: Connect, vendor: str, errors: ConnectionErrors, *, goodbye: str) -> None:
        self.vendor = vendor
        self.errors = errors
        self.failure: ProviderError | None = None
        self.over = False
        self._connect = connect
        self._goodbye = goodbye
        self._stream: MessageStream | None = None
        self._scope = anyio.CancelScope()

    @property
    @abstractmethod
    def is_usable(self) -> bool:
        """Whether another utterance may begin on it."""

    @abstractmethod
    async def begin(self) -> LinkUtterance:
        """Begin one.

        Raises:
            ProviderError: The connection is lost, or does not become ready.
        """

    @abstractmethod
    def take(self, message: str | bytes) -> None:
        """A message of the vendor's.

        Raises:
            RemoteProtocolError: It cannot be read.
            ProviderError: It says that the connection is of no more use.
        """

    @abstractmethod
    def lost(self, error: ProviderError) -> None:
        """The connection is over; end what was waiting for it."""

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Connect, then read until the connection ends or `close` is called.

        Raises:
            ProviderError: There was no connection; only before the task has started.
        """
        connected = False
        try:
            with self._scope:
                async with self._connect() as stream:
                    self._stream = stream
                    connected = True
                    task_status.started()
                    await self._read(stream)
        except (TransportError, RemoteProtocolError) as cause:
            if not connected:
                raise self.errors.refused(cause) from cause
            self._fail(self._ended(cause))
        except ProviderError as error:
            self._fail(error)
        finally:
            self.over = True
            self.lost(self.failure or ConnectionFailed("the connection is closed", vendor=self.vendor))

    async def send(self, *messages: str) -> None:
        """Send messages.

        Raises:
            ProviderError: The connection is lost.
        """
        if self._stream is None or self.over:
            raise self.failure or ConnectionFailed("the connection is closed", vendor=self.vendor)
        try:
            for message in messages:
                await self._stream.send(message)
        except TransportError as cause:
            self._fail(self._ended(cause))
            self._scope.cancel()  # the reader may not have noticed yet
            raise self.failure or self._ended(cause) from cause

    async def tell(self, *messages: str) -> None:
        """Send messages; where the connection is lost they do not matter."""
        try:
            await self.send(*messages)
        except ProviderError as error:
            log.debug("%s was not told: %s", self.vendor, error)

    def close(self) -> None:
        """Say goodbye and close, without waiting for it."""
        self.over = True
        self._scope.cancel()

    def _ended(self, cause: TransportError | RemoteProtocolError) -> ProviderError:
        """An ordinary close is a failure too for whoever waits for speech."""
        return self.errors.ended(cause) or ConnectionFailed("the vendor closed the connection", vendor=self.vendor)

    def _fail(self, error: ProviderError) -> None:
        self.failure = self.failure or error
        self.over = True

    async def _read(self, stream: MessageStream) -> None:
        try:
            while True:
                message = await stream.receive()
                try:
                    self.take(message)
                except RemoteProtocolError as odd:
                    log.warning("%s", odd)  # one message is lost, the utterance is not
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_GOODBYE, shield=True):
                try:
                    await stream.send(self._goodbye)
                except TransportError:
                    log.debug("the connection to %s was lost before its goodbye", self.vendor)
            raise
