"""A call's media, whoever the carrier is: the one object that the bridge reads the caller from and writes to the phone through."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from trunkline.audio import AudioFormat
from trunkline.wire.telephony.events import StreamEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTraits:
    """What a carrier's media stream can do.

    Attributes:
        format: The audio in both directions, as the carrier's `StreamStarted` said it.
        frame_ms: Milliseconds of a frame.
        whole_frames: Each `send_media` must hold whole frames, one or several. Otherwise the carrier takes any number of whole samples.
        can_clear: The carrier can forget audio that it has not played yet. Where it cannot, what was sent will be heard.
        returns_marks: The carrier tells when playback reached a mark. Where it does not, or only guesses by a clock of its own, the clock
            here decides what was heard.
        max_lead_ms: How much audio may be sent ahead of what is being heard, in milliseconds; less than the carrier can hold.
    """

    format: AudioFormat
    frame_ms: int = 20
    whole_frames: bool = False
    can_clear: bool = True
    returns_marks: bool = True
    max_lead_ms: int = 400


@runtime_checkable
class DtmfLine(Protocol):
    """A line whose carrier presses keys for us through the media stream itself."""

    async def send_dtmf(self, digits: str) -> None:
        """Press these keys, 0 to 9, `*`, `#` and A to D, one after the other; it does not wait for the audio that is queued.

        Raises:
            LocalProtocolError: The stream has not started, or one of them is no key.
            TransportError: As for `send_media`.
        """
        ...


class CallLine(Protocol):
    """The media of one call: events of the caller in, audio for the caller out.

    One task receives; the other methods may be called from any task. `telephony.<carrier>` has one class for each carrier; a line of your
    own (a recording, a sound card) needs these methods and nothing else. Hanging up by force, transfer, and keys where the line is no
    `DtmfLine`, are matters of the carrier's other interfaces.
    """

    @property
    def traits(self) -> LineTraits:
        """What this line can do; settled once `receive` has given `StreamStarted`."""
        ...

    async def receive(self) -> StreamEvent:
        """The next event of the carrier, in the order of the wire; `StreamStarted` comes once, before any audio.

        After `StreamStopped` nothing more comes: do not call it again. A carrier that has no such message just closes. Cancelling it loses
        no event.

        Raises:
            RemoteProtocolError: A message cannot be read; the line is as it was before, and you may go on receiving.
            ConnectionLost: The line is gone; `clean` tells whether it was closed in order. Also when it is closed from this side meanwhile.
            TransportError: The line is gone, for another reason.
        """
        ...

    async def send_media(self, payload: bytes) -> None:
        """Queue audio of the line's format at the carrier, behind what it holds already; whole frames with `whole_frames`.

        The line cuts it into messages as the carrier wants them. It may wait while the carrier is full.

        Raises:
            LocalProtocolError: The stream has not started.
            TransportError: The line is gone, or the carrier stopped the stream.
        """
        ...

    async def send_mark(self, name: str) -> None:
        """Ask for `MarkReceived(name)` when everything queued so far has been played or dropped; with `returns_marks` only.

        Raises:
            LocalProtocolError: The stream has not started, or the carrier has no marks.
            TransportError: As for `send_media`.
        """
        ...

    async def clear(self) -> None:
        """Drop everything queued and not played; with `can_clear` only.

        With `returns_marks`, the marks that were pending when it was called come back one by one, or `Cleared` for all of them; never both.

        Raises:
            LocalProtocolError: The stream has not started, or the carrier cannot clear.
            TransportError: As for `send_media`.
        """
        ...

    async def aclose(self) -> None:
        """Close the line: any number of times, from any task, within some seconds. For most carriers this hangs up."""
        ...
