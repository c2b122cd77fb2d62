"""Gemini Live, what a server sends: `parse` makes events of each message, in the order in which they are to be taken (§5).

A message has one main key and maybe `usageMetadata` beside it, and `serverContent` any number of members. A member that is odd or missing
costs nothing but itself. Frames are binary and hold JSON; text is read as well.
"""

import re
from collections.abc import Iterator
from typing import Final

from pydantic_core import to_json

from trunkline.audio.formats import SAMPLE_RATES
from trunkline.errors import RemoteProtocolError
from trunkline.wire.fields import Fields, Reader, flag_or, int_or, object_or_empty, objects, text_or
from trunkline.wire.realtime.gemini.events import (
    AudioPiece,
    CallsCancelled,
    FunctionCall,
    GenerationComplete,
    GoAway,
    InputText,
    InterimInputText,
    Interrupted,
    OutputText,
    ResumptionUpdate,
    ServerEvent,
    SetupComplete,
    TextPiece,
    ToolCalls,
    TurnComplete,
    Unreadable,
    UsageTold,
)
from trunkline.wire.realtime.usage import Usage

VENDOR: Final = "gemini"
READER: Final = Reader(VENDOR)
OUTPUT_RATE: Final = 24_000
"""Hertz of the model's audio, where it does not say."""

_RATE: Final = re.compile(r"rate=(\d{4,6})")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)s")
_PLAIN_PCM: Final = f"audio/pcm;rate={OUTPUT_RATE}"


def parse(message: str | bytes) -> list[ServerEvent]:
    """Read one message of the server; nothing comes of what is not known here.

    Raises:
        RemoteProtocolError: It is not a JSON object.
    """
    fields = READER.message(message)
    events: list[ServerEvent] = []
    if "setupComplete" in fields:
        events.append(SetupComplete(text_or(object_or_empty(fields, "setupComplete"), "sessionId")))
    content = fields.get("serverContent")
    if isinstance(content, dict):
        events.extend(_content(content))
    if calls := _calls(object_or_empty(fields, "toolCall")):
        events.append(ToolCalls(calls))
    if ids := _texts(object_or_empty(fields, "toolCallCancellation"), "ids"):
        events.append(CallsCancelled(ids))
    if isinstance(fields.get("usageMetadata"), dict):
        events.append(UsageTold(_usage(fields["usageMetadata"])))
    if isinstance(content, dict) and flag_or(content, "turnComplete", False):
        events.append(TurnComplete(text_or(content, "turnCompleteReason")))
    if isinstance(fields.get("sessionResumptionUpdate"), dict):
        update = fields["sessionResumptionUpdate"]
        handle = text_or(update, "newHandle")
        events.append(ResumptionUpdate(handle if handle and flag_or(update, "resumable", False) else None))
    if "goAway" in fields:
        events.append(GoAway(_seconds(object_or_empty(fields, "goAway"), "timeLeft")))
    return events


def _content(content: Fields) -> Iterator[ServerEvent]:
    """What `serverContent` holds, but the end of the turn."""
    if "inputTranscription" in content:
        heard = object_or_empty(content, "inputTranscription")
        yield InputText(text_or(heard, "text"), flag_or(heard, "finished", False))
    if guess := text_or(object_or_empty(content, "interimInputTranscription"), "text"):
        yield InterimInputText(guess)
    if words := text_or(object_or_empty(content, "outputTranscription"), "text"):
        yield OutputText(words)
    for part in objects(object_or_empty(content, "modelTurn"), "parts"):
        if "inlineData" in part:
            yield _inline(object_or_empty(part, "inlineData"))
        elif not flag_or(part, "thought", False) and (text := text_or(part, "text")):
            yield TextPiece(text)
    if flag_or(content, "generationComplete", False):
        yield GenerationComplete()
    if flag_or(content, "interrupted", False):
        yield Interrupted()


def _inline(data: Fields) -> ServerEvent:
    kind = text_or(data, "mimeType", _PLAIN_PCM)
    rate = OUTPUT_RATE
    if kind != _PLAIN_PCM:
        if not kind.startswith("audio/"):
            return Unreadable(READER.error(f"not audio: {kind[:40]!r}", "modelTurn.parts.inlineData.mimeType"))
        found = _RATE.search(kind)
        rate = int(found[1]) if found else OUTPUT_RATE
        if rate not in SAMPLE_RATES:
            return Unreadable(READER.error(f"unknown sample rate {rate}", "modelTurn.parts.inlineData.mimeType"))
    try:
        return AudioPiece(READER.base64(data, "data", "modelTurn.parts.inlineData."), rate)
    except RemoteProtocolError as error:
        return Unreadable(error)


def _calls(tool_call: Fields) -> tuple[FunctionCall, ...]:
    return tuple(
        FunctionCall(text_or(call, "id"), text_or(call, "name"), to_json(object_or_empty(call, "args")).decode())
        for call in objects(tool_call, "functionCalls")
        if text_or(call, "name")
    )


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.get(name)
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _seconds(fields: Fields, name: str) -> float:
    """A duration such as "9.5s"; none at all where it cannot be read, so that the session is replaced at once."""
    found = _DURATION.fullmatch(text_or(fields, name))
    return float(found[1]) if found else 0.0


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _usage(fields: Fields) -> Usage:
    """What a turn cost. Thoughts and the prompts of the vendor's own tools are counted beside the others there, and among them here."""
    prompt = _count(fields, "promptTokenCount") + _count(fields, "toolUsePromptTokenCount")
    thoughts = _count(fields, "thoughtsTokenCount")
    side = "response" if "responseTokenCount" in fields or "responseTokensDetails" in fields else "candidates"
    answer = _count(fields, f"{side}TokenCount") + thoughts
    heard, said = _by_modality(fields, "promptTokensDetails"), _by_modality(fields, f"{side}TokensDetails")
    cached = _by_modality(fields, "cacheTokensDetails")
    return Usage(
        input_tokens=prompt,
        output_tokens=answer,
        total_tokens=int_or(fields, "totalTokenCount") or prompt + answer,
        input_text_tokens=heard.get("TEXT", 0),
        input_audio_tokens=heard.get("AUDIO", 0),
        cached_tokens=_count(fields, "cachedContentTokenCount"),
        cached_text_tokens=cached.get("TEXT", 0),
        cached_audio_tokens=cached.get("AUDIO", 0),
        output_text_tokens=said.get("TEXT", 0),
        output_audio_tokens=said.get("AUDIO", 0),
        reasoning_tokens=thoughts,
    )


def _count(fields: Fields, name: str) -> int:
    return int_or(fields, name) or 0


def _by_modality(fields: Fields, name: str) -> dict[str, int]:
    return {text_or(detail, "modality"): _count(detail, "tokenCount") for detail in objects(fields, name)}
