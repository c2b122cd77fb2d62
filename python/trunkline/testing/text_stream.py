"""What simulated language models have in common: who thinks for them, how their streams are cut into pieces, and what goes wrong in them.

    vendor.script([Refuse(status=529), None, EndEarly(after=2)])

The first request is refused, the second one served, and the stream of the third one ends after two pieces of the answer.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import anyio

from trunkline.clock import Clock
from trunkline.testing.brain import CallTool, Heard, Say, Tools
from trunkline.transport import CutBody, SendBody


class TextBrain(Protocol):
    """Decides what a simulated model answers; a `ScriptedBrain` or a `LocalBrain` is one."""

    async def answer(self, history: Sequence[Heard], *, instructions: str, tools: Tools) -> Sequence[Say | CallTool]:
        """What to do next, with these tools on offer."""
        ...


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The request is answered with an HTTP status.

    Args:
        status: Which.
        code: The vendor's word for it; "" for the usual one of the status.
        message: The vendor's sentence.
        retry_after: The header of this name.
        body: Sent in place of the vendor's JSON, as proxies do.
    """

    status: int
    code: str = ""
    message: str = "refused on purpose"
    retry_after: str | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowHeaders:
    """Nothing is answered for so many seconds, and then all of it."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InStream:
    """Something goes wrong once so many pieces of the answer are sent: those of texts, thinking and arguments count."""

    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInStream(InStream):
    """The stream tells an error and ends."""

    code: str = ""
    message: str = "failed on purpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndEarly(InStream):
    """The response ends in order, and the answer in its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff(InStream):
    """The connection ends in the middle of the response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(InStream):
    """Nothing comes for so many seconds, and then the rest."""

    seconds: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed(InStream):
    """A message that is not JSON stands between the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLimit(InStream):
    """The model has used up its tokens: the answer ends there, and says so."""


StreamFault = Refuse | SlowHeaders | ErrorInStream | EndEarly | CutOff | Stall | Malformed | TokenLimit


class StreamScript:
    """Faults in the order of the requests they strike; None lets one pass."""

    def __init__(self) -> None:
        self._faults: deque[StreamFault | None] = deque()

    def extend(self, faults: Iterable[StreamFault | None]) -> None:
        """Put these behind the others."""
        self._faults.extend(faults)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    def next(self) -> StreamFault | None:
        """What strikes the request that has come."""
        return self._faults.popleft() if self._faults else None


# ── how it is sent ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How answers are sent.

    Args:
        pieces: What one piece of an answer holds: a word, a character, or all of it.
        segments: What is sent at once: one event, everything, or one byte, which divides characters and lines.
        first_delay: Seconds before the first event.
        piece_delay: Seconds before each piece.
        clock: Where the model's time comes from; the network itself lives in real time.
    """

    pieces: Literal["word", "character", "whole"] = "word"
    segments: Literal["event", "all", "byte"] = "event"
    first_delay: float = 0.0
    piece_delay: float = 0.0
    clock: Clock

    def cut(self, text: str) -> list[str]:
        """A text in pieces."""
        if self.pieces == "character":
            return list(text)
        if self.pieces == "whole":
            return [text] if text else []
        words = text.split(" ")
        return [f"{word} " for word in words[:-1]] + ([words[-1]] if words[-1] else [])


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, or a comment, as it stands on the wire; `is_piece` if it holds a piece of the answer."""

    data: bytes
    is_piece: bool = False


class StreamWriter:
    """Writes one answer, with what goes wrong in it.

    Args:
        events: The answer.
        error: The event that tells an error.
        limited: The events that end an answer whose tokens are used up.
    """

    def __init__(
        self, sending: Sending, fault: StreamFault | None, *, events: Sequence[Event], error: bytes, limited: bytes
    ) -> None:
        self._sending = sending
        self._fault = fault if isinstance(fault, InStream) else None
        self._events = events
        self._error = error
        self._limited = limited
        self.aborted = False
        """The client left before the end."""

    async def write(self, send: SendBody) -> None:
        """Send all of it.

        Raises:
            CutBody: The connection is to end here.
        """
        is_whole = False
        try:
            await self._write(send)
            is_whole = True
        except CutBody:
            is_whole = True
            raise
        finally:
            self.aborted = not is_whole

    async def _write(self, send: SendBody) -> None:
        await self._wait(self._sending.first_delay)
        held = bytearray()
        sent = 0
        fault = self._fault
        for event in self._events:
            if fault is not None and event.is_piece and sent == fault.after:
                await self._put(send, bytes(held))
                held.clear()
                if await self._fail(send, fault):
                    return
                fault = None
            if event.is_piece:
                sent += 1
                await self._wait(self._sending.piece_delay)
            if self._sending.segments == "all":
                held += event.data
            else:
                await self._put(send, event.data)
        if fault is not None and await self._fail(send, fault):
            return
        await self._put(send, bytes(held))

    async def _fail(self, send: SendBody, fault: InStream) -> bool:
        """Let it go wrong; whether the answer ends by it."""
        match fault:
            case ErrorInStream():
                await self._put(send, self._error)
            case TokenLimit():
                await self._put(send, self._limited)
            case CutOff():
                raise CutBody
            case Stall(seconds=seconds):
                await self._wait(seconds)
                return False
            case Malformed():
                await self._put(send, b'data: {"type": "content_block_delta", "del\n\n')
                return False
        return True

    async def _put(self, send: SendBody, data: bytes) -> None:
        if self._sending.segments == "byte":
            for index in range(len(data)):
                await send(data[index : index + 1])
        else:
            await send(data)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self._sending.clock.sleep_until(self._sending.clock.now() + seconds)
        else:
            await anyio.lowlevel.checkpoint()
