"""What happens in a realtime session, in every vendor's case told alike: one frozen class per event.

A vendor's own events (`trunkline.wire.realtime`) become these; the bridge and the facades are written against these alone. Ids are the
vendor's, or "" where it has none. Fields in milliseconds count audio, not time.
"""

from dataclasses import dataclass
from typing import Literal

from trunkline.audio import AudioFormat
from trunkline.errors import ProviderError


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The session is configured; the formats are what the vendor said it uses, not what was asked for."""

    session_id: str
    input_format: AudioFormat
    output_format: AudioFormat
    model: str = ""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The vendor heard the user begin to speak; `item_id` is what the user's turn will be called."""

    item_id: str = ""
    audio_start_ms: int = 0


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The vendor heard the user stop."""

    item_id: str = ""
    audio_end_ms: int = 0


@dataclass(frozen=True, slots=True)
class UserTurnCommitted:
    """What the user said became an item of the conversation, behind `previous_item_id` if the vendor said so.

    Here is its place in the conversation: the words come later under the same id, often after the answer has begun.
    """

    item_id: str = ""
    previous_item_id: str = ""


@dataclass(frozen=True, slots=True)
class UserTranscript:
    """The user's words: with `is_final` all of the item, otherwise the next piece. It may come after the answer has begun."""

    text: str
    is_final: bool
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The model begins an answer."""

    response_id: str = ""


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """Audio of the answer, in the session's output format, any number of bytes."""

    audio: bytes
    item_id: str = ""
    response_id: str = ""


@dataclass(frozen=True, slots=True)
class AgentTranscript:
    """The answer's words: with `is_final` all of the item, otherwise the next piece."""

    text: str
    is_final: bool
    item_id: str = ""
    response_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallRequested:
    """The model calls a tool; `arguments` is JSON text as the model wrote it. Answer with `send_tool_result`, once."""

    call_id: str
    name: str
    arguments: str
    response_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallCancelled:
    """The vendor takes a tool call back; no answer is wanted any more."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost, in tokens: in all, and of what kind where the vendor says so.

    Cached tokens are among those of the input, and cost less; reasoning tokens are among those of the output.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    cached_tokens: int = 0
    cached_text_tokens: int = 0
    cached_audio_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ResponseFinished:
    """The answer is over: no more audio, words or tool calls of it will come. `reason` is the vendor's word for why it was cut."""

    response_id: str = ""
    status: Literal["completed", "cancelled", "incomplete", "failed"] = "completed"
    reason: str = ""
    usage: Usage | None = None
    error: ProviderError | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The vendor dropped its answer because the user spoke."""

    response_id: str = ""


@dataclass(frozen=True, slots=True)
class SessionRotated:
    """The vendor's session was replaced by a new one that knows the conversation."""

    session_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ErrorReported:
    """Something failed; if `fatal`, `SessionEnded` follows."""

    error: ProviderError
    fatal: bool = False


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The last event of every session."""

    reason: str
    error: ProviderError | None = None


SessionEvent = (
    SessionReady
    | SpeechStarted
    | SpeechStopped
    | UserTurnCommitted
    | UserTranscript
    | ResponseStarted
    | AudioReceived
    | AgentTranscript
    | ToolCallRequested
    | ToolCallCancelled
    | ResponseFinished
    | Interrupted
    | SessionRotated
    | ErrorReported
    | SessionEnded
)
