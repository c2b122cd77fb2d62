"""A connection to a server that speaks OpenAI Realtime's older dialect, used as if it spoke the present one."""

from trunkline.transport import MessageStream
from trunkline.wire.realtime.flat_session import to_beta


class BetaStream:
    """Puts what is sent into the older dialect; what is received is read by the one parser, which knows both.

    Args:
        stream: The connection.
    """

    def __init__(self, stream: MessageStream) -> None:
        self._stream = stream

    async def send(self, message: str | bytes) -> None:
        """Send one message.

        Raises:
            InvalidConfig: It asks for what the dialect does not have; nothing was sent.
            TransportError: As the connection does.
        """
        await self._stream.send(to_beta(message) if isinstance(message, str) else message)

    async def receive(self) -> str | bytes:
        """The next message, as the connection gives it."""
        return await self._stream.receive()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """End the connection; from any task, any number of times."""
        await self._stream.aclose(code, reason)
