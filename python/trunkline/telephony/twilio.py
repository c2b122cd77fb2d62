"""Twilio: the outgoing side of a media stream."""

from typing import Final

from trunkline.audio import TWILIO
from trunkline.errors import ConnectionLost
from trunkline.telephony.line import PortTraits
from trunkline.transport import MessageStream
from trunkline.wire.telephony.twilio.stream import TwilioStream


class TwilioPort:
    """The outgoing line of one call: a `CarrierPort` over the media socket; whoever reads the socket feeds the same `protocol`.

    Args:
        socket: The media socket; the port sends on it and neither reads nor closes it.
        protocol: The stream's codec, which knows the stream's id once it has received `start`.
    """

    traits: Final = PortTraits(format=TWILIO, frame_ms=20, can_clear=True, returns_marks=True, max_lead_ms=400)

    def __init__(self, socket: MessageStream, protocol: TwilioStream) -> None:
        self._socket = socket
        self._protocol = protocol

    async def send_media(self, payload: bytes) -> None:
        """Queue 8 kHz µ-law audio at Twilio, which plays it in real time behind what it holds.

        Raises:
            LocalProtocolError: The stream has not started.
            TransportError: The line is gone.
        """
        await self._send(self._live().send_media(payload))

    async def send_mark(self, name: str) -> None:
        """Ask for `MarkReceived(name)` once everything queued so far was played or cleared; raises as `send_media`."""
        await self._send(self._live().send_mark(name))

    async def clear(self) -> None:
        """Drop what Twilio has not played; it returns every pending mark at once; raises as `send_media`."""
        await self._send(self._live().clear())

    def _live(self) -> TwilioStream:
        if self._protocol.stopped:
            raise ConnectionLost(1000, "the carrier stopped the stream")
        return self._protocol

    async def _send(self, message: str) -> None:
        await self._socket.send(message)
