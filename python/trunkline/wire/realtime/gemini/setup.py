"""Gemini Live, the setup that is asked for: options by names of our own become the vendor's object (§3)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from trunkline.errors import InvalidConfig
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.realtime.gemini.commands import content

DEFAULT_MODEL = "gemini-3.8-live"


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticActivity:
    """The vendor finds the user's turns by itself; what is None is left to it.

    Args:
        start_sensitivity: "high" takes more for the start of speech.
        end_sensitivity: "high" ends a turn sooner.
        prefix_padding_ms: Speech that is needed before a start counts.
        silence_duration_ms: Silence that is needed before an end counts.

    Raises:
        InvalidConfig: A value that there is not.
    """

    start_sensitivity: Literal["high", "low"] | None = None
    end_sensitivity: Literal["high", "low"] | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None

    def __post_init__(self) -> None:
        for name in ("start_sensitivity", "end_sensitivity"):
            if getattr(self, name) not in {None, "high", "low"}:
                raise InvalidConfig(name, f"must be high, low or None, got {getattr(self, name)!r}")
        for name in ("prefix_padding_ms", "silence_duration_ms"):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and value >= 0):
                raise InvalidConfig(name, f"must be a whole number, at least 0, got {value!r}")

    def to_json(self) -> dict[str, Any]:
        """The vendor's `automaticActivityDetection` object."""
        start, end = self.start_sensitivity, self.end_sensitivity
        return _given(
            {
                "startOfSpeechSensitivity": start and f"START_SENSITIVITY_{start.upper()}",
                "endOfSpeechSensitivity": end and f"END_SENSITIVITY_{end.upper()}",
                "prefixPaddingMs": self.prefix_padding_ms,
                "silenceDurationMs": self.silence_duration_ms,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextCompression:
    """Older parts of a long conversation are dropped, which lifts the vendor's limit of 15 minutes.

    Args:
        trigger_tokens: From how many tokens on.
        target_tokens: How many are kept; half of `trigger_tokens` if the vendor decides.
    """

    trigger_tokens: int | None = None
    target_tokens: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The vendor's `contextWindowCompression` object."""
        window = _given({"targetTokens": self.target_tokens})
        return _given({"triggerTokens": self.trigger_tokens, "slidingWindow": window})


class SessionOptions(TypedDict, total=False):
    """How a session should be; what is left out, or None, is left to the vendor unless it says otherwise here.

    Attributes:
        voice: The vendor's name of the voice, such as "Kore".
        language: What to speak, as in BCP-47; models with native audio choose by themselves.
        instructions: System prompt.
        modality: "audio", as unless given, or "text" for the models that write.
        temperature: 0 to 2.
        top_p: 0 to 1.
        top_k: At least 1.
        max_output_tokens: Most tokens of one answer.
        seed: For answers that are more alike.
        thinking_budget: Tokens to think with; 0 for none, -1 for as many as the model likes. Of the 2.5 models.
        thinking_level: "minimal", "low", "medium", "high" or "xhigh"; of the 3.1 models.
        affective_dialog: Answer in the user's tone; of the 2.5 models, with `api_version="v1alpha"`.
        proactive_audio: The model may keep silent; always on with `gemini-3.8-live`, which refuses False.
        turn_detection: Who ends the user's turn: `AutomaticActivity`, as unless given, or None for `commit_audio` by hand.
        interrupts: Whether the start of the user's turn cuts a running answer; unless given True, and False for turns by hand, as the
            caller's audio goes on all the time on a telephone.
        turn_coverage: Which input is part of a turn, by the vendor's word.
        transcription: Whether the user's words are told: True, as unless given, False, or the vendor's own object.
        compression: Whether the oldest of a long conversation is dropped: `ContextCompression`, as unless given, or None.
        resumption: Whether the session can be taken up again; True unless given.
        tool_behavior: "blocking": the model waits for the results of tools; "non_blocking": it goes on talking. None for the model's own.
    """

    voice: str | None
    language: str | None
    instructions: str | None
    modality: Literal["audio", "text"]
    temperature: float | None
    top_p: float | None
    top_k: float | None
    max_output_tokens: int | None
    seed: int | None
    thinking_budget: int | None
    thinking_level: Literal["minimal", "low", "medium", "high", "xhigh"] | None
    affective_dialog: bool | None
    proactive_audio: bool | None
    turn_detection: AutomaticActivity | None
    interrupts: bool | None
    turn_coverage: str | None
    transcription: bool | Mapping[str, Any]
    compression: ContextCompression | None
    resumption: bool
    tool_behavior: Literal["blocking", "non_blocking"] | None


def refuse_unknown(options: Iterable[str]) -> None:
    """Refuse names that no option has.

    Raises:
        InvalidConfig: It names the first of them.
    """
    for name in options:
        if name not in SessionOptions.__annotations__:
            known = ", ".join(sorted(SessionOptions.__annotations__))
            raise InvalidConfig(name, f"there is no such option; for the session there are {known}")


def model_path(model: str) -> str:
    """The model as the protocol names it."""
    return model if "/" in model else f"models/{model}"


def takes_history(model: str) -> bool:
    """Whether the model takes a history that need not end with the user (`historyConfig`); those before version 3 do not."""
    name = model.rpartition("/")[2]
    return not name.startswith(("gemini-1", "gemini-2", "gemini-live-2"))


def waits_for_tools(model: str, behavior: str | None) -> bool:
    """Whether the model says nothing until its calls are answered: so by default up to version 3.1, and no more with 3.8."""
    if behavior is not None:
        return behavior == "blocking"
    return not model.rpartition("/")[2].startswith("gemini-3.8")


def setup_object(
    model: str, options: SessionOptions, *, transcribe_output: bool = True, tools: Sequence[ToolDefinition] = ()
) -> dict[str, Any]:
    """The object of `setup`; whoever sends it checks it with `schema.check_setup`.

    Raises:
        InvalidConfig: An option is of another type than it must be.
    """
    modality = options.get("modality", "audio")
    if modality not in {"audio", "text"}:
        raise InvalidConfig("modality", f"must be audio or text, got {modality!r}")
    setup: dict[str, Any] = {
        "model": model_path(model),
        "generationConfig": _generation(options, modality),
        "realtimeInputConfig": _realtime_input(options),
    }
    if instructions := options.get("instructions"):
        setup["systemInstruction"] = content("user", instructions)
    if functions := [_function(tool, options.get("tool_behavior")) for tool in tools]:
        setup["tools"] = [{"functionDeclarations": functions}]
    if options.get("resumption", True):
        setup["sessionResumption"] = {}
    compression = options.get("compression", ContextCompression())
    if compression is not None:
        if not isinstance(compression, ContextCompression):
            raise InvalidConfig("compression", f"must be a ContextCompression or None, got {compression!r}")
        setup["contextWindowCompression"] = compression.to_json()
    transcription = options.get("transcription", True)
    if transcription is True or isinstance(transcription, Mapping):
        setup["inputAudioTranscription"] = {} if transcription is True else dict(transcription)
    if transcribe_output and modality == "audio":
        setup["outputAudioTranscription"] = {}
    if options.get("proactive_audio") is not None:
        setup["proactivity"] = {"proactiveAudio": options["proactive_audio"]}
    return setup


def _generation(options: SessionOptions, modality: str) -> dict[str, Any]:
    level = options.get("thinking_level")
    thinking = _given({"thinkingBudget": options.get("thinking_budget"), "thinkingLevel": level and level.upper()})
    voice = options.get("voice")
    speech = _given(
        {
            "voiceConfig": None if voice is None else {"prebuiltVoiceConfig": {"voiceName": voice}},
            "languageCode": options.get("language"),
        }
    )
    return _given(
        {
            "responseModalities": [modality.upper()],
            "temperature": options.get("temperature"),
            "topP": options.get("top_p"),
            "topK": options.get("top_k"),
            "maxOutputTokens": options.get("max_output_tokens"),
            "seed": options.get("seed"),
            "speechConfig": speech or None,
            "thinkingConfig": thinking or None,
            "enableAffectiveDialog": options.get("affective_dialog"),
        }
    )


def _realtime_input(options: SessionOptions) -> dict[str, Any]:
    detection = options.get("turn_detection", AutomaticActivity())
    if not isinstance(detection, AutomaticActivity | None):
        raise InvalidConfig("turn_detection", f"must be an AutomaticActivity or None, got {detection!r}")
    interrupts = options.get("interrupts")
    if interrupts is None:
        interrupts = detection is not None
    return _given(
        {
            "automaticActivityDetection": {"disabled": True} if detection is None else detection.to_json(),
            "activityHandling": "START_OF_ACTIVITY_INTERRUPTS" if interrupts else "NO_INTERRUPTION",
            "turnCoverage": options.get("turn_coverage"),
        }
    )


def _function(tool: ToolDefinition, behavior: str | None) -> dict[str, Any]:
    described: dict[str, Any] = {"name": tool.name, "description": tool.description}
    if tool.schema.get("properties"):
        described["parametersJsonSchema"] = dict(tool.schema)
    if behavior is not None:
        described["behavior"] = behavior.upper()
    return described


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
