"""OpenAI Realtime, the events a server sends: one frozen class for each that a voice session can use (GA, "Server events").

Ids are "" where a server leaves them out. `openai.parse` makes these.
"""

from dataclasses import dataclass

from trunkline.wire.realtime.openai.session import SessionInfo


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
    """The facts of an error object; `caused_by` is the `event_id` of the client event that caused it, `event_id` that of the error."""

    message: str
    code: str = ""
    kind: str = ""
    param: str = ""
    caused_by: str = ""
    event_id: str = ""


@dataclass(frozen=True, slots=True)
class ErrorReceived:
    """`error`: something was refused or failed; most leave the session open."""

    error: VendorError


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """`input_audio_buffer.speech_started`: `item_id` is what the user's item will be called."""

    item_id: str
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """`input_audio_buffer.speech_stopped`."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class InputCommitted:
    """`input_audio_buffer.committed`: the appended audio became an item, behind `previous_item_id`."""

    item_id: str
    previous_item_id: str = ""


@dataclass(frozen=True, slots=True)
class InputCleared:
    """`input_audio_buffer.cleared`."""


@dataclass(frozen=True, slots=True)
class TimeoutTriggered:
    """`input_audio_buffer.timeout_triggered`: the user was silent for so long that the model speaks by itself."""

    item_id: str
    audio_start_ms: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class InputTranscriptDelta:
    """`conversation.item.input_audio_transcription.delta`: the next words of the user's item."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class InputTranscriptCompleted:
    """`conversation.item.input_audio_transcription.completed`: all words of the user's item."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class InputTranscriptFailed:
    """`conversation.item.input_audio_transcription.failed`."""

    item_id: str
    error: VendorError


@dataclass(frozen=True, slots=True)
class Item:
    """A conversation item; `call_id`, `name` and `arguments` are those of a function call."""

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
class ItemDone:
    """`conversation.item.done`: an item is final."""

    item: Item


@dataclass(frozen=True, slots=True)
class ItemTruncated:
    """`conversation.item.truncated`: the model's item now ends at `audio_end_ms`."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    """`conversation.item.deleted`."""

    item_id: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one response; the cached ones are among those of the input, the reasoning ones among those of the output."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_text_tokens: int = 0
    input_audio_tokens: int = 0
    cached_tokens: int = 0
    cached_text_tokens: int = 0
    cached_audio_tokens: int = 0
    output_text_tokens: int = 0
    output_audio_tokens: int = 0
    reasoning_tokens: int = 0


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
    usage: TokenUsage | None = None


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
    """`response.output_audio.delta`: audio in the session's output format, any number of bytes."""

    response_id: str
    item_id: str
    audio: bytes


@dataclass(frozen=True, slots=True)
class AudioDone:
    """`response.output_audio.done`."""

    response_id: str
    item_id: str


@dataclass(frozen=True, slots=True)
class OutputDelta:
    """`response.output_audio_transcript.delta` or `response.output_text.delta`: the next words of the answer."""

    response_id: str
    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class OutputDone:
    """`response.output_audio_transcript.done` or `response.output_text.done`: all words of the item."""

    response_id: str
    item_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentsDelta:
    """`response.function_call_arguments.delta`: a piece of the arguments' JSON text."""

    response_id: str
    item_id: str
    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentsDone:
    """`response.function_call_arguments.done`: the whole JSON text; `name` is "" from servers that leave it out."""

    response_id: str
    item_id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a type that is not known here; harmless."""

    type: str


ServerEvent = (
    SessionCreated
    | SessionUpdated
    | ErrorReceived
    | SpeechStarted
    | SpeechStopped
    | InputCommitted
    | InputCleared
    | TimeoutTriggered
    | InputTranscriptDelta
    | InputTranscriptCompleted
    | InputTranscriptFailed
    | ItemAdded
    | ItemDone
    | ItemTruncated
    | ItemDeleted
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | AudioDelta
    | AudioDone
    | OutputDelta
    | OutputDone
    | ArgumentsDelta
    | ArgumentsDone
    | UnknownEvent
)
