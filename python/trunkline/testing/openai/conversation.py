"""The conversation: items in their order, what the client sees of them, and what the brain hears of them."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from trunkline.audio import AudioFormat, convert
from trunkline.testing.brain import Heard
from trunkline.testing.openai.ids import new_id
from trunkline.testing.openai.refusal import Refusal, invalid_value


@dataclass(slots=True, kw_only=True)
class Clip:
    """Audio of an item in the format it came or went in."""

    format: AudioFormat
    data: bytes = b""

    @property
    def duration_ms(self) -> float:
        """How long it plays."""
        return self.format.duration_ms(len(self.data))

    def heard_as(self, audio: AudioFormat) -> bytes:
        """The same sound in another format."""
        return self.data if audio == self.format else convert(self.data, self.format, audio)

    def cut(self, end_ms: int) -> None:
        """Keep only what plays before `end_ms`."""
        self.data = self.data[: self.format.frame_bytes(end_ms)]


@dataclass(slots=True)
class Item:
    """One item; `wire` is what the client sees.

    `words` is what a listener understands of its audio. A user's audio is understood some time after it was committed: `understood` is
    set then, and from the start for everything else.
    """

    wire: dict[str, Any]
    clip: Clip | None = None
    words: str | None = None
    truncated: bool = False
    understood: anyio.Event = field(default_factory=anyio.Event)

    @property
    def id(self) -> str:
        """The item's id."""
        return str(self.wire["id"])

    def to_json(self) -> dict[str, Any]:
        """The item as an event carries it: a copy, so that what was sent does not change afterwards."""
        wire = dict(self.wire)
        if "content" in wire:
            wire["content"] = [
                {name: value for name, value in part.items() if name != "audio"} for part in wire["content"]
            ]
        return wire

    def to_json_with_audio(self, audio: AudioFormat) -> dict[str, Any]:
        """The item with its audio in this format, as `conversation.item.retrieved` carries it."""
        wire = self.to_json()
        if self.clip is not None:
            for part in wire["content"]:
                if part["type"] in {"input_audio", "output_audio"}:
                    part["audio"] = base64.b64encode(self.clip.heard_as(audio)).decode()
        return wire


class Conversation:
    """The items of a session's default conversation."""

    def __init__(self) -> None:
        self.id = new_id("conv")
        self.items: list[Item] = []

    def add(self, item: Item, *, after: str | None = None) -> str | None:
        """Put an item in its place: at the end, behind the item `after`, or with "root" at the front.

        Returns:
            The id of the item before it.

        Raises:
            Refusal: The id is taken, or `after` does not exist.
        """
        if any(item.id == other.id for other in self.items):
            raise Refusal("invalid_value", f"Error adding item: an item with id '{item.id}' already exists.", "item.id")
        place = len(self.items)
        if after == "root":
            place = 0
        elif after is not None:
            place = 1 + self._index(
                after, "item_not_found", f"Error adding item: the previous item '{after}' does not exist."
            )
        self.items.insert(place, item)
        return self.items[place - 1].id if place else None

    def find(self, item_id: str, *, verb: str, doing: str) -> Item:
        """The item of this id; the refusal says what could not be done to it ("truncate", "truncating")."""
        message = f"Error {doing} item: the item with id '{item_id}' does not exist."
        return self.items[self._index(item_id, f"item_{verb}_invalid_item_id", message)]

    def referred(self, item_id: str) -> Item:
        """The item that an `item_reference` names."""
        return self.items[self._index(item_id, "item_not_found", f"Item with id '{item_id}' not found.")]

    def delete(self, item_id: str) -> None:
        """Take an item out."""
        self.items.remove(self.find(item_id, verb="delete", doing="deleting"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Forget what the listener did not hear of the assistant's audio, and all of its words.

        Raises:
            Refusal: No such item, not the model's audio, or less audio than that was made.
        """
        item = self.find(item_id, verb="truncate", doing="truncating")
        content = item.wire.get("content", [])
        if item.wire.get("role") != "assistant" or item.clip is None:
            raise Refusal(None, "Only model output audio messages can be truncated")
        if content_index >= max(1, len(content)):
            raise invalid_value(content_index, "content_index", [0])
        if audio_end_ms > item.clip.duration_ms:
            have = int(item.clip.duration_ms)
            raise Refusal(
                "invalid_value", f"Audio content of {have}ms is already shorter than {audio_end_ms}ms", "audio_end_ms"
            )
        item.clip.cut(audio_end_ms)
        item.words, item.truncated = None, True
        for part in content:
            part["transcript"] = None

    @property
    def spoken(self) -> bool:
        """Whether it holds the assistant's voice."""
        return any(item.wire.get("role") == "assistant" and item.clip is not None for item in self.items)

    def knows_call(self, call_id: str) -> bool:
        """Whether the conversation has a function call of this id."""
        return any(item.wire["type"] == "function_call" and item.wire["call_id"] == call_id for item in self.items)

    def _index(self, item_id: str, code: str, message: str) -> int:
        for position, item in enumerate(self.items):
            if item.id == item_id:
                return position
        raise Refusal(code, message, "item_id" if code != "item_not_found" else "previous_item_id")


def client_item(wire: Mapping[str, Any], audio: AudioFormat) -> Item:
    """An item that the client made, completed as the service does; its audio, if any, is of the format `audio`.

    Raises:
        Refusal: Audio that is not base64.
    """
    completed = {"id": wire.get("id") or new_id("item"), "type": wire["type"]}
    if wire["type"] != "function_call_output":
        completed["status"] = "completed"
    completed |= {name: value for name, value in wire.items() if name not in {"id", "type", "status", "object"}}
    item = Item(completed)
    sounds = [part for part in wire.get("content", ()) if part["type"] == "input_audio"]
    seeded = (part.get("transcript") for part in wire.get("content", ()) if part["type"] == "output_audio")
    item.words = " ".join(words for words in seeded if words) or None
    if sounds:
        completed["content"] = [
            {"transcript": None, **part} if part["type"] == "input_audio" else dict(part) for part in wire["content"]
        ]
        item.clip = Clip(format=audio, data=b"".join(decoded(part["audio"], "item.content.audio") for part in sounds))
    else:
        item.understood.set()
    return item


def decoded(audio: str, path: str) -> bytes:
    """The bytes of a base64 text.

    Raises:
        Refusal: It is not base64.
    """
    try:
        return base64.b64decode(audio, validate=True)
    except ValueError:
        raise Refusal("invalid_value", f"Invalid '{path}'. Expected base64-encoded audio.", path) from None


def history(items: Sequence[Item]) -> list[Heard]:
    """What the brain hears of these items: calls of functions only by their results, truncated speech without words."""
    names = {item.wire["call_id"]: item.wire["name"] for item in items if item.wire["type"] == "function_call"}
    heard: list[Heard] = []
    for item in items:
        wire = item.wire
        if wire["type"] == "message":
            heard.append(Heard(wire["role"], _words(item)))
        elif wire["type"] == "function_call_output":
            heard.append(Heard("tool", wire["output"], names.get(wire["call_id"], "")))
    return heard


def _words(item: Item) -> str | None:
    texts = [item.words, *(part.get("text") for part in item.wire["content"])]
    return " ".join(words for words in texts if words) or None
