"""OpenAI Realtime, the session that is asked for: options by their own names become the vendor's object (GA, "session.update")."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from trunkline.audio import AudioFormat
from trunkline.errors import InvalidConfig
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.realtime.openai.session import FORMATS, PCM

DEFAULT_VOICE = "marin"
DEFAULT_TRANSCRIPTION_MODEL = "gpt-realtime-whisper"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """What writes down the user's words, beside the model, which hears the audio itself ("Input audio transcription").

    Args:
        model: The vendor's name of the transcribing model.
        language: The language, as in ISO 639-1.
        languages: The languages it may be, for the models that take several.
        prompt: What to expect: words for one kind of model, a sentence for another.
        keywords: Words to listen for, for the models that take them.
        delay: How long words are held back for the sake of accuracy, for the models that can.
    """

    model: str = DEFAULT_TRANSCRIPTION_MODEL
    language: str | None = None
    languages: Sequence[str] = ()
    prompt: str | None = None
    keywords: Sequence[str] = ()
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None

    def to_json(self) -> dict[str, Any]:
        """The vendor's `transcription` object."""
        told: dict[str, Any] = {"model": self.model, "language": self.language, "prompt": self.prompt}
        told |= {"languages": list(self.languages), "keywords": list(self.keywords), "delay": self.delay}
        return {name: value for name, value in told.items() if value}


class SessionOptions(TypedDict, total=False):
    """How a session should be; what is left out, or None, is left to the vendor unless it says otherwise here.

    Attributes:
        voice: The vendor's name of the voice, or `{"id": …}` for one of your own; "marin" unless given.
        instructions: System prompt.
        speed: Pace of speech, 0.25 to 1.5.
        turn_detection: Who ends the user's turn: `ServerVad`, as unless given, `SemanticVad`, or None for `commit_audio` by hand.
        noise_reduction: "near_field" for a headset, "far_field" for a room; None for none.
        transcription: What writes down the user's words, by model or in full; None for no user transcripts.
        max_output_tokens: Most tokens of one answer, 1 to 4096.
        output_modalities: `("audio",)`, as unless given, or `("text",)`; audio always comes with its words.
        tool_choice: "auto", "none", "required", or one tool: `{"type": "function", "name": …}`.
        parallel_tool_calls: Whether one answer may hold several calls; for models that reason.
        reasoning_effort: How long to think, likewise.
        truncation: What to forget once the context is full: "auto", "disabled", or `{"type": "retention_ratio", …}`.
        tracing: "auto", or `{"workflow_name": …, "group_id": …, "metadata": …}`.
        prompt: A prompt stored with the vendor: `{"id": …, "version": …, "variables": …}`.
        include: Further things to be told: `("item.input_audio_transcription.logprobs",)`.
        temperature: 0.6 to 1.2; the older dialect alone has it.
    """

    voice: str | Mapping[str, str]
    instructions: str | None
    speed: float | None
    turn_detection: TurnDetection | None
    noise_reduction: Literal["near_field", "far_field"] | None
    transcription: Transcription | str | None
    max_output_tokens: int | None
    output_modalities: Sequence[Literal["audio", "text"]]
    tool_choice: Literal["auto", "none", "required"] | Mapping[str, str] | None
    parallel_tool_calls: bool | None
    reasoning_effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None
    truncation: Literal["auto", "disabled"] | Mapping[str, Any] | None
    tracing: Literal["auto"] | Mapping[str, Any] | None
    prompt: Mapping[str, Any] | None
    include: Sequence[str] | None
    temperature: float | None


_AS_THEY_ARE = (
    "instructions",
    "max_output_tokens",
    "tool_choice",
    "parallel_tool_calls",
    "truncation",
    "tracing",
    "prompt",
    "temperature",
)


def refuse_unknown(options: Iterable[str]) -> None:
    """Refuse names that no option has.

    Raises:
        InvalidConfig: It names the first of them.
    """
    for name in options:
        if name not in SessionOptions.__annotations__:
            known = ", ".join(sorted(SessionOptions.__annotations__))
            raise InvalidConfig(name, f"there is no such option; for the session there are {known}")


def session_object(
    options: SessionOptions,
    *,
    input_format: AudioFormat = PCM,
    output_format: AudioFormat = PCM,
    tools: Iterable[ToolDefinition] = (),
) -> dict[str, Any]:
    """The object that `session.update` takes; `schema.check_session` says whether the vendor will take it too."""
    noise = options.get("noise_reduction")
    hearing = {
        "format": dict(FORMATS[input_format]),
        "transcription": _transcription(options.get("transcription", DEFAULT_TRANSCRIPTION_MODEL)),
        "turn_detection": _turn_detection(options.get("turn_detection", ServerVad())),
    }
    speaking: dict[str, Any] = {"format": dict(FORMATS[output_format]), "voice": options.get("voice", DEFAULT_VOICE)}
    if noise is not None:
        hearing["noise_reduction"] = {"type": noise}
    if options.get("speed") is not None:
        speaking["speed"] = options["speed"]
    told: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": list(options.get("output_modalities", ("audio",))),
        "audio": {"input": hearing, "output": speaking},
    }
    told |= {name: value for name in _AS_THEY_ARE if (value := options.get(name)) is not None}
    if options.get("reasoning_effort") is not None:
        told["reasoning"] = {"effort": options["reasoning_effort"]}
    if include := options.get("include"):
        told["include"] = list(include)
    if functions := [function_tool(tool) for tool in tools]:
        told["tools"] = functions
    return told


def function_tool(tool: ToolDefinition) -> dict[str, Any]:
    """A tool in the vendor's words: flat, the name beside the type."""
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, objects within objects likewise; where they differ `more` holds. An object of another `type` replaces the whole."""
    both = dict(base)
    for name, value in more.items():
        known = both.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping) and value.get("type") in {None, known.get("type")}:
            both[name] = merged(known, value)
        else:
            both[name] = value
    return both


def _turn_detection(wish: TurnDetection | None) -> dict[str, Any] | None:
    if wish is None or isinstance(wish, TurnDetection):
        return None if wish is None else wish.to_json()
    raise InvalidConfig("turn_detection", f"must be a ServerVad, a SemanticVad or None, got {wish!r}")


def _transcription(wish: Transcription | str | None) -> dict[str, Any] | None:
    match wish:
        case None:
            return None
        case str():
            return {"model": wish}
        case Transcription():
            return wish.to_json()
        case _:
            raise InvalidConfig("transcription", f"must be a model's name, a Transcription or None, got {wish!r}")
