"""Qwen-Omni-Realtime, what a session and a response may be asked for: every field with its range."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, with_config
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from trunkline.wire.settings import Settings

FORBID = ConfigDict(extra="forbid")

Name = Annotated[StrictStr, Field(min_length=1)]
Modalities = Annotated[list[Literal["text", "audio"]], Field(min_length=1, max_length=2)]
PcmName = Literal["pcm", "pcm16", "pcm24"]
Rate = Literal[8000, 16000, 24000, 48000]


@with_config(FORBID)
class TurnDetectionFields(TypedDict, total=False):
    """How the vendor finds the end of the user's turn."""

    type: Required[Literal["server_vad", "semantic_vad", "smart_turn"]]
    threshold: Annotated[StrictFloat, Field(ge=-1, le=1)]
    prefix_padding_ms: Annotated[StrictInt, Field(ge=0)]
    silence_duration_ms: Annotated[StrictInt, Field(ge=200, le=6_000)]
    idle_timeout_ms: Annotated[StrictInt, Field(ge=5_000, le=30_000)]
    create_response: StrictBool
    interrupt_response: StrictBool


@with_config(FORBID)
class Transcription(TypedDict, total=False):
    """What writes down the user's words."""

    model: Required[Name]


@with_config(FORBID)
class Format(TypedDict, total=False):
    """Linear samples of 16 bits."""

    type: Required[Literal["pcm"]]
    sample_rate: Required[Rate]


@with_config(FORBID)
class Input(TypedDict, total=False):
    """How the user is heard."""

    format: Format


@with_config(FORBID)
class Output(TypedDict, total=False):
    """How the model speaks."""

    format: Format
    voice: Name


@with_config(FORBID)
class Audio(TypedDict, total=False):
    """Both sides of a session's audio, in the nested form."""

    input: Input
    output: Output


@with_config(FORBID)
class Function(TypedDict, total=False):
    """A function, within a tool."""

    name: Required[Name]
    description: StrictStr
    parameters: Any


@with_config(FORBID)
class FunctionTool(TypedDict, total=False):
    """A tool that the program runs."""

    type: Required[Literal["function"]]
    function: Required[Function]


@with_config(ConfigDict(extra="allow"))
class McpTool(TypedDict, total=False):
    """Tools of a server that the vendor calls itself."""

    type: Required[Literal["mcp"]]


@with_config(FORBID)
class SearchOptions(TypedDict, total=False):
    """How the vendor searches the web."""

    enable_source: StrictBool


@with_config(FORBID)
class Session(TypedDict, total=False):
    """The object of `session.update`."""

    modalities: Modalities
    voice: Name
    instructions: StrictStr
    input_audio_format: PcmName
    output_audio_format: PcmName
    input_audio_transcription: Transcription | None
    turn_detection: TurnDetectionFields | None
    audio: Audio
    smooth_output: StrictBool | None
    tools: list[Annotated[FunctionTool | McpTool, Field(discriminator="type")]]
    enable_search: StrictBool
    search_options: SearchOptions
    temperature: Annotated[StrictFloat, Field(ge=0, lt=2)]
    top_p: Annotated[StrictFloat, Field(gt=0, le=1)]
    top_k: Annotated[StrictInt, Field(ge=0, le=100)] | None
    max_tokens: Annotated[StrictInt, Field(ge=1)]
    repetition_penalty: Annotated[StrictFloat, Field(gt=0)]
    presence_penalty: Annotated[StrictFloat, Field(ge=-2, le=2)]
    seed: Annotated[StrictInt, Field(ge=-1, le=2**31 - 1)]


@with_config(FORBID)
class Response(TypedDict, total=False):
    """The object of `response.create`."""

    instructions: StrictStr
    modalities: Modalities


TURN_DETECTION = Settings(TurnDetectionFields)
_SESSION, _RESPONSE = Settings(Session), Settings(Response)


def check_session(session: Mapping[str, Any]) -> None:
    """Check the object of `session.update`.

    Raises:
        InvalidConfig: A field does not exist, or its value is out of range; `field` is its path, as in the vendor's own errors.
    """
    _SESSION.check(session, "session")


def check_response(response: Mapping[str, Any]) -> None:
    """Check the object of `response.create` likewise."""
    _RESPONSE.check(response, "response")
