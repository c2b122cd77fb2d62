"""Qwen-Omni-Realtime, the session: the object that is asked for, and what the vendor's echo says it has become."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict

from trunkline.audio import AudioFormat
from trunkline.errors import AudioError, InvalidConfig
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.fields import Fields, Reader, flag_or, int_or, object_or_empty, text_or
from trunkline.wire.realtime.openai.session import SessionInfo
from trunkline.wire.realtime.qwen.models import Model, model_named
from trunkline.wire.realtime.qwen.schema import TURN_DETECTION
from trunkline.wire.realtime.qwen.tools import tools_for_session

VENDOR: Final = "qwen"
READER: Final = Reader(VENDOR)

INPUT: Final = AudioFormat(encoding="linear16", sample_rate=16_000)
OUTPUT: Final = AudioFormat(encoding="linear16", sample_rate=24_000)
"""The formats of every session that was not asked for others, whatever the vendor calls them."""

TRANSCRIPTION_MODEL: Final = "qwen3-asr-flash-realtime"
_PCM: Final = "pcm16"  # the vendor's SDK says so to all models; newer pages say "pcm"
_TELEPHONE_RATE: Final = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDetection:
    """The vendor finds the end of the user's turn.

    Args:
        type: "server_vad" by loudness and pauses; "semantic_vad" passes over noises and words of agreement (Qwen 3.5 and 3.8);
            "smart_turn" for `qwen-audio` models.
        threshold: -1 to 1; a lower one is more sensitive.
        prefix_padding_ms: Audio kept from before the detected start.
        silence_duration_ms: Silence that ends a turn, 200 to 6,000.
        idle_timeout_ms: Silence after which the model speaks by itself, 5,000 to 30,000; None is never (Qwen 3.5 with "server_vad").
        create_response: The vendor answers a finished turn by itself; None leaves it unsaid.
        interrupt_response: The vendor stops a running answer when it hears speech; None leaves it unsaid.

    Raises:
        InvalidConfig: A value is out of its range.
    """

    type: Literal["server_vad", "semantic_vad", "smart_turn"] = "server_vad"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 800
    idle_timeout_ms: int | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None

    def __post_init__(self) -> None:
        TURN_DETECTION.check(self.to_json(), "turn_detection")

    def to_json(self) -> dict[str, Any]:
        """The vendor's `turn_detection` object."""
        given = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in given.items() if value is not None}


class SessionOptions(TypedDict, total=False):
    """How a session should be; what is left out, or None, is left to the vendor unless it says otherwise here.

    Attributes:
        voice: The vendor's name of the voice.
        instructions: System prompt.
        turn_detection: Who ends the user's turn: `TurnDetection`, as unless given, or None for `commit_audio` by hand.
        transcription: Whether the user's words are written down; yes unless given.
        modalities: `("text", "audio")`, as unless given, or `("text",)`.
        temperature: 0 up to, not including, 2.
        top_p: Above 0, up to 1.
        top_k: 0 to 100.
        max_tokens: Most tokens of one answer.
        repetition_penalty: Above 0.
        presence_penalty: -2 to 2.
        seed: For answers that can be repeated; -1 for a random one.
        smooth_output: True for a colloquial answer, False for a written one (`qwen3-omni-flash`).
        enable_search: Whether the vendor may search the web (Qwen 3.5 and 3.8, and not together with tools).
        search_options: `{"enable_source": True}` for where it found things.
    """

    voice: str | None
    instructions: str | None
    turn_detection: TurnDetection | None
    transcription: bool
    modalities: Iterable[Literal["text", "audio"]]
    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_tokens: int | None
    repetition_penalty: float | None
    presence_penalty: float | None
    seed: int | None
    smooth_output: bool | None
    enable_search: bool | None
    search_options: Mapping[str, Any] | None


_AS_THEY_ARE: Final = (
    "instructions",
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "repetition_penalty",
    "presence_penalty",
    "seed",
    "smooth_output",
    "enable_search",
    "search_options",
)


def session_object(
    options: SessionOptions,
    *,
    model: str,
    input_format: AudioFormat | None = None,
    output_format: AudioFormat | None = None,
    tools: Iterable[ToolDefinition] = (),
) -> dict[str, Any]:
    """The object of `session.update`; whoever sends it checks it with `schema.check_session` and `check_model`.

    Args:
        options: What is wanted, by our own names.
        model: The vendor's name of the model, which decides between the flat and the nested form.
        input_format: Of the user's audio, where the caller has a wish.
        output_format: Of the model's audio, likewise.
        tools: What the model may call.

    Raises:
        InvalidConfig: `turn_detection` is not of its type.
    """
    detection = options.get("turn_detection", TurnDetection())
    if detection is not None and not isinstance(detection, TurnDetection):
        raise InvalidConfig("turn_detection", f"must be a TurnDetection or None, got {detection!r}")
    session: dict[str, Any] = {
        "modalities": list(options.get("modalities", ("text", "audio"))),
        "input_audio_transcription": {"model": TRANSCRIPTION_MODEL} if options.get("transcription", True) else None,
        "turn_detection": None if detection is None else detection.to_json(),
    }
    session |= _audio(model_named(model), input_format, output_format, options.get("voice"))
    session |= {name: value for name in _AS_THEY_ARE if (value := options.get(name)) is not None}
    if functions := tools_for_session(tools):
        session["tools"] = functions
    return session


def _audio(
    model: Model, input_format: AudioFormat | None, output_format: AudioFormat | None, voice: str | None
) -> dict[str, Any]:
    heard, spoken = nearest_format(model, input_format, INPUT), nearest_format(model, output_format, OUTPUT)
    named = {} if voice is None else {"voice": voice}
    if not model.nests_voice and (heard, spoken) == (INPUT, OUTPUT):
        return {"input_audio_format": _PCM, "output_audio_format": _PCM, **named}
    return {
        "audio": {
            "input": {"format": {"type": "pcm", "sample_rate": heard.sample_rate}},
            "output": {"format": {"type": "pcm", "sample_rate": spoken.sample_rate}, **named},
        }
    }


def nearest_format(model: Model, wanted: AudioFormat | None, default: AudioFormat) -> AudioFormat:
    """The format to ask for: the rate that is wanted where the model has it, a telephone's for the codecs of telephones."""
    if wanted is None or wanted.sample_rate not in model.audio_rates:
        return default
    is_linear = wanted.encoding == "linear16"
    if not is_linear and wanted.sample_rate != _TELEPHONE_RATE:
        return default
    return AudioFormat(encoding="linear16", sample_rate=wanted.sample_rate)


def check_model(session: Mapping[str, Any], model: str) -> None:
    """See that the model has what the session asks for.

    Raises:
        InvalidConfig: It has not, or two things exclude each other.
    """
    has = model_named(model)
    kind = (session.get("turn_detection") or {}).get("type")
    if kind is not None and has.turn_detection and kind not in has.turn_detection:
        raise InvalidConfig("session.turn_detection.type", f"{model} has no {kind!r}")
    if session["modalities"] == ["audio"]:
        raise InvalidConfig("session.modalities", "must be text, or text and audio")
    for name in ("tools", "enable_search"):
        if session.get(name) and not has.tools:
            raise InvalidConfig(f"session.{name}", f"{model} has no tools and no web search")
    if session.get("tools") and session.get("enable_search"):
        raise InvalidConfig("session.enable_search", "cannot be used together with tools")
    if session.get("smooth_output") is not None and not has.smooths:
        raise InvalidConfig("session.smooth_output", f"{model} has no such field")


def read_session(session: Fields) -> SessionInfo:
    """Read the object of `session.created` and `session.updated`.

    The formats are the vendor's fixed ones unless the nested form says otherwise: a model that does not know that form leaves it out of
    its answer, and stays with its own. Turn detection that is left out is off.

    Raises:
        RemoteProtocolError: The audio is of a format that the protocol does not have.
    """
    audio = object_or_empty(session, "audio")
    detection = object_or_empty(session, "turn_detection")
    detects = bool(detection)
    return SessionInfo(
        session_id=text_or(session, "id"),
        model=text_or(session, "model"),
        input_format=_read_format(audio, "input", INPUT),
        output_format=_read_format(audio, "output", OUTPUT),
        interrupts=detects and flag_or(detection, "interrupt_response", True),
        detects_turns=detects,
        answers_turns=detects and flag_or(detection, "create_response", True),
        instructions=text_or(session, "instructions"),
    )


def _read_format(audio: Fields, side: str, default: AudioFormat) -> AudioFormat:
    format_ = object_or_empty(object_or_empty(audio, side), "format")
    path = f"session.audio.{side}.format"
    kind, rate = text_or(format_, "type", "pcm"), int_or(format_, "sample_rate") or default.sample_rate
    if kind not in {"pcm", "pcm16", "pcm24"}:
        raise READER.error(f"unknown audio format {kind!r}", f"{path}.type")
    with suppress(AudioError):
        return AudioFormat(encoding="linear16", sample_rate=rate)
    raise READER.error(f"unknown sample rate {rate!r}", f"{path}.sample_rate")
