"""OpenAI Realtime, the events a server sends: one frozen class for each that a voice session uses (GA, "Server events").

Ids and texts are "" where a server leaves them out. `decode.parse` makes these.
"""

from dataclasses import dataclass

from trunkline.wire.realtime.openai.session import SessionInfo
from trunkline.wire.realtime.usage import Usage


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """`session.created`: the first event of a connection."""

    session: SessionInfo


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """`session.updated`: the whole session, after a change."""

    session: SessionInfo


@dataclass(frozen=True, slots=True)
class VendorError:
    """The facts of an error object.

    Attributes:
        kind: The vendor's class of errors, its `type`.
        caused_by: The `event_id` of the client event that caused it.
        event_id: The `event_id` of the error event itself.
        ends_session: The server cuts the connection after it.
    """

    message: str
    code: str = ""
    kind: str = ""
    param: str = ""
    caused_by: str = ""
    event_id: str = ""
    ends_session: bool = False


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """`error`: something was refused or failed; most leave the session open."""

    error: VendorError


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """`input_audio_buffer.speech_started`: `item_id` is what the user's item will be called."""

    item_id: str
    audio_start_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """`input_audio_buffer.speech_stopped`."""

    item_id: str
    audio_end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class InputCommitted:
    """`input_audio_buffer.committed`: the appended audio became an item."""

    item_id: str


@dataclass(frozen=True, slots=True)
class InputCleared:
    """`input_audio_buffer.cleared`: the appended audio was dropped."""


@dataclass(frozen=True, slots=True)
class InputTranscript:
    """`conversation.item.input_audio_transcription.delta` or `.completed`: the next words of the user's item, or all of them.

    Where a server sends all words so far each time, `text` is those that are settled, and `pending` those that may still change.
    """

    item_id: str
    text: str
    is_final: bool
    pending: str = ""


@dataclass(frozen=True, slots=True)
class InputTranscriptFailed:
    """`conversation.item.input_audio_transcription.failed`."""

    item_id: str
    error: VendorError


@dataclass(frozen=True, slots=True)
class Item:
    """A conversation item; `call_id`, `name` and `arguments` are those of a function call or of its output."""

    item_id: str
    kind: str
    role: str = ""
    status: str = ""
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """`conversation.item.added`: an item entered the conversation."""

    item: Item


@dataclass(frozen=True, slots=True)
class ResponseCreated:
    """`response.created`: the model begins an answer."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """`response.done`: always sent, however the answer ended; `reason` and `error` come from `status_details`."""

    response_id: str
    status: str
    reason: str = ""
    error: VendorError | None = None
    output: tuple[Item, ...] = ()
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class OutputItemAdded:
    """`response.output_item.added`."""

    response_id: str
    item: Item


@dataclass(frozen=True, slots=True)
class OutputItemDone:
    """`response.output_item.done`."""

    response_id: str
    item: Item


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """`response.output_audio.delta`: audio in the session's output format, any number of bytes.

    `content_index` says which part of the item it belongs to.
    """

    response_id: str
    item_id: str
    content_index: int
    audio: bytes


@dataclass(frozen=True, slots=True)
class OutputText:
    """The words of the answer: the next ones, or with `is_final` all of the part.

    Of `response.output_audio_transcript.delta` and `.done`, and of `response.output_text.delta` and `.done`.
    """

    response_id: str
    item_id: str
    content_index: int
    text: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """`response.function_call_arguments.delta`: a piece of the arguments' JSON text."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentsDone:
    """`response.function_call_arguments.done`: the whole JSON text."""

    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event that means nothing to a voice session; harmless."""

    type: str


ServerEvent = (
    SessionCreated
    | SessionUpdated
    | ErrorReceived
    | SpeechStarted
    | SpeechStopped
    | InputCommitted
    | InputCleared
    | InputTranscript
    | InputTranscriptFailed
    | ItemAdded
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | AudioDelta
    | OutputText
    | ArgumentsDelta
    | ArgumentsDone
    | UnknownEvent
)
