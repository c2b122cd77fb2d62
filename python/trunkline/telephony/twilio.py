"""Twilio: a call's media stream as a `CallLine`."""

from typing import Final

from trunkline.audio import TWILIO
from trunkline.errors import ConnectionLost
from trunkline.telephony.line import LineTraits
from trunkline.transport import MessageStream
from trunkline.wire.telephony.events import StreamEvent
from trunkline.wire.telephony.twilio.stream import TwilioStream


class TwilioLine:
    """The media of one call: a `CallLine` over the socket that Twilio opened. Closing it ends the `<Stream>`, and so hangs up.

    Args:
        socket: The media socket, open. The line alone uses it from now on.
    """

    traits: Final = LineTraits(format=TWILIO, frame_ms=20, max_lead_ms=400)

    def __init__(self, socket: MessageStream) -> None:
        self._socket = socket
        self._stream = TwilioStream()

    async def receive(self) -> StreamEvent:
        """The next event of the stream; one task at a time.

        Raises:
            RemoteProtocolError: A message cannot be read; the line is as it was before, and you may go on receiving.
            ConnectionLost: The socket is closed, or Twilio stopped the stream.
            TransportError: The socket is gone for another reason.
        """
        self._check_running()
        return self._stream.receive(await self._socket.receive())

    async def send_media(self, payload: bytes) -> None:
        """Queue 8 kHz µ-law audio of any length at Twilio, which plays it in real time behind what it holds.

        Raises:
            LocalProtocolError: The stream has not started, or there is no audio.
            ConnectionLost: The socket is closed, or Twilio stopped the stream.
            TransportError: The socket is gone for another reason.
        """
        self._check_running()
        await self._socket.send(self._stream.send_media(payload))

    async def send_mark(self, name: str) -> None:
        """Ask for `MarkReceived(name)` once everything queued so far was played or cleared; raises what `send_media` does."""
        self._check_running()
        await self._socket.send(self._stream.send_mark(name))

    async def clear(self) -> None:
        """Drop what Twilio has not played; it returns every pending mark at once. Raises what `send_media` does."""
        self._check_running()
        await self._socket.send(self._stream.clear())

    async def aclose(self) -> None:
        """Close the socket: any number of times, from any task, in bounded time."""
        await self._socket.aclose()

    def _check_running(self) -> None:
        if self._stream.stopped:
            raise ConnectionLost(1000, "the carrier stopped the stream")
