"""OpenAI Realtime, what a server sends: a `Decoder` makes an event of each message (GA, "Server events").

Lenient where servers of the same kind differ: a member that is odd or missing is left out, unless the event is nothing without it, and a
type that is not known here is an `UnknownEvent`. The end of a response is read whatever stands in it. What a client sends is in
`commands`, the session object in `session`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from pydantic_core import to_json

from trunkline.wire.fields import Fields, Reader, int_or, object_or_empty, objects, text_or
from trunkline.wire.realtime.flat_session import EVENT_NAMES
from trunkline.wire.realtime.openai.events import (
    ArgumentsDelta,
    ArgumentsDone,
    AudioDelta,
    ErrorReceived,
    InputCleared,
    InputCommitted,
    InputTranscript,
    InputTranscriptFailed,
    Item,
    ItemAdded,
    OutputItemAdded,
    OutputItemDone,
    OutputText,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
    UnknownEvent,
    VendorError,
)
from trunkline.wire.realtime.openai.session import READER, SessionInfo, read_session
from trunkline.wire.realtime.usage import Usage

EventReader: TypeAlias = Callable[[Fields], ServerEvent]


class Decoder:
    """Reads the messages of servers of one kind.

    Args:
        reader: Reads what an event cannot do without, and names the vendor in errors.
        read_session: Makes what is known of a session of its object.
        more: Readers of events that this vendor has otherwise, by their type.
        bare_errors: Whether an object without a type but with a `code` is an error after which the connection is cut.
    """

    def __init__(
        self,
        reader: Reader,
        read_session: Callable[[Fields], SessionInfo],
        more: Mapping[str, EventReader] | None = None,
        *,
        bare_errors: bool = False,
    ) -> None:
        present = _present(reader, read_session)
        # A server speaks one of the two dialects, or a mixture of both.
        older = {older: present[name] for older, name in EVENT_NAMES.items() if name in present}
        self._reader = reader
        self._readers = {**present, **older, **(more or {})}
        self._bare_errors = bare_errors

    def parse(self, message: str | bytes) -> ServerEvent:
        """Read one message of the server.

        Raises:
            RemoteProtocolError: It is not a JSON object with a type, or a member that the event cannot do without is missing or of another
                type; `path` names the member.
        """
        event = self._reader.message(message)
        kind = event.get("type")
        if not isinstance(kind, str):
            if self._bare_errors and "code" in event:
                return ErrorReceived(replace(error_in(event), ends_session=True))
            raise self._reader.error("not a text", "type")
        read = self._readers.get(kind)
        return UnknownEvent(kind) if read is None else read(event)


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _error_event(event: Fields) -> ServerEvent:
    return ErrorReceived(error_in(event))


def error_in(event: Fields) -> VendorError:
    """The error that an event holds, as an object, a text or in the event itself."""
    error = event.get("error")
    event_id = text_or(event, "event_id")
    if isinstance(error, dict):
        return _error(error, event_id)
    if isinstance(error, str):
        return VendorError(error, event_id=event_id)
    return VendorError(text_or(event, "message"), code=text_or(event, "code"), event_id=event_id)


def _error(error: Fields, event_id: str = "") -> VendorError:
    return VendorError(
        message=text_or(error, "message"),
        code=text_or(error, "code"),
        kind=text_or(error, "type"),
        param=text_or(error, "param"),
        caused_by=text_or(error, "event_id"),
        event_id=event_id,
    )


# ── what the user said ───────────────────────────────────────────────────────────────────────────────────────────────


def _input_transcript(reader: Reader, event: Fields) -> ServerEvent:
    if event.get("status") == "in_progress":  # an interim version, which one vendor's dialect sends under the same name
        return UnknownEvent("conversation.item.input_audio_transcription.completed")
    return InputTranscript(text_or(event, "item_id"), reader.text(event, "transcript"), is_final=True)


# ── items and what is in them ────────────────────────────────────────────────────────────────────────────────────────


def _item(item: Fields) -> Item:
    return Item(
        item_id=text_or(item, "id"),
        kind=text_or(item, "type"),
        role=text_or(item, "role"),
        status=text_or(item, "status"),
        call_id=text_or(item, "call_id"),
        name=text_or(item, "name"),
        arguments=_arguments(item),
    )


def _arguments(fields: Fields) -> str:
    """The arguments of a call as JSON text; some servers send the object itself."""
    arguments = fields.get("arguments")
    return to_json(arguments).decode() if isinstance(arguments, dict) else text_or(fields, "arguments")


def _part(event: Fields) -> int:
    """Which part of an item an event is about."""
    index = event.get("content_index")
    return index if type(index) is int and index > 0 else 0


def _audio_delta(reader: Reader, event: Fields) -> ServerEvent:
    audio = reader.base64(event, "delta")
    return AudioDelta(text_or(event, "response_id"), text_or(event, "item_id"), _part(event), audio)


def _words(reader: Reader, name: str, event: Fields, *, is_final: bool) -> ServerEvent:
    text = reader.text(event, name)
    return OutputText(text_or(event, "response_id"), text_or(event, "item_id"), _part(event), text, is_final)


def _arguments_done(event: Fields) -> ServerEvent:
    return ArgumentsDone(
        response_id=text_or(event, "response_id"),
        item_id=text_or(event, "item_id"),
        call_id=text_or(event, "call_id"),
        name=text_or(event, "name"),
        arguments=_arguments(event),
    )


# ── responses ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _response_done(event: Fields) -> ServerEvent:
    response = object_or_empty(event, "response")
    details = response.get("status_details")
    reason, error = (details, None) if isinstance(details, str) else ("", None)
    if isinstance(details, dict):
        reason = text_or(details, "reason")
        error = error_in(details) if details.get("error") else None
    usage = response.get("usage")
    return ResponseDone(
        response_id=text_or(response, "id"),
        status=text_or(response, "status", "completed" if error is None else "failed"),
        reason=reason,
        error=error,
        output=tuple(map(_item, objects(response, "output"))),
        usage=_usage(usage) if isinstance(usage, dict) else None,
    )


def _usage(usage: Fields) -> Usage:
    heard, said = _details(usage, "input"), _details(usage, "output")
    cached = object_or_empty(heard, "cached_tokens_details")
    return Usage(
        input_tokens=_tokens(usage, "input_tokens"),
        output_tokens=_tokens(usage, "output_tokens"),
        total_tokens=_tokens(usage, "total_tokens"),
        input_text_tokens=_tokens(heard, "text_tokens"),
        input_audio_tokens=_tokens(heard, "audio_tokens"),
        cached_tokens=_tokens(heard, "cached_tokens"),
        cached_text_tokens=_tokens(cached, "text_tokens"),
        cached_audio_tokens=_tokens(cached, "audio_tokens"),
        output_text_tokens=_tokens(said, "text_tokens"),
        output_audio_tokens=_tokens(said, "audio_tokens"),
        reasoning_tokens=_tokens(said, "reasoning_tokens"),
    )


def _details(usage: Fields, side: str) -> Fields:
    """What kinds of tokens there were; some servers write the name in the plural."""
    return object_or_empty(usage, f"{side}_token_details") or object_or_empty(usage, f"{side}_tokens_details")


def _tokens(usage: Fields, name: str) -> int:
    return int_or(usage, name) or 0


def _present(reader: Reader, read_session: Callable[[Fields], SessionInfo]) -> Mapping[str, EventReader]:
    """A reader for each event, by its present name."""
    return {
        "session.created": lambda e: SessionCreated(read_session(object_or_empty(e, "session"))),
        "session.updated": lambda e: SessionUpdated(read_session(reader.object(e, "session"))),
        "error": _error_event,
        "input_audio_buffer.speech_started": lambda e: SpeechStarted(
            text_or(e, "item_id"), int_or(e, "audio_start_ms")
        ),
        "input_audio_buffer.speech_stopped": lambda e: SpeechStopped(text_or(e, "item_id"), int_or(e, "audio_end_ms")),
        "input_audio_buffer.committed": lambda e: InputCommitted(text_or(e, "item_id")),
        "input_audio_buffer.cleared": lambda _: InputCleared(),
        "conversation.item.input_audio_transcription.delta": lambda e: InputTranscript(
            text_or(e, "item_id"), text_or(e, "delta"), is_final=False
        ),
        "conversation.item.input_audio_transcription.completed": partial(_input_transcript, reader),
        "conversation.item.input_audio_transcription.failed": lambda e: InputTranscriptFailed(
            text_or(e, "item_id"), error_in(e)
        ),
        "conversation.item.added": lambda e: ItemAdded(_item(object_or_empty(e, "item"))),
        "response.created": lambda e: ResponseCreated(text_or(object_or_empty(e, "response"), "id")),
        "response.done": _response_done,
        "response.output_item.added": lambda e: OutputItemAdded(
            text_or(e, "response_id"), _item(object_or_empty(e, "item"))
        ),
        "response.output_item.done": lambda e: OutputItemDone(
            text_or(e, "response_id"), _item(object_or_empty(e, "item"))
        ),
        "response.output_audio.delta": partial(_audio_delta, reader),
        "response.output_audio_transcript.delta": partial(_words, reader, "delta", is_final=False),
        "response.output_audio_transcript.done": partial(_words, reader, "transcript", is_final=True),
        "response.output_text.delta": partial(_words, reader, "delta", is_final=False),
        "response.output_text.done": partial(_words, reader, "text", is_final=True),
        "response.function_call_arguments.delta": lambda e: ArgumentsDelta(text_or(e, "item_id"), text_or(e, "delta")),
        "response.function_call_arguments.done": _arguments_done,
    }


parse: Final = Decoder(READER, read_session).parse
"""Read one message of OpenAI's service, or of a compatible server."""
