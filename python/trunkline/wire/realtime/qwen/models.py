"""What the models of Qwen-Omni-Realtime have, by their names."""

from dataclasses import dataclass
from typing import Final

_NESTED_RATES: Final = (8_000, 16_000, 24_000, 48_000)


@dataclass(frozen=True, slots=True)
class Model:
    """What a family of models takes.

    Attributes:
        audio_rates: Sample rates in hertz that the formats may be set to; none where the rates are fixed.
        nests_voice: The session has formats and voice in `audio`, and none of their older names.
        tools: Tools and web search.
        turn_detection: Kinds of turn detection; none where they are not known.
        smooths: `smooth_output`.
    """

    audio_rates: tuple[int, ...] = ()
    nests_voice: bool = False
    tools: bool = False
    turn_detection: frozenset[str] = frozenset()
    smooths: bool = False


_SERVER = frozenset({"server_vad"})
_SEMANTIC = _SERVER | {"semantic_vad"}
_FAMILIES: Final = (
    ("qwen3.8-omni-", Model(_NESTED_RATES, nests_voice=True, tools=True, turn_detection=_SEMANTIC)),
    ("qwen3.5-omni-", Model(_NESTED_RATES, tools=True, turn_detection=_SEMANTIC)),
    ("qwen3-omni-", Model(turn_detection=_SERVER, smooths=True)),
    ("qwen-omni-turbo-", Model(turn_detection=_SERVER)),
    ("qwen-audio-", Model(turn_detection=_SERVER | {"smart_turn"})),
)
_UNKNOWN: Final = Model(tools=True, smooths=True)
"""A model of another name: whatever is asked of it is sent, and the vendor may refuse it."""


def model_named(name: str) -> Model:
    """What a model of this name has."""
    return next((model for prefix, model in _FAMILIES if name.startswith(prefix)), _UNKNOWN)
