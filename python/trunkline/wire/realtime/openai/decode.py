"""OpenAI Realtime, what a server sends: `parse` makes an event of each message (GA, "Server events").

Lenient where servers of the same kind differ: ids may be missing, `status_details` may be an object, a text or null, and a type
that is not known here is an `UnknownEvent`. What a client sends is in `commands`, the session object in `session`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import SchemaValidator, ValidationError, core_schema, from_json

from trunkline.errors import RemoteProtocolError
from trunkline.wire.realtime.openai.events import (
    ArgumentsDelta,
    ArgumentsDone,
    AudioDelta,
    AudioDone,
    ErrorReceived,
    InputCleared,
    InputCommitted,
    InputTranscriptCompleted,
    InputTranscriptDelta,
    InputTranscriptFailed,
    Item,
    ItemAdded,
    ItemDeleted,
    ItemDone,
    ItemTruncated,
    OutputDelta,
    OutputDone,
    OutputItemAdded,
    OutputItemDone,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    TimeoutTriggered,
    TokenUsage,
    UnknownEvent,
    VendorError,
)
from trunkline.wire.realtime.openai.session import VENDOR, read_session

# Takes a fifth of the time of `binascii`, which is most of what reading a delta of audio takes.
_BASE64 = SchemaValidator(core_schema.bytes_schema(), config=core_schema.CoreConfig(val_json_bytes="base64"))


def parse(message: str | bytes) -> ServerEvent:
    """Read one message of the server.

    Raises:
        RemoteProtocolError: It is not JSON, or a member that the event cannot do without is missing or of another type;
            `path` names the member.
    """
    try:
        event = from_json(message)
    except ValueError as error:
        raise RemoteProtocolError(VENDOR, f"not JSON: {error}") from error
    if not isinstance(event, dict):
        raise RemoteProtocolError(VENDOR, "not an object")
    kind = event.get("type")
    if not isinstance(kind, str):
        raise RemoteProtocolError(VENDOR, "not a text", path="type")
    read = _READERS.get(kind)
    return UnknownEvent(kind) if read is None else read(event)


_Object = Mapping[str, Any]


def _text(event: _Object, name: str, within: str = "") -> str:
    value = event.get(name)
    if not isinstance(value, str):
        raise RemoteProtocolError(VENDOR, "missing" if value is None else "not a text", path=within + name)
    return value


def _id(event: _Object, name: str, within: str = "") -> str:
    return "" if event.get(name) is None else _text(event, name, within)


def _number(event: _Object, name: str, within: str = "") -> int:
    value = event.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise RemoteProtocolError(VENDOR, "not a whole number", path=within + name)
    return int(value)


def _object(event: _Object, name: str) -> _Object:
    value = event.get(name)
    if not isinstance(value, dict):
        raise RemoteProtocolError(VENDOR, "missing" if value is None else "not an object", path=name)
    return value


def _audio(event: _Object) -> bytes:
    try:
        audio: bytes = _BASE64.validate_strings(_text(event, "delta"))  # type: ignore[arg-type]  # its stub forgets texts
    except ValidationError:
        # Not chained: that error holds the whole delta.
        raise RemoteProtocolError(VENDOR, "not base64", path="delta") from None
    return audio


def _optional(event: _Object, name: str) -> _Object:
    """An object whose absence, or whose being something else, says nothing."""
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _error(error: _Object, within: str = "error.", *, event_id: object = None) -> VendorError:
    return VendorError(
        message=_id(error, "message", within),
        code=_id(error, "code", within),
        kind=_id(error, "type", within),
        param=_id(error, "param", within),
        caused_by=_id(error, "event_id", within),
        event_id=event_id if isinstance(event_id, str) else "",
    )


def _item(item: _Object, within: str = "item.") -> Item:
    return Item(
        item_id=_id(item, "id", within),
        kind=_text(item, "type", within),
        role=_id(item, "role", within),
        status=_id(item, "status", within),
        call_id=_id(item, "call_id", within),
        name=_id(item, "name", within),
        arguments=_id(item, "arguments", within),
    )


def _input_transcript(event: _Object) -> ServerEvent:
    if event.get("status") == "in_progress":  # an interim version, which one vendor's dialect sends under the same name
        return UnknownEvent("conversation.item.input_audio_transcription.completed")
    return InputTranscriptCompleted(_id(event, "item_id"), _text(event, "transcript"))


def _response_done(event: _Object) -> ServerEvent:
    response = _object(event, "response")
    reason, error = _status_details(response.get("status_details"))
    output = response.get("output") or ()
    if not isinstance(output, list | tuple) or not all(isinstance(item, dict) for item in output):
        raise RemoteProtocolError(VENDOR, "not a list of objects", path="response.output")
    usage = response.get("usage")
    return ResponseDone(
        response_id=_id(response, "id", "response."),
        status=_text(response, "status", "response."),
        reason=reason,
        error=error,
        output=tuple(_item(item, f"response.output[{index}].") for index, item in enumerate(output)),
        usage=_usage(usage) if isinstance(usage, dict) else None,
    )


def _usage(usage: _Object) -> TokenUsage:
    within = "response.usage."
    heard, said = _optional(usage, "input_token_details"), _optional(usage, "output_token_details")
    cached = _optional(heard, "cached_tokens_details")
    return TokenUsage(
        input_tokens=_number(usage, "input_tokens", within),
        output_tokens=_number(usage, "output_tokens", within),
        total_tokens=_number(usage, "total_tokens", within),
        input_text_tokens=_number(heard, "text_tokens", f"{within}input_token_details."),
        input_audio_tokens=_number(heard, "audio_tokens", f"{within}input_token_details."),
        cached_tokens=_number(heard, "cached_tokens", f"{within}input_token_details."),
        cached_text_tokens=_number(cached, "text_tokens", f"{within}input_token_details.cached_tokens_details."),
        cached_audio_tokens=_number(cached, "audio_tokens", f"{within}input_token_details.cached_tokens_details."),
        output_text_tokens=_number(said, "text_tokens", f"{within}output_token_details."),
        output_audio_tokens=_number(said, "audio_tokens", f"{within}output_token_details."),
        reasoning_tokens=_number(said, "reasoning_tokens", f"{within}output_token_details."),
    )


def _status_details(details: object) -> tuple[str, VendorError | None]:
    if isinstance(details, str):
        return details, None
    if not isinstance(details, dict):
        return "", None
    error = details.get("error")
    within = "response.status_details."
    return _id(details, "reason", within), _error(error, f"{within}error.") if isinstance(error, dict) else None


def _output_delta(event: _Object) -> ServerEvent:
    return OutputDelta(_id(event, "response_id"), _id(event, "item_id"), _text(event, "delta"))


_GA_READERS: Mapping[str, Callable[[_Object], ServerEvent]] = {
    "session.created": lambda e: SessionCreated(read_session(_object(e, "session"))),
    "session.updated": lambda e: SessionUpdated(read_session(_object(e, "session"))),
    "error": lambda e: ErrorReceived(_error(_object(e, "error"), event_id=e.get("event_id"))),
    "input_audio_buffer.speech_started": lambda e: SpeechStarted(_id(e, "item_id"), _number(e, "audio_start_ms")),
    "input_audio_buffer.speech_stopped": lambda e: SpeechStopped(_id(e, "item_id"), _number(e, "audio_end_ms")),
    "input_audio_buffer.committed": lambda e: InputCommitted(_id(e, "item_id"), _id(e, "previous_item_id")),
    "input_audio_buffer.cleared": lambda _: InputCleared(),
    "input_audio_buffer.timeout_triggered": lambda e: TimeoutTriggered(
        _id(e, "item_id"), _number(e, "audio_start_ms"), _number(e, "audio_end_ms")
    ),
    "conversation.item.input_audio_transcription.delta": lambda e: InputTranscriptDelta(
        _id(e, "item_id"), _id(e, "delta")
    ),
    "conversation.item.input_audio_transcription.completed": _input_transcript,
    "conversation.item.input_audio_transcription.failed": lambda e: InputTranscriptFailed(
        _id(e, "item_id"), _error(_object(e, "error"), event_id=e.get("event_id"))
    ),
    "conversation.item.added": lambda e: ItemAdded(_item(_object(e, "item"))),
    "conversation.item.done": lambda e: ItemDone(_item(_object(e, "item"))),
    "conversation.item.truncated": lambda e: ItemTruncated(_id(e, "item_id"), _number(e, "audio_end_ms")),
    "conversation.item.deleted": lambda e: ItemDeleted(_id(e, "item_id")),
    "response.created": lambda e: ResponseCreated(_id(_object(e, "response"), "id", "response.")),
    "response.done": _response_done,
    "response.output_item.added": lambda e: OutputItemAdded(_id(e, "response_id"), _item(_object(e, "item"))),
    "response.output_item.done": lambda e: OutputItemDone(_id(e, "response_id"), _item(_object(e, "item"))),
    "response.output_audio.delta": lambda e: AudioDelta(_id(e, "response_id"), _id(e, "item_id"), _audio(e)),
    "response.output_audio.done": lambda e: AudioDone(_id(e, "response_id"), _id(e, "item_id")),
    "response.output_audio_transcript.delta": _output_delta,
    "response.output_audio_transcript.done": lambda e: OutputDone(
        _id(e, "response_id"), _id(e, "item_id"), _text(e, "transcript")
    ),
    "response.output_text.delta": _output_delta,
    "response.output_text.done": lambda e: OutputDone(_id(e, "response_id"), _id(e, "item_id"), _text(e, "text")),
    "response.function_call_arguments.delta": lambda e: ArgumentsDelta(
        _id(e, "response_id"), _id(e, "item_id"), _id(e, "call_id"), _text(e, "delta")
    ),
    "response.function_call_arguments.done": lambda e: ArgumentsDone(
        _id(e, "response_id"), _id(e, "item_id"), _id(e, "call_id"), _id(e, "name"), _text(e, "arguments")
    ),
}

# The older dialect's names for the same events ("Beta"); a server speaks one of the two, or a mixture.
_BETA_NAMES = {
    "conversation.item.created": "conversation.item.added",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
}

_READERS = {**_GA_READERS, **{older: _GA_READERS[name] for older, name in _BETA_NAMES.items()}}
