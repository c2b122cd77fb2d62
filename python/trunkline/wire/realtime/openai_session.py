"""OpenAI Realtime, the session object: audio formats, turn detection, tools (GA, "Realtime API reference: session.update")."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from trunkline.audio import AudioFormat
from trunkline.errors import AudioError, InvalidConfig, RemoteProtocolError
from trunkline.tools.definition import ToolDefinition

VENDOR = "openai"

PCM = AudioFormat(encoding="linear16", sample_rate=24_000)
PCMU = AudioFormat(encoding="mulaw", sample_rate=8_000)
PCMA = AudioFormat(encoding="alaw", sample_rate=8_000)

FORMATS: Mapping[AudioFormat, Mapping[str, Any]] = {
    PCM: {"type": "audio/pcm", "rate": 24_000},
    PCMU: {"type": "audio/pcmu"},
    PCMA: {"type": "audio/pcma"},
}
"""The formats that the vendor takes and gives, and its words for them."""

MAX_OUTPUT_TOKENS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVad:
    """The vendor ends a turn after a stretch of silence ("Voice activity detection: Server VAD").

    Args:
        threshold: Loudness, 0 to 1, above which audio counts as speech.
        prefix_padding_ms: Audio kept from before the detected start.
        silence_duration_ms: Silence that ends a turn.
        idle_timeout_ms: Silence after the model's answer, 5,000 to 30,000, after which it speaks by itself; None is never.
        create_response: The vendor answers a finished turn by itself.
        interrupt_response: The vendor cancels a running answer when it hears speech.

    Raises:
        InvalidConfig: A value is out of its range.
    """

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise InvalidConfig("threshold", f"must be between 0 and 1, got {self.threshold!r}")
        if self.prefix_padding_ms < 0:
            raise InvalidConfig("prefix_padding_ms", f"must not be negative, got {self.prefix_padding_ms!r}")
        if self.silence_duration_ms < 0:
            raise InvalidConfig("silence_duration_ms", f"must not be negative, got {self.silence_duration_ms!r}")
        if self.idle_timeout_ms is not None and not 5_000 <= self.idle_timeout_ms <= 30_000:
            raise InvalidConfig("idle_timeout_ms", f"must be between 5000 and 30000, got {self.idle_timeout_ms!r}")

    def to_json(self) -> dict[str, Any]:
        """The vendor's `turn_detection` object."""
        told: dict[str, Any] = {
            "type": "server_vad",
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
        }
        if self.idle_timeout_ms is not None:
            told["idle_timeout_ms"] = self.idle_timeout_ms
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticVad:
    """The vendor ends a turn when the words sound finished ("Voice activity detection: Semantic VAD").

    Args:
        eagerness: How long it waits at most: "low" 8 s, "medium" 4 s, "high" 2 s; "auto" is "medium".
        create_response: The vendor answers a finished turn by itself.
        interrupt_response: The vendor cancels a running answer when it hears speech.

    Raises:
        InvalidConfig: There is no such eagerness.
    """

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    def __post_init__(self) -> None:
        if self.eagerness not in {"low", "medium", "high", "auto"}:
            raise InvalidConfig("eagerness", f"must be low, medium, high or auto, got {self.eagerness!r}")

    def to_json(self) -> dict[str, Any]:
        """The vendor's `turn_detection` object."""
        return {
            "type": "semantic_vad",
            "eagerness": self.eagerness,
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
        }


TurnDetection = ServerVad | SemanticVad


def session_object(
    *,
    voice: str,
    input_format: AudioFormat = PCM,
    output_format: AudioFormat = PCM,
    instructions: str | None = None,
    turn_detection: TurnDetection | None = None,
    transcription_model: str | None = None,
    tools: Iterable[ToolDefinition] = (),
    max_output_tokens: int | None = None,
) -> dict[str, Any]:
    """The session that `session.update` asks for; what is None is switched off, or left to the vendor where there is no off."""
    told: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": dict(FORMATS[input_format]),
                "transcription": None if transcription_model is None else {"model": transcription_model},
                "turn_detection": None if turn_detection is None else turn_detection.to_json(),
            },
            "output": {"format": dict(FORMATS[output_format]), "voice": voice},
        },
    }
    if instructions is not None:
        told["instructions"] = instructions
    if functions := [function_tool(tool) for tool in tools]:
        told["tools"] = functions
    if max_output_tokens is not None:
        told["max_output_tokens"] = max_output_tokens
    return told


def function_tool(tool: ToolDefinition) -> dict[str, Any]:
    """A tool in the vendor's words: flat, the name beside the type."""
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What the vendor says its session is; `expires_at` is in Unix seconds, 0 if it did not say.

    `interrupts` tells whether the vendor cancels a running answer when it hears speech.
    """

    session_id: str
    model: str
    input_format: AudioFormat
    output_format: AudioFormat
    interrupts: bool
    expires_at: float = 0


def read_session(session: Mapping[str, Any]) -> SessionInfo:
    """Read the object of `session.created` and `session.updated`; a format that is not told is the vendor's default.

    Raises:
        RemoteProtocolError: The audio is of a format that the protocol does not have.
    """
    audio = _object(session, "audio", "session")
    heard = _object(audio, "input", "session.audio")
    spoken = _object(audio, "output", "session.audio")
    detection = _object(heard, "turn_detection", "session.audio.input")
    expires_at = session.get("expires_at")
    return SessionInfo(
        session_id=_word(session.get("id")),
        model=_word(session.get("model")),
        input_format=_read_format(heard, "session.audio.input"),
        output_format=_read_format(spoken, "session.audio.output"),
        interrupts=bool(detection) and detection.get("interrupt_response") is not False,
        expires_at=expires_at if isinstance(expires_at, int | float) else 0,
    )


def _read_format(audio: Mapping[str, Any], path: str) -> AudioFormat:
    told = _object(audio, "format", path)
    match told.get("type", "audio/pcm"):
        case "audio/pcm":
            return _pcm(told.get("rate") or PCM.sample_rate, f"{path}.format.rate")
        case "audio/pcmu":
            return PCMU
        case "audio/pcma":
            return PCMA
        case other:
            raise RemoteProtocolError(VENDOR, f"unknown audio format {other!r}", path=f"{path}.format.type")


def _pcm(rate: object, path: str) -> AudioFormat:
    if isinstance(rate, int):
        with suppress(AudioError):
            return AudioFormat(encoding="linear16", sample_rate=rate)
    raise RemoteProtocolError(VENDOR, f"unknown sample rate {rate!r}", path=path)


def _object(within: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    value = within.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RemoteProtocolError(VENDOR, "not an object", path=f"{path}.{name}")
    return value


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
