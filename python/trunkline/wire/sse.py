"""Server-sent events: bytes become events, wherever the bytes are divided (the HTML standard, section 9.2)."""

from dataclasses import dataclass
from typing import Final

from trunkline.errors import MessageTooLarge

MAX_EVENT: Final = 16 * 2**20
"""Bytes that one event, or one line of it, may have: no vendor's come near it."""

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event; `event` is "" where it was not named."""

    event: str
    data: str


class SseParser:
    """Reads one stream.

    Args:
        max_event: Bytes that one event may have.
    """

    def __init__(self, *, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._unread = bytearray()
        self._searched = 0
        """How much of what is unread has no end of a line in it."""
        self._at_start = True
        self._skips_newline = False
        """The last line ended with a carriage return: a newline that follows belongs to it."""
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete.

        Raises:
            MessageTooLarge: An event is larger than it may be.
        """
        self._unread += data
        if self._at_start:
            if len(self._unread) < len(_BOM) and _BOM.startswith(self._unread):
                return []
            self._at_start = False
            if self._unread.startswith(_BOM):
                del self._unread[: len(_BOM)]
        events: list[ServerSentEvent] = []
        position = 0
        while (end := self._line_end(position)) is not None:
            event = self._take(bytes(self._unread[position:end]))
            if event is not None:
                events.append(event)
            position = end + 1
        del self._unread[:position]
        self._searched = len(self._unread)
        if self._size + len(self._unread) > self._max_event:
            raise MessageTooLarge(self._max_event)
        return events

    def _line_end(self, position: int) -> int | None:
        """Where the line ends that begins there; None if its end has not come."""
        unread = self._unread
        start = position or self._searched
        newline = unread.find(b"\n", start)
        if self._skips_newline and newline == position:
            self._skips_newline = False
            del unread[newline]
            newline = unread.find(b"\n", start)
        if len(unread) > position:
            self._skips_newline = False
        carriage_return = unread.find(b"\r", start, newline if newline >= 0 else len(unread))
        end = carriage_return if carriage_return >= 0 else newline
        if end < 0:
            return None
        self._skips_newline = end == carriage_return
        return end

    def _take(self, line: bytes) -> ServerSentEvent | None:
        """One line; the event, if this one ends it."""
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
            if self._size > self._max_event:
                raise MessageTooLarge(self._max_event)
        elif name == b"event":
            self._event = value.decode(errors="replace")
        return None  # comments have an empty name; `id` and `retry` are for clients that connect anew

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event, self._data
        self._event, self._data, self._size = "", [], 0
        return ServerSentEvent(event, b"\n".join(data).decode(errors="replace")) if data else None
