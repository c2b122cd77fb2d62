"""How a vendor's messages with audio look, as data: what is needed to read and write them without the vendor's codec.

A codec makes these for its socket, and the frame path reads and writes fifty messages a second by them. What does not fit a shape in
every respect goes to the codec itself, which says what is wrong; so a shape takes only what its codec would take.

A path names the members that lead to a value, with dots between: `media.payload`. `[0]` is the first element of an array and `[]` any,
as in `serverContent.modelTurn.parts.[].inlineData.data`.
"""

from dataclasses import dataclass
from enum import Enum

__all__ = ["Anything", "Counter", "Expected", "MarkTemplate", "MediaShape", "MediaTemplate"]


class Anything(Enum):
    """What a member may say where its value does not matter."""

    DIGITS = "digits"
    """Any string of 1 to 18 digits."""
    TEXT = "text"
    """Any string."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A member besides the audio, and what it must say for its message to be wanted audio.

    Args:
        path: Where it is.
        says: A string, one of several strings, a whole number, or anything of a kind.
        is_optional: Whether it may be missing; then its absence says the same.
    """

    path: str
    says: str | tuple[str, ...] | int | Anything
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Counter:
    """A member that counts messages.

    Args:
        path: Where it is.
        is_text: Whether it is a string of digits; otherwise it is a number.
    """

    path: str
    is_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaShape:
    """How a message with audio is recognised and read.

    Args:
        audio: The path of the audio, as base64 in JSON; None where audio comes as binary messages. The rest is about JSON, but for the
            last.
        expected: What other members must say.
        response_id: The path of the id of the response that the audio belongs to, where a provider tells it.
        item_id: The path of the id of the item that the audio belongs to, where a provider tells it.
        counter: What numbers all messages of a carrier's socket, so that lost ones are noticed.
        order: What numbers a carrier's messages with audio, where they do not come in order.
        is_closed: Whether the objects on the paths may have no members but those named here, and arrays that are looked into no more than
            one element: for vendors who say several things in one message.
        in_binary: Whether JSON comes in binary messages as well as in text.
        max_audio_bytes: Bytes of audio that a message may have; None for any number.
        frame_bytes: For binary messages: bytes that each must have; None for any number.
    """

    audio: str | None
    expected: tuple[Expected, ...] = ()
    response_id: str | None = None
    item_id: str | None = None
    counter: Counter | None = None
    order: Counter | None = None
    is_closed: bool = False
    in_binary: bool = False
    max_audio_bytes: int | None = None
    frame_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaTemplate:
    """How a message with audio is written.

    Args:
        head: The text before the base64 of the audio; None where audio goes as binary messages.
        tail: The text behind it.
        frame_bytes: Bytes of a frame, where only whole frames may be sent: a text message then holds some of them, a binary message exactly
            one.
    """

    head: str | None
    tail: str = ""
    frame_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class MarkTemplate:
    """How a mark is written, which the carrier sends back when it has played all that was sent before.

    Args:
        head: The text before the mark's name, which is digits and a colon.
        tail: The text behind it.
    """

    head: str
    tail: str
