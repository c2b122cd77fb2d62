"""Gemini Live, what a client sends: each function gives the JSON text of one client message (§4)."""

import json
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic_core import from_json

from trunkline.conversation import HistoryItem
from trunkline.wire.fields import replace_surrogates

Scheduling = Literal["WHEN_IDLE", "INTERRUPT", "SILENT"]
"""When the model takes the result of a call in that it does not wait for: once it is silent, at once, or without a word about it."""

MAX_AUDIO_BYTES = 64_000
"""Audio that one message holds, two seconds at the usual rate; the vendor publishes no limit."""


def setup(fields: Mapping[str, Any]) -> str:
    """`setup`, the first message of every connection."""
    return _message("setup", fields)


def send_audio(audio: bytes, rate: int) -> str:
    """`realtimeInput.audio`: linear16 mono at `rate` hertz."""
    data = b2a_base64(audio, newline=False).decode("ascii")
    return f'{{"realtimeInput":{{"audio":{{"data":"{data}","mimeType":"audio/pcm;rate={rate}"}}}}}}'


def begin_activity() -> str:
    """`realtimeInput.activityStart`: the user's turn begins; only without the vendor's detection."""
    return _message("realtimeInput", {"activityStart": {}})


def end_activity() -> str:
    """`realtimeInput.activityEnd`: the user's turn is over, and is answered; likewise."""
    return _message("realtimeInput", {"activityEnd": {}})


def send_text(text: str) -> str:
    """`realtimeInput.text`: the user's words; they count as activity and are answered."""
    return _message("realtimeInput", {"text": text})


def add_turns(turns: Sequence[Mapping[str, Any]], *, complete: bool) -> str:
    """`clientContent`: turns behind the conversation; if `complete`, the model answers. It cuts a running answer."""
    content: dict[str, Any] = {"turns": list(turns)} if turns else {}
    if complete:
        content["turnComplete"] = True
    return _message("clientContent", content)


def answer_call(
    call_id: str,
    name: str,
    response: Mapping[str, Any],
    *,
    scheduling: Scheduling | None = None,
    will_continue: bool | None = None,
) -> str:
    """`toolResponse` to one call; the last two only for calls that the model does not wait for."""
    answer: dict[str, Any] = {"id": call_id, "name": name, "response": response}
    if scheduling is not None:
        answer["scheduling"] = scheduling
    if will_continue is not None:
        answer["willContinue"] = will_continue
    return _message("toolResponse", {"functionResponses": [answer]})


def update_instructions(instructions: str) -> str:
    """`contextUpdate`: another system prompt from now on; the vendor does not confirm it."""
    return _message("contextUpdate", {"systemInstruction": content("user", instructions)})


def content(role: Literal["user", "model"], *texts: str) -> dict[str, Any]:
    """One turn of the conversation in text."""
    return {"role": role, "parts": [{"text": text} for text in texts]}


def response_object(result: str) -> dict[str, Any]:
    """The text of a tool's result as the object that the protocol wants: `output`, or `error` where the result says that it is one.

    What the text holds is not taken apart otherwise: the model reads JSON in it as well.
    """
    try:
        told = from_json(result)
    except ValueError:
        told = None
    if isinstance(told, dict) and told.keys() == {"error"}:
        return {"error": result}
    return {"output": result}


def history_turns(history: Sequence[HistoryItem]) -> list[dict[str, Any]]:
    """What went before as turns. The protocol takes no calls and no prompts there (§4), so those are put into words of the user's side."""
    names = {item.call_id: item.name for item in history if item.role == "tool_call"}
    turns: list[dict[str, Any]] = []
    for item in history:
        role, text = _in_words(item, names)
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"].append({"text": text})
        else:
            turns.append(content(role, text))
    return turns


def _in_words(item: HistoryItem, names: Mapping[str, str]) -> tuple[Literal["user", "model"], str]:
    match item.role:
        case "agent":
            return "model", item.text
        case "system":
            return "user", f"(Note: {item.text})"
        case "tool_call":
            return "user", f"(The tool {item.name} was called with {item.arguments or '{}'}.)"
        case "tool_result":
            return "user", f"(The tool {names.get(item.call_id, item.call_id)} gave: {item.text})"
        case "user":
            return "user", item.text


def _message(key: str, body: Mapping[str, Any]) -> str:
    text = json.dumps({key: body}, separators=(",", ":"), default=_plain, ensure_ascii=False)
    return replace_surrogates(text)


def _plain(value: object) -> Any:
    """Read-only mappings and other sequences, which `json` does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
