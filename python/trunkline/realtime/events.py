"""What happens in a realtime session, told alike for every vendor: one frozen class per event.

A vendor's own events (`trunkline.wire.realtime`) become these; the bridge and the facades are written against these alone. Ids are never
empty: where the vendor has none, its session mints them, one for each turn of the user, each answer, each item of an answer, and each tool
call. An event made without one raises `LocalProtocolError`. Fields in milliseconds count audio, not time.
"""

from dataclasses import dataclass, field
from typing import Literal

from trunkline.audio import AudioFormat
from trunkline.errors import LocalProtocolError, ProviderError
from trunkline.wire.realtime.usage import Usage as Usage  # noqa: PLC0414 - part of the events


def _check_id(event: object, **ids: str) -> None:
    for name, value in ids.items():
        if not value:
            raise LocalProtocolError(f"{type(event).__name__} needs {name}; mint one where the vendor has none")


@dataclass(frozen=True, slots=True)
class SessionReady:
    """The session is configured; the formats are what the vendor said it uses, not what was asked for.

    `resumed` says that the vendor took up the session of `ProcessConfig.resume_handle` and was not told the history.
    """

    session_id: str
    input_format: AudioFormat
    output_format: AudioFormat
    model: str = ""
    resumed: bool = False

    def __post_init__(self) -> None:
        _check_id(self, session_id=self.session_id)


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The vendor heard the user begin to speak; only with `Capabilities.reports_speech`, and once for each item.

    Args:
        item_id: What the user's turn will be called.
        audio_start_ms: Where in the audio that was given to `send_audio`, all of it; None where the vendor does not say.
    """

    item_id: str
    audio_start_ms: int | None = None

    def __post_init__(self) -> None:
        _check_id(self, item_id=self.item_id)


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The vendor heard the user stop; its fields are those of `SpeechStarted`.

    Each `SpeechStarted` gets one, also where it was no speech after all; then no words and no `UserTurnCommitted` come.
    """

    item_id: str
    audio_end_ms: int | None = None

    def __post_init__(self) -> None:
        _check_id(self, item_id=self.item_id)


@dataclass(frozen=True, slots=True)
class UserTurnCommitted:
    """What the user said became an item of the conversation.

    Here is its place in the conversation: the words come later under the same id, often after the answer has begun. Where the vendor does
    not tell of it, its session may do so before the answer to the turn begins. Where nobody does, the first event of the turn is its place.
    """

    item_id: str

    def __post_init__(self) -> None:
        _check_id(self, item_id=self.item_id)


@dataclass(frozen=True, slots=True)
class UserTranscript:
    """The user's words: with `is_final` all of the item, otherwise the next piece. It may come after the answer has begun.

    Each item with words gets one final, the last of it. Where the vendor does not say that the words are complete, its session takes them
    for complete when the answer to them is over, the next turn begins or the session ends.

    Args:
        text: Words that the vendor will not change, to be put behind those that came before; "" if there are no new ones.
        is_final: Whether this is the whole text of the item, which replaces the pieces.
        item_id: Which turn of the user.
        pending: What the vendor believes to come behind the words so far. It holds until the next event of the item, and is only for
            showing and for noticing that the user speaks.
    """

    text: str
    is_final: bool
    item_id: str
    pending: str = ""

    def __post_init__(self) -> None:
        _check_id(self, item_id=self.item_id)


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The model begins an answer. Answers do not overlap: the one before has finished.

    With `ToolCallRequested` it ends before the results are given: what the model says when it has them is a new answer, also where the
    vendor makes one turn of both.
    """

    response_id: str

    def __post_init__(self) -> None:
        _check_id(self, response_id=self.response_id)


@dataclass(frozen=True, slots=True)
class AudioReceived:
    """Audio of the answer, in the session's output format, any number of bytes.

    `item_id` is what `truncate` takes: a vendor whose items have several spoken parts gives each part an item id of its own.
    """

    audio: bytes
    item_id: str
    response_id: str

    def __post_init__(self) -> None:
        if not self.item_id or not self.response_id:
            _check_id(self, item_id=self.item_id, response_id=self.response_id)


@dataclass(frozen=True, slots=True)
class AgentTranscript:
    """The answer's words: with `is_final` all of the item, otherwise the next piece. An answer that was cut may get no final."""

    text: str
    is_final: bool
    item_id: str
    response_id: str

    def __post_init__(self) -> None:
        _check_id(self, item_id=self.item_id, response_id=self.response_id)


@dataclass(frozen=True, slots=True)
class ToolCallRequested:
    """The model calls a tool; `arguments` is JSON text as the model wrote it. Answer with `send_tool_result`, once."""

    call_id: str
    name: str
    arguments: str
    response_id: str

    def __post_init__(self) -> None:
        _check_id(self, call_id=self.call_id, response_id=self.response_id)


@dataclass(frozen=True, slots=True)
class ToolCallCancelled:
    """The vendor takes a tool call back; no answer is wanted any more, and one that comes nevertheless is dropped."""

    call_id: str

    def __post_init__(self) -> None:
        _check_id(self, call_id=self.call_id)


@dataclass(frozen=True, slots=True)
class ResponseFinished:
    """The answer is over: no more audio, words or tool calls of it will come. `reason` is the vendor's word for why it was cut.

    Each `ResponseStarted` gets one, also where the vendor forgets it, unless the session ends before.
    """

    response_id: str
    status: Literal["completed", "cancelled", "incomplete", "failed"] = "completed"
    reason: str = ""
    usage: Usage | None = None
    error: ProviderError | None = None

    def __post_init__(self) -> None:
        _check_id(self, response_id=self.response_id)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The vendor dropped its answer because the user spoke; `ResponseFinished` of it may follow or have come before.

    Where the vendor does not name the answer, it is the last one; where there was none, nothing is told.
    """

    response_id: str

    def __post_init__(self) -> None:
        _check_id(self, response_id=self.response_id)


@dataclass(frozen=True, slots=True)
class SessionEnding:
    """The vendor said when it will end the session, in seconds of the provider's clock: `RealtimeSession.ending_at` from now on.

    With a moment that has passed, the session should be replaced as soon as it may: the vendor takes no more of something.
    """

    ending_at: float


@dataclass(frozen=True, slots=True)
class SessionResumable:
    """What takes this session up, as it is now, in a new connection: only the last one holds; only with `Capabilities.resume`.

    `handle` goes into `ProcessConfig.resume_handle`. None: as it is now, it cannot be taken up, and the history must be told.
    """

    handle: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionRotated:
    """The vendor's session was replaced by a new one that knows the conversation. Its formats may be others than before.

    `provider` is the name of the provider that the new session comes from.
    """

    session_id: str
    input_format: AudioFormat
    output_format: AudioFormat
    provider: str
    reason: str = ""

    def __post_init__(self) -> None:
        _check_id(self, session_id=self.session_id)


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
    | SessionEnding
    | SessionResumable
    | SessionRotated
    | ErrorReported
    | SessionEnded
)
