"""The session object of a Qwen model: what it starts as, what `session.update` may change, and what the service answers."""

import secrets
from collections.abc import Mapping
from typing import Any

from trunkline.testing.openai.refusal import Refusal
from trunkline.testing.openai.settings import hold_voice
from trunkline.testing.openai.shape import (
    anything,
    boolean,
    integer,
    list_of,
    map_of,
    nullable,
    number,
    one_of,
    record,
    tagged,
    text,
)
from trunkline.testing.qwen.profiles import Profile

_FORMAT = record({"type": one_of("pcm", "wav"), "sample_rate": integer(8000, 48000)}, required=["type", "sample_rate"])
_PCM_NAME = one_of("pcm", "pcm16", "pcm24")
_TURNS = {
    "threshold": number(-1.0, 1.0),
    "prefix_padding_ms": integer(0),
    "silence_duration_ms": integer(200, 6000),
    "idle_timeout_ms": nullable(integer(5000, 30000)),
    "create_response": boolean,
    "interrupt_response": boolean,
}
_SESSION = record(
    {
        "modalities": list_of(one_of("text", "audio")),
        "voice": nullable(text),
        "instructions": nullable(text),
        "input_audio_format": _PCM_NAME,
        "output_audio_format": _PCM_NAME,
        "input_audio_transcription": nullable(record({"model": nullable(text)})),
        "turn_detection": nullable(
            tagged({kind: record({"type": text, **_TURNS}) for kind in ("server_vad", "semantic_vad", "smart_turn")})
        ),
        "audio": record(
            {"input": record({"format": _FORMAT}), "output": record({"format": _FORMAT, "voice": nullable(text)})}
        ),
        "smooth_output": nullable(boolean),
        "tools": nullable(
            list_of(
                tagged(
                    {
                        "function": record(
                            {
                                "type": text,
                                "function": record(
                                    {"name": text, "description": text, "parameters": map_of(anything)},
                                    required=["name"],
                                ),
                            },
                            required=["function"],
                        ),
                        "mcp": anything,
                    }
                )
            )
        ),
        "enable_search": boolean,
        "search_options": record({"enable_source": boolean}),
        "temperature": number(0, 1.999999),
        "top_p": number(0, 1),
        "top_k": nullable(integer(0, 100)),
        "max_tokens": integer(1),
        "repetition_penalty": number(0, 1000),
        "presence_penalty": number(-2, 2),
        "seed": integer(-1, 2**31 - 1),
    }
)
_TURN_DEFAULTS = {
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 800,
    "create_response": True,
    "interrupt_response": True,
}
# Null is a value of these; elsewhere it means what the service has by default.
_MAY_BE_NULL = {"turn_detection", "input_audio_transcription", "smooth_output"}
_LOWEST_THRESHOLD = 0.05  # what the detector here can still tell from silence


class QwenSettings:
    """The session object as it stands.

    Attributes:
        told: What `session.created` and `session.updated` carry.
    """

    reasons = False
    speaks_with_calls = False

    def __init__(self, profile: Profile, *, model: str, session_id: str) -> None:
        self._profile = profile
        self.told: dict[str, Any] = {
            "object": "realtime.session",
            "model": model,
            "modalities": ["text", "audio"],
            **profile.session,
            "turn_detection": {"type": "server_vad", **_TURN_DEFAULTS},
            "id": session_id,
        }

    def new_call_id(self) -> str:
        """`call_` and 24 hexadecimal digits."""
        return f"call_{secrets.token_hex(12)}"

    @property
    def voice(self) -> str:
        """The voice that is spoken with."""
        return str(self.told.get("audio", {}).get("output", {}).get("voice") or self.told.get("voice"))

    @property
    def wire(self) -> dict[str, Any]:
        """The session as the machinery of OpenAI's has it."""
        told = self.told
        return {
            "type": "realtime",
            "id": told["id"],
            "object": "realtime.session",
            "model": told["model"],
            "output_modalities": ["audio"] if "audio" in told["modalities"] else ["text"],
            "instructions": told.get("instructions", ""),
            "tools": [_flat(tool) for tool in told.get("tools", ()) if tool["type"] == "function"],
            "tool_choice": "auto",
            "max_output_tokens": told.get("max_tokens", "inf"),
            "audio": {
                "input": self.hears,
                "output": {"format": self._format("output", 24000), "voice": self.voice, "speed": 1.0},
            },
        }

    @property
    def hears(self) -> Mapping[str, Any]:
        """What stands under `audio.input` there."""
        turns = self.told.get("turn_detection")
        if turns is not None:
            turns = {**_TURN_DEFAULTS, "idle_timeout_ms": None, **turns}
            turns["threshold"] = max(turns["threshold"], _LOWEST_THRESHOLD)
            turns["type"] = "server_vad"
        return {
            "format": self._format("input", 16000),
            "transcription": self.told.get("input_audio_transcription"),
            "turn_detection": turns,
        }

    def update(self, changes: Any, *, spoken: bool) -> None:
        """Merge what `session.update` carries, or change nothing at all.

        Raises:
            Refusal: With the path of the field.
        """
        _SESSION(changes, "session")
        told = {**self.told}
        for name, value in changes.items():
            if name == "audio":
                self._merge_audio(told, value)
            elif value is not None or name in _MAY_BE_NULL:
                told[name] = value
        self._check(told)
        self._complete(told, changes)
        if spoken:
            before, self.told = self.told, told
            voice = self.voice
            self.told = before
            hold_voice(voice, self.voice, "session.voice")
        self.told = told

    def _merge_audio(self, told: dict[str, Any], audio: Mapping[str, Any]) -> None:
        if not self._profile.nests_audio:
            return  # accepted, and without any effect
        nested = {side: dict(fields) for side, fields in told.get("audio", {}).items()}
        for side, fields in audio.items():
            given = {name: value for name, value in fields.items() if value is not None}
            nested[side] = {**nested.get(side, {}), **given}
            if "format" in given:
                told.pop(f"{side}_audio_format", None)
        told["audio"] = nested
        if "voice" in nested.get("output", {}):
            told.pop("voice", None)

    def _check(self, told: Mapping[str, Any]) -> None:
        modalities = told["modalities"]
        if sorted(modalities) not in (["text"], ["audio", "text"]):
            message = f"Invalid modalities: {modalities}. Supported combinations are: ['text'] and ['audio', 'text']."
            raise Refusal("invalid_value", message, "session.modalities")
        voices = [told.get("voice"), told.get("audio", {}).get("output", {}).get("voice")]
        for voice in voices:
            if voice is not None and not self._profile.has_voice(voice):
                raise Refusal("invalid_value", f"Voice '{voice}' is not supported.", "session.voice")
        if told.get("tools") and told.get("enable_search"):
            raise Refusal("invalid_value", "tools and enable_search cannot be used together.", "session.tools")

    def _complete(self, told: dict[str, Any], changes: Mapping[str, Any]) -> None:
        turns = told.get("turn_detection")
        if turns is None:
            told.pop("turn_detection", None)
        elif "turn_detection" in changes:
            told["turn_detection"] = {"type": turns["type"], **_TURN_DEFAULTS, **turns}
        transcription = told.get("input_audio_transcription")
        if transcription is not None:
            told["input_audio_transcription"] = {"model": self._profile.transcribes}

    def _format(self, side: str, rate: int) -> dict[str, Any]:
        format_ = self.told.get("audio", {}).get(side, {}).get("format", {})
        return {"type": "audio/pcm", "rate": format_.get("sample_rate", rate)}


def _flat(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", **tool["function"]}
