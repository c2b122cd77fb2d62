"""What things cost, in tokens: 100 ms of the user's voice, 50 ms of the model's, or four characters of text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.testing.openai.conversation import Item

_USER_MS, _MODEL_MS, _CHARACTERS = 100, 50, 4
TOKENS_PER_MINUTE = 40000


def text_tokens(text: str) -> int:
    """Tokens of a text."""
    return math.ceil(len(text) / _CHARACTERS)


def model_audio_tokens(duration_ms: float) -> int:
    """Tokens of the model's own voice."""
    return round(duration_ms / _MODEL_MS)


@dataclass(slots=True)
class Usage:
    """The tokens of one response."""

    text_in: int = 0
    audio_in: int = 0
    text_out: int = 0
    audio_out: int = 0

    def read(self, instructions: str, items: Sequence[Item]) -> None:
        """Count what the model was given."""
        self.text_in = text_tokens(instructions)
        for item in items:
            if item.clip is not None:
                theirs = item.wire["role"] == "user"
                self.audio_in += round(item.clip.duration_ms / (_USER_MS if theirs else _MODEL_MS))
            self.text_in += sum(text_tokens(text) for text in _texts(item.wire))

    @property
    def total(self) -> int:
        """All tokens."""
        return self.text_in + self.audio_in + self.text_out + self.audio_out

    def to_json(self, *, reasons: bool) -> dict[str, object]:
        """The `usage` of a response."""
        output = {"text_tokens": self.text_out, "audio_tokens": self.audio_out}
        return {
            "total_tokens": self.total,
            "input_tokens": self.text_in + self.audio_in,
            "output_tokens": self.text_out + self.audio_out,
            "input_token_details": {
                "text_tokens": self.text_in,
                "audio_tokens": self.audio_in,
                "image_tokens": 0,
                "cached_tokens": 0,
                "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
            },
            "output_token_details": output | ({"reasoning_tokens": 0} if reasons else {}),
        }

    def rate_limits(self) -> list[dict[str, object]]:
        """What is left of a minute's tokens after this response alone."""
        return [
            {
                "name": "tokens",
                "limit": TOKENS_PER_MINUTE,
                "remaining": max(0, TOKENS_PER_MINUTE - self.total),
                "reset_seconds": round(60 * self.total / TOKENS_PER_MINUTE, 3),
            }
        ]


def transcription_usage(model: str, duration_ms: float, transcript: str) -> dict[str, object]:
    """The `usage` of a transcription: whisper models count whole seconds, the others tokens."""
    if "whisper" in model:
        return {"type": "duration", "seconds": math.ceil(duration_ms / 1000)}
    audio, text = round(duration_ms / _USER_MS), text_tokens(transcript)
    return {
        "type": "tokens",
        "total_tokens": audio + text,
        "input_tokens": audio,
        "output_tokens": text,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
    }


def _texts(wire: Mapping[str, Any]) -> list[str]:
    if wire["type"] == "message":
        return [part["text"] for part in wire["content"] if "text" in part]
    return [wire["output"] if wire["type"] == "function_call_output" else wire["arguments"]]
