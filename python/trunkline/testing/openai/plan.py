"""What one response goes by: the session's settings with the options of `response.create` laid over them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.audio import AudioFormat
from trunkline.testing.brain import Tools
from trunkline.testing.openai.conversation import Conversation, Item, client_item
from trunkline.testing.openai.settings import SessionSettings, audio_format, hold_voice


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to answer; `conversation` is None for an answer outside the conversation, `context` is what it answers to.

    A context of None stands for the whole conversation as it is when the brain is asked.
    """

    conversation: Conversation | None
    context: Sequence[Item] | None
    instructions: str
    tools: Tools
    modality: str
    max_output_tokens: int | None
    format: AudioFormat
    audio: Mapping[str, Any]
    metadata: Mapping[str, str] | None
    reasons: bool
    speaks_with_calls: bool
    new_call_id: Callable[[], str]

    @property
    def audible(self) -> bool:
        """Whether the answer is spoken."""
        return self.modality == "audio"


def make_plan(settings: SessionSettings, conversation: Conversation, options: Mapping[str, Any]) -> Plan:
    """Lay options over the settings.

    Raises:
        Refusal: A voice that can no longer be changed, an item that does not exist.
    """
    settled = {**settings.wire, **{name: value for name, value in options.items() if value is not None}}
    spoken = settings.wire["audio"]["output"]
    output = {name: spoken[name] for name in ("format", "voice")} | options.get("audio", {}).get("output", {})
    inside = options.get("conversation", "auto") == "auto"
    if inside and conversation.spoken:
        hold_voice(output["voice"], spoken["voice"], "response.audio.output.voice")
    tokens = settled["max_output_tokens"]
    return Plan(
        conversation=conversation if inside else None,
        context=_context(options.get("input"), conversation, settings),
        instructions=settled["instructions"],
        tools=_offered(settled["tools"], settled["tool_choice"]),
        modality=settled["output_modalities"][0],
        max_output_tokens=None if tokens == "inf" else tokens,
        format=audio_format(output["format"]),
        audio={"output": output},
        metadata=options.get("metadata"),
        reasons=settings.reasons,
        speaks_with_calls=settings.speaks_with_calls,
        new_call_id=settings.new_call_id,
    )


def _offered(tools: Sequence[Mapping[str, Any]], choice: object) -> Tools:
    offered = {tool["name"]: tool.get("parameters", {}) for tool in tools if tool["type"] == "function"}
    if choice == "none":
        return {}
    return {name: offered[name] for name in offered if not isinstance(choice, dict) or name == choice.get("name")}


def _context(
    given: Sequence[Mapping[str, Any]] | None, conversation: Conversation, settings: SessionSettings
) -> Sequence[Item] | None:
    if given is None:
        return None
    audio = audio_format(settings.hears["format"])
    return [
        conversation.referred(item["id"]) if item["type"] == "item_reference" else client_item(item, audio)
        for item in given
    ]
