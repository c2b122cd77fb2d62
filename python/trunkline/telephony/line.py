"""A call's outgoing line, as playout sees it, whoever the carrier is."""

from dataclasses import dataclass
from typing import Protocol

from trunkline.audio import AudioFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class PortTraits:
    """What a carrier's media stream can do.

    Attributes:
        format: The audio that the carrier plays.
        frame_ms: Length of a whole frame; messages hold one or more of these.
        can_clear: The carrier can forget audio that it has not played yet.
        returns_marks: The carrier tells when playback reached a mark.
        max_lead_ms: How much audio may be sent ahead of what is being heard.
    """

    format: AudioFormat
    frame_ms: int = 20
    can_clear: bool = True
    returns_marks: bool = True
    max_lead_ms: int = 400


class CarrierPort(Protocol):
    """Where playout writes; nothing else writes to the phone. Marks come back through the bridge's `mark_received`.

    All methods raise `TransportError` when the line is gone.
    """

    @property
    def traits(self) -> PortTraits:
        """What this carrier can do."""
        ...

    async def send_media(self, payload: bytes) -> None:
        """Queue whole frames at the carrier, behind what it holds already."""
        ...

    async def send_mark(self, name: str) -> None:
        """Ask to be told when everything queued so far has been played; only with `returns_marks`."""
        ...

    async def clear(self) -> None:
        """Drop everything queued and not played; only with `can_clear`."""
        ...
