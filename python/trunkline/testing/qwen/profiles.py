"""The families of models that the simulator plays: how their sessions begin, and what they have."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_TURBO = frozenset({"Cherry", "Serena", "Ethan", "Chelsie"})
_QWEN3 = frozenset(
    {
        "Cherry",
        "Ethan",
        "Nofish",
        "Jennifer",
        "Ryan",
        "Katerina",
        "Elias",
        "Jada",
        "Dylan",
        "Sunny",
        "Li",
        "Marcus",
        "Roy",
        "Peter",
        "Rocky",
        "Kiki",
        "Eric",
    }
)
_QWEN3_DECEMBER = _QWEN3.union(
    _TURBO,
    {
        "Momo",
        "Vivian",
        "Moon",
        "Maia",
        "Kai",
        "Bella",
        "Aiden",
        "Eldric Sage",
        "Mia",
        "Mochi",
        "Bellona",
        "Vincent",
        "Bunny",
        "Neil",
        "Arthur",
        "Nini",
        "Ebona",
        "Seren",
        "Pip",
        "Stella",
        "Bodega",
        "Sonrisa",
        "Alek",
        "Dolce",
        "Sohee",
        "Ono Anna",
        "Lenn",
        "Emilien",
        "Andre",
        "Radio Gol",
    },
)


@dataclass(frozen=True, slots=True)
class Profile:
    """A family of models.

    Attributes:
        session: What its session object begins with.
        transcribes: The model that writes down the user's words.
        nests_audio: It takes formats in `session.audio`; others accept them without any effect.
        finishes: It knows `session.finish`.
        voices: The names of its voices; any name where they are not all known.
    """

    session: Mapping[str, Any]
    transcribes: str
    nests_audio: bool = False
    finishes: bool = False
    voices: frozenset[str] | None = None

    def has_voice(self, voice: str) -> bool:
        """Whether it can speak with this voice."""
        return bool(voice) and (self.voices is None or voice in self.voices)


_ASR = "qwen3-asr-flash-realtime"
_GUMMY = "gummy-realtime-v1"


def _session(voice: str, heard: str, spoken: str, transcribes: str, **more: Any) -> Mapping[str, Any]:
    return MappingProxyType(
        {
            "voice": voice,
            "input_audio_format": heard,
            "output_audio_format": spoken,
            "input_audio_transcription": {"model": transcribes},
            **more,
        }
    )


def _older(voice: str, spoken: str) -> Mapping[str, Any]:
    return _session(voice, "pcm16", spoken, _GUMMY, tools=[], tool_choice="auto", temperature=0.8)


_NESTED = {
    "input": {"format": {"type": "pcm", "sample_rate": 16000}},
    "output": {"format": {"type": "pcm", "sample_rate": 24000}, "voice": "longanlingxin"},
}
_PROFILES = (
    (
        "qwen3.8-",
        Profile(
            MappingProxyType({"audio": _NESTED, "input_audio_transcription": {"model": _ASR}}),
            _ASR,
            nests_audio=True,
            finishes=True,
        ),
    ),
    ("qwen3.5-", Profile(_session("Tina", "pcm", "pcm", _ASR), _ASR, nests_audio=True)),
    ("qwen3-omni-flash-realtime-2025-12", Profile(_older("Cherry", "pcm24"), _GUMMY, voices=_QWEN3_DECEMBER)),
    ("qwen3-omni-", Profile(_older("Cherry", "pcm24"), _GUMMY, voices=_QWEN3)),
    ("qwen-omni-turbo-", Profile(_older("Chelsie", "pcm16"), _GUMMY, voices=_TURBO)),
    ("qwen-audio-", Profile(_session("longanqian", "pcm", "pcm", _ASR), _ASR)),
)


def profile_of(model: str) -> Profile | None:
    """The family of a model; None if there is no such model here."""
    return next((profile for prefix, profile in _PROFILES if model.startswith(prefix) and "realtime" in model), None)
