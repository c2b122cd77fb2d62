"""What simulated voices say: a tone that lasts as long as the text is long, and how fast it is handed out."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle

import anyio

from trunkline.audio import AudioFormat, tone
from trunkline.clock import Clock
from trunkline.testing.faults import Drop, Fault, HalfOpen, Stall
from trunkline.transport.http.routing import BodyWriter, CutBody, SendBody

MS_PER_CHARACTER = 60
_HERTZ = 400.0
_UNEVEN = (1_001, 317, 4_099, 160, 2_053)
"""Bytes of the pieces of a body, prime or odd, so that none is a whole frame or a whole sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How a simulated voice speaks, and what it said.

    Args:
        first_byte: Seconds from a text to its first audio.
        speed: How many times faster than it plays the audio comes; None for all at once.
        message_ms: How much audio one message of a WebSocket holds, in milliseconds.
        alignments: Whether the times of characters are told, by a vendor that has them.
        finals: Whether the end of a text is told on a WebSocket.
        clears: Whether dropping a text is confirmed, by a vendor that confirms it.
        snake_case: Whether names are written as in `context_id`, by a vendor that has used two spellings.
        spoken: Each text that was spoken, in order.
    """

    first_byte: float = 0.0
    speed: float | None = None
    message_ms: int = 480
    alignments: bool = True
    finals: bool = True
    clears: bool = True
    snake_case: bool = False
    spoken: list[str] = field(default_factory=list)

    def speak(self, text: str, audio_format: AudioFormat) -> bytes:
        """A tone of 60 ms for each character."""
        if not text:
            return b""
        return tone(_HERTZ, duration_ms=len(text) * MS_PER_CHARACTER, audio_format=audio_format)

    async def think(self, clock: Clock) -> None:
        """Let the time to the first byte pass."""
        await clock.sleep_until(clock.now() + self.first_byte)

    async def pace(self, milliseconds: float, clock: Clock) -> None:
        """Let the time pass in which so much audio is made."""
        seconds = 0.0 if self.speed is None else milliseconds / 1000 / self.speed
        await clock.sleep_until(clock.now() + seconds)


def uneven(audio: bytes) -> Iterator[bytes]:
    """The audio in pieces of uneven sizes."""
    start = 0
    for size in cycle(_UNEVEN):
        if start >= len(audio):
            return
        yield audio[start : start + size]
        start += size


def body_of(
    pieces: Iterable[tuple[bytes, float]], voice: Voice, due: Callable[[str], Fault | None], clock: Clock
) -> BodyWriter:
    """The body of an answer over HTTP.

    Faults at `"audio"` strike behind a piece: `Drop` cuts the body, `Stall` and `HalfOpen` hold it.

    Args:
        pieces: Bytes, and how many milliseconds of audio are in them.
        voice: How fast it speaks.
        due: The faults.
        clock: Where time comes from.
    """

    async def write(send: SendBody) -> None:
        await voice.think(clock)
        for piece, milliseconds in pieces:
            await send(piece)
            match due("audio"):
                case Drop():
                    raise CutBody
                case HalfOpen():
                    await anyio.sleep_forever()
                case Stall(seconds=seconds):
                    await clock.sleep_until(clock.now() + seconds)
                case _:
                    pass
            await voice.pace(milliseconds, clock)

    return write
