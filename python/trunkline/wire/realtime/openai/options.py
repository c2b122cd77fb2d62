"""OpenAI Realtime, the session that is asked for: options by their own names become the vendor's object (GA, "session.update")."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from trunkline.audio import AudioFormat
from trunkline.errors import InvalidConfig
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.realtime.openai.schema import SEMANTIC_VAD, SERVER_VAD
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
        SERVER_VAD.check(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The vendor's `turn_detection` object."""
        return {"type": "server_vad", **_given(self)}


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
        SEMANTIC_VAD.check(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The vendor's `turn_detection` object."""
        return {"type": "semantic_vad", **_given(self)}


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
        return {name: value for name, value in _given(self).items() if value}


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
        include: What to send besides: `("item.input_audio_transcription.logprobs",)`.
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
    """The object of `session.update`, in the nested shape; whoever sends it checks it with `schema.check_session`.

    Args:
        options: What is wanted, by our own names.
        input_format: Of the user's audio, one of `FORMATS`.
        output_format: Of the model's audio, likewise.
        tools: What the model may call.

    Raises:
        InvalidConfig: `turn_detection` or `transcription` is not of its type.
    """
    noise = options.get("noise_reduction")
    heard = {
        "format": dict(FORMATS[input_format]),
        "transcription": _transcription(options.get("transcription", DEFAULT_TRANSCRIPTION_MODEL)),
        "turn_detection": _turn_detection(options.get("turn_detection", ServerVad())),
    }
    spoken: dict[str, Any] = {"format": dict(FORMATS[output_format]), "voice": options.get("voice", DEFAULT_VOICE)}
    if noise is not None:
        heard["noise_reduction"] = {"type": noise}
    if options.get("speed") is not None:
        spoken["speed"] = options["speed"]
    session: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": list(options.get("output_modalities", ("audio",))),
        "audio": {"input": heard, "output": spoken},
    }
    session |= {name: value for name in _AS_THEY_ARE if (value := options.get(name)) is not None}
    if options.get("reasoning_effort") is not None:
        session["reasoning"] = {"effort": options["reasoning_effort"]}
    if include := options.get("include"):
        session["include"] = list(include)
    if functions := [function_tool(tool) for tool in tools]:
        session["tools"] = functions
    return session


def function_tool(tool: ToolDefinition) -> dict[str, Any]:
    """A tool as the vendor describes it: the name stands beside the type."""
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}


def _given(options: ServerVad | SemanticVad | Transcription) -> dict[str, Any]:
    """What is set of them, with lists for any sequence."""
    fields = {name: getattr(options, name) for name in options.__slots__}
    return {
        name: list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }


def _turn_detection(option: TurnDetection | None) -> dict[str, Any] | None:
    if option is None or isinstance(option, TurnDetection):
        return None if option is None else option.to_json()
    raise InvalidConfig("turn_detection", f"must be a ServerVad, a SemanticVad or None, got {option!r}")


def _transcription(option: Transcription | str | None) -> dict[str, Any] | None:
    match option:
        case None:
            return None
        case str():
            return {"model": option}
        case Transcription():
            return option.to_json()
        case _:
            raise InvalidConfig("transcription", f"must be a model's name, a Transcription or None, got {option!r}")
