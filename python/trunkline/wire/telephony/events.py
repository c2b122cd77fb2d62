"""What a carrier's media stream says, whoever the carrier is: one frozen class per event."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class StreamConnected:
    """The socket is open; nothing is known of the call yet."""


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The call's media begins; `format` is what the carrier says it sends.

    The ids are "" where the carrier's stream does not name them; `parameters` holds what was attached to the stream when it was asked for.
    """

    stream_id: str
    call_id: str
    format: AudioFormat
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaReceived:
    """Audio of the caller; `timestamp_ms` counts from the start of the stream, `sequence` every message of it.

    Where the carrier does not number its audio, they are counted here: the audio that came before, and the pieces of it. Audio comes in
    real time without pauses: a line whose carrier sends none while the caller is muted gives silence in its place.
    """

    payload: bytes
    timestamp_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class MarkReceived:
    """Playback reached a mark, or the mark was dropped by a clear."""

    name: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """The carrier dropped what it held, as it was asked to: one for each `clear`, in their order.

    Every mark sent before that `clear` is over, and no event of its own comes for it any more. Marks sent after it are still to come.
    """


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """The caller pressed a key: 0-9, *, # or A-D."""

    digit: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The carrier ended the stream."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """The carrier could not do something that it was asked for; the stream goes on."""

    message: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class UnknownReceived:
    """A message of a kind that is not known here, or that nothing follows from, such as a mute; harmless."""

    kind: str


StreamEvent = (
    StreamConnected
    | StreamStarted
    | MediaReceived
    | MarkReceived
    | Cleared
    | DtmfReceived
    | StreamStopped
    | ErrorReceived
    | UnknownReceived
)
