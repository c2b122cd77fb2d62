"""Gemini Live, what a server's messages say: one frozen class for each thing; a message may say several (`decode.parse`)."""

from dataclasses import dataclass

from trunkline.errors import RemoteProtocolError
from trunkline.wire.realtime.usage import Usage


@dataclass(frozen=True, slots=True)
class SetupComplete:
    """The setup was taken."""

    session_id: str = ""


@dataclass(frozen=True, slots=True)
class AudioPiece:
    """Audio of the model's turn, linear16 mono at `rate` hertz."""

    audio: bytes
    rate: int


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Text of the model's turn, where it answers in text; thoughts are left out."""

    text: str


@dataclass(frozen=True, slots=True)
class InputText:
    """The next piece of what the user said; `finished` where the vendor says that it is the last."""

    text: str
    finished: bool = False


@dataclass(frozen=True, slots=True)
class InterimInputText:
    """What the user may have said; replaced later."""

    text: str


@dataclass(frozen=True, slots=True)
class OutputText:
    """The next piece of what the model says in its audio."""

    text: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The client's activity cut the generation."""


@dataclass(frozen=True, slots=True)
class GenerationComplete:
    """The model has produced everything of this turn; it may still be playing."""


@dataclass(frozen=True, slots=True)
class TurnComplete:
    """The turn is over; `reason` only in odd cases."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call of a tool; `arguments` is JSON text, `call_id` is "" where the vendor leaves it out."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """The model calls tools, all of them at once."""

    calls: tuple[FunctionCall, ...]


@dataclass(frozen=True, slots=True)
class CallsCancelled:
    """These calls are not to be answered."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UsageTold:
    """What the turn has cost up to now, in all."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class ResumptionUpdate:
    """The handle that takes the session up as it is now; None while there is none."""

    handle: str | None


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server ends the connection in `time_left` seconds."""

    time_left: float


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of the message that cannot be read; the rest of it can."""

    error: RemoteProtocolError


ServerEvent = (
    SetupComplete
    | AudioPiece
    | TextPiece
    | InputText
    | InterimInputText
    | OutputText
    | Interrupted
    | GenerationComplete
    | TurnComplete
    | ToolCalls
    | CallsCancelled
    | UsageTold
    | ResumptionUpdate
    | GoAway
    | Unreadable
)
