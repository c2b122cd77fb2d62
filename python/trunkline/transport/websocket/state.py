"""What an open WebSocket has to receive and to send, and how it ended; without I/O."""

from collections import deque
from typing import Protocol

from trunkline._native._rust import Close, Failed, Ping, Pong, WebSocketCodec
from trunkline.errors import ConnectionLost, TransportError

MAX_REASON = 123  # bytes of text that fit into a close frame, RFC 6455 section 5.5
Message = str | bytes | Ping | Pong | Close | Failed


class MessageSink(Protocol):
    """Takes the bytes of a connection, as a link does that reads media by itself."""

    def feed(self, data: bytes) -> Message | None:
        """Take what was read, up to the first message that is not for this sink; return that, or None if all is done."""
        ...

    def resume(self) -> Message | None:
        """Go on behind that message; returns what `feed` does."""
        ...

    def handle(self, message: str | bytes) -> bool:
        """Handle a whole message at which reading stopped, or which came before there was a sink; False leaves it to `receive()`."""
        ...


class WebSocketState:
    """One end of an open WebSocket.

    Args:
        codec: Reads and writes the frames.
    """

    def __init__(self, codec: WebSocketCodec) -> None:
        self.codec = codec
        self.sink: MessageSink | None = None
        self.inbox: deque[str | bytes] = deque()
        self.outbox = bytearray()
        """Frames of control messages that are to be sent."""
        self.failure: Exception | None = None
        """What the receiver is to raise once."""
        self.end: ConnectionLost | None = None
        """What everybody is to raise after that."""
        self.is_closing = False
        """This side wants to hear no more messages."""
        self.is_broken = False
        """Nothing more can be sent."""
        self.at_eof = False
        """Nothing more will come."""
        self.close_sent = False
        self.close_received = False

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self.end is None and not (self.close_sent or self.is_broken or self.is_closing)

    @property
    def is_over(self) -> bool:
        """Whether nothing more needs to be read before the socket is given back."""
        return self.is_broken or self.close_received or self.at_eof

    @property
    def has_news(self) -> bool:
        """Whether there is something for the receiver."""
        return bool(self.inbox) or self.end is not None

    def ending(self, otherwise: str = "the connection is closed") -> ConnectionLost:
        """The end as a new error."""
        end = self.end or ConnectionLost(1006, otherwise)
        return ConnectionLost(end.code, end.reason)

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, data: bytes) -> None:
        """Take what was read. After the close frame, or what broke the protocol, it is thrown away."""
        if self.codec.has_ended:
            return
        sink = self.sink
        if sink is None:
            for message in self.codec.feed(data):
                self._take(message)
            return
        rest = sink.feed(data)
        while rest is not None:
            if not (isinstance(rest, str | bytes) and not self.is_closing and sink.handle(rest)):
                self._take(rest)
            if isinstance(rest, Close | Failed):
                return
            if self.sink is not sink:  # it has let go of the connection, which goes on where it stopped
                self.feed(b"")
                return
            rest = sink.resume()

    def attach(self, sink: MessageSink) -> None:
        """Give the sink what has not been received, and then all that comes."""
        self.sink = sink
        waiting = list(self.inbox)
        self.inbox.clear()
        for message in waiting:
            if self.sink is not sink or not sink.handle(message):
                self.inbox.append(message)

    def _take(self, message: Message) -> None:
        if isinstance(message, str | bytes):
            if not self.is_closing:
                self.inbox.append(message)
        elif isinstance(message, Ping):
            if not self.close_sent:
                self.outbox += self.codec.pong(message.payload)
        elif isinstance(message, Close):
            self.close_received = True
            self.close(message.code, message.reason)
            self.end = self.end or ConnectionLost(message.code, message.reason)
        elif isinstance(message, Failed):
            self.close(message.code, message.reason)
            if not self.is_closing:
                self.failure = message.error
                self.end = self.end or ConnectionLost(message.code, str(message.error))

    def lose(self, error: Exception | None) -> None:
        """Nothing more will come: the stream has ended, or broke with this error, which the receiver gets if it is not the network's."""
        self.at_eof = True
        reason = "the connection ended without a close frame"
        if error is not None:
            self.is_broken = True
            reason = error.reason if isinstance(error, ConnectionLost) else str(error) or type(error).__name__
            if not isinstance(error, TransportError):
                self.failure = error
        self.end = self.end or ConnectionLost(1006, reason)

    # ── what goes ────────────────────────────────────────────────────────────────────────────────────────────────────

    def ping(self) -> None:
        """Ask whether the other side is there."""
        self.outbox += self.codec.ping()

    def close(self, code: int, reason: str) -> None:
        """Say goodbye, unless this side has done so before."""
        if not self.close_sent:
            self.close_sent = True
            self.outbox += self.codec.close(code, shortened(reason))

    def take_outbox(self) -> bytes:
        """What is to be sent now."""
        data = bytes(self.outbox)
        self.outbox.clear()
        return data


def shortened(reason: str) -> str:
    """As much of `reason` as fits into a close frame."""
    return reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")
