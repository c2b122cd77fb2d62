"""What everything that carries whole messages offers: a WebSocket, a stream in memory, a recording."""

from typing import Protocol


class MessageStream(Protocol):
    """Whole messages, each way, until one side closes."""

    async def send(self, message: str | bytes) -> None:
        """Send one message: text as `str`, binary as `bytes`.

        Raises:
            ConnectionLost: The stream is over.
            DeadlineExceeded: The other side did not take the message in time; the stream is over.
        """
        ...

    async def receive(self) -> str | bytes:
        """The next message; one task at a time.

        Raises:
            ConnectionLost: The stream is over; with the close code and reason.
            MessageTooLarge: A message is above the limit; the stream is over.
            RemoteProtocolError: The other side broke the protocol; the stream is over.
        """
        ...

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """End the stream; from any task, any number of times, in bounded time."""
        ...
