"""A WebSocket of the load's own, as light as it gets: text messages that are never fragmented, over a blocking socket on loopback.

What measures must take far less of the machine than what is measured, so this leaves out all that the gateway does not make use of.
"""

import base64
import hashlib
import os
import socket
import struct
from typing import Final, Self
from urllib.parse import urlsplit

from websockets.speedups import apply_mask

TEXT: Final = 0x81
CLOSE: Final = 0x88
PING: Final = 0x89
NO_MASK: Final = bytes(4)
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Wire:
    """One end of an open WebSocket; `receive` is called when its socket can be read."""

    def __init__(self, peer: socket.socket, *, is_client: bool, rest: bytes = b"") -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = peer
        self.is_open = True
        self._mask_bit = 0x80 if is_client else 0
        self._mask = NO_MASK if is_client else b""  # a mask of zeros is a mask, and leaves the text as it is
        self._buffer = rest

    @classmethod
    def dial(cls, url: str) -> Self:
        """Connect and shake hands."""
        to = urlsplit(url)
        peer = socket.create_connection((to.hostname, to.port))
        key = base64.b64encode(os.urandom(16)).decode()
        peer.sendall(
            f"GET {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head, rest = _head(peer)
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.decode())
        return cls(peer, is_client=True, rest=rest)

    @classmethod
    def answer(cls, listener: socket.socket) -> Self:
        """Accept one connection and shake hands."""
        peer, _ = listener.accept()
        head, rest = _head(peer)
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        key = next(value for name, value in fields.items() if name.lower() == b"sec-websocket-key")
        accept = base64.b64encode(hashlib.sha1(key.strip() + GUID).digest())
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
        )
        return cls(peer, is_client=False, rest=rest)

    def send(self, text: bytes) -> None:
        """Send one text message."""
        self._send(TEXT, text)

    def receive(self) -> list[bytes]:
        """Read once; the messages that are whole now."""
        data = self.socket.recv(262_144)
        self.is_open = self.is_open and bool(data)
        self._buffer += data
        return self._messages()

    def receive_one(self) -> bytes:
        """Wait for one message."""
        while self.is_open:
            if found := self._messages():
                return found[0]
            self._buffer += self.socket.recv(262_144)
        raise ConnectionError("closed")

    def close(self) -> None:
        self.is_open = False
        self.socket.close()

    def _send(self, head: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            length = bytes((head, self._mask_bit | size))
        elif size < 65_536:
            length = struct.pack("!BBH", head, self._mask_bit | 126, size)
        else:
            length = struct.pack("!BBQ", head, self._mask_bit | 127, size)
        self.socket.sendall(length + self._mask + payload)

    def _messages(self) -> list[bytes]:
        found, at, data = [], 0, self._buffer
        while len(data) - at >= 2:
            head, size = data[at], data[at + 1]
            start = at + 2
            masked, size = size & 0x80, size & 0x7F
            if size >= 126:
                wide = 2 if size == 126 else 8
                size = int.from_bytes(data[start : start + wide])
                start += wide
            key = data[start : start + 4] if masked else b""
            start += len(key)
            if len(data) < start + size or (masked and len(key) < 4):
                break
            payload = data[start : start + size]
            at = start + size
            if head == TEXT:
                found.append(apply_mask(payload, key) if masked else payload)
            elif head == PING:
                self._send(0x8A, apply_mask(payload, key) if masked else payload)
            elif head == CLOSE:
                self.is_open = False
        self._buffer = data[at:]
        return found


def _head(peer: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = peer.recv(65_536)
        if not more:
            raise ConnectionError("closed during the handshake")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest
