"""What a carrier's media stream says, whoever the carrier is: one frozen class per event."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.audio import AudioFormat


@dataclass(frozen=True, slots=True)
class StreamConnected:
    """The socket is open; nothing is known of the call yet."""


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """The call's media begins; `format` is what the carrier says it sends."""

    stream_id: str
    call_id: str
    format: AudioFormat
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaReceived:
    """Audio of the caller; `timestamp_ms` counts from the start of the stream, `sequence` every message of it."""

    payload: bytes
    timestamp_ms: int
    sequence: int


@dataclass(frozen=True, slots=True)
class MarkReceived:
    """Playback reached a mark, or the mark was dropped by a clear."""

    name: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """The carrier dropped what it held: every mark that was pending is over, and no event of its own comes for it."""


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """The caller pressed a key: 0-9, *, # or A-D."""

    digit: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The carrier ended the stream."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class UnknownReceived:
    """A message of a kind that is not known here; harmless."""

    kind: str


StreamEvent = (
    StreamConnected
    | StreamStarted
    | MediaReceived
    | MarkReceived
    | Cleared
    | DtmfReceived
    | StreamStopped
    | UnknownReceived
)
