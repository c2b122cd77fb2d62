"""OpenAI Realtime, what a session and a response may be asked for: every field with its range (GA, "session.update", "response.create").

Strings, numbers and flags are taken as they are (`True` is no number, `"5"` neither); where the vendor takes a list, a tuple will do.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Required

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, with_config
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from trunkline.wire.settings import Settings

MAX_OUTPUT_TOKENS = 4096
FORBID = ConfigDict(extra="forbid")

Share = Annotated[StrictFloat, Field(ge=0, le=1)]
Milliseconds = Annotated[StrictInt, Field(ge=0)]
Effort = Literal["minimal", "low", "medium", "high", "xhigh"]
Name = Annotated[StrictStr, Field(min_length=1)]


def _tool_name(name: str) -> str:
    if not (0 < len(name) <= 64 and name.isascii() and name.replace("_", "a").replace("-", "a").isalnum()):
        raise ValueError("must be 1 to 64 letters of the Latin alphabet, digits, _ or -")
    return name


ToolName = Annotated[StrictStr, AfterValidator(_tool_name)]


@with_config(FORBID)
class Pcm(TypedDict, total=False):
    """Linear samples of 16 bits."""

    type: Required[Literal["audio/pcm"]]
    rate: Required[Literal[24000]]


@with_config(FORBID)
class G711(TypedDict, total=False):
    """A telephone's samples."""

    type: Required[Literal["audio/pcmu", "audio/pcma"]]


Format = Annotated[Pcm | G711, Field(discriminator="type")]


@with_config(FORBID)
class ServerVadFields(TypedDict, total=False):
    """A turn ends after a stretch of silence."""

    type: Required[Literal["server_vad"]]
    threshold: Share
    prefix_padding_ms: Milliseconds
    silence_duration_ms: Milliseconds
    idle_timeout_ms: Annotated[StrictInt, Field(ge=5_000, le=30_000)] | None
    create_response: StrictBool
    interrupt_response: StrictBool


@with_config(FORBID)
class SemanticVadFields(TypedDict, total=False):
    """A turn ends when the words sound finished."""

    type: Required[Literal["semantic_vad"]]
    eagerness: Literal["low", "medium", "high", "auto"]
    create_response: StrictBool
    interrupt_response: StrictBool


TurnDetectionFields = Annotated[ServerVadFields | SemanticVadFields, Field(discriminator="type")]


@with_config(FORBID)
class TranscriptionFields(TypedDict, total=False):
    """What writes down the user's words."""

    model: StrictStr
    language: StrictStr | None
    prompt: StrictStr | None
    languages: list[StrictStr]
    keywords: list[StrictStr]
    delay: Effort


@with_config(FORBID)
class NoiseReduction(TypedDict, total=False):
    """What cleans the user's audio."""

    type: Required[Literal["near_field", "far_field"]]
    strength: StrictFloat


@with_config(FORBID)
class Voice(TypedDict, total=False):
    """A voice of the user's own."""

    id: Required[StrictStr]


@with_config(FORBID)
class Input(TypedDict, total=False):
    """How the user is heard."""

    format: Format
    transcription: TranscriptionFields | None
    noise_reduction: NoiseReduction | None
    turn_detection: TurnDetectionFields | None


@with_config(FORBID)
class Output(TypedDict, total=False):
    """How the model speaks."""

    format: Format
    voice: Name | Voice
    speed: Annotated[StrictFloat, Field(ge=0.25, le=1.5)]


@with_config(FORBID)
class Audio(TypedDict, total=False):
    """Both sides of a session's audio."""

    input: Input
    output: Output


@with_config(FORBID)
class FunctionTool(TypedDict, total=False):
    """A tool that the program runs."""

    type: Required[Literal["function"]]
    name: Required[ToolName]
    description: StrictStr
    parameters: Any


@with_config(FORBID)
class McpTool(TypedDict, total=False):
    """Tools of a server that the vendor calls itself."""

    type: Required[Literal["mcp"]]
    server_label: Required[StrictStr]
    server_url: StrictStr
    connector_id: StrictStr
    tunnel_id: StrictStr
    authorization: StrictStr
    headers: Any
    allowed_tools: Any
    require_approval: Any


@with_config(FORBID)
class FunctionChoice(TypedDict, total=False):
    """The one function that must be called."""

    type: Required[Literal["function"]]
    name: Required[StrictStr]


@with_config(FORBID)
class McpChoice(TypedDict, total=False):
    """The server, or the one tool of it, that must be called."""

    type: Required[Literal["mcp"]]
    server_label: Required[StrictStr]
    name: StrictStr


@with_config(FORBID)
class Reasoning(TypedDict, total=False):
    """How long to think."""

    effort: Required[Effort]


@with_config(FORBID)
class Prompt(TypedDict, total=False):
    """A prompt that is stored with the vendor."""

    id: Required[StrictStr]
    version: StrictStr
    variables: Any


@with_config(FORBID)
class TokenLimits(TypedDict, total=False):
    """What is left of the context."""

    post_instructions: Annotated[StrictInt, Field(ge=1)]


@with_config(FORBID)
class Retention(TypedDict, total=False):
    """How much is left once the context is full."""

    type: Literal["retention_ratio"]
    retention_ratio: Required[Share]
    token_limits: TokenLimits


@with_config(FORBID)
class Tracing(TypedDict, total=False):
    """Names of the trace."""

    workflow_name: StrictStr
    group_id: StrictStr
    metadata: Any


@with_config(FORBID)
class Answering(TypedDict, total=False):
    """What a session and a response have in common."""

    output_modalities: Annotated[list[Literal["audio", "text"]], Field(min_length=1, max_length=1)]
    instructions: StrictStr
    tools: list[Annotated[FunctionTool | McpTool, Field(discriminator="type")]]
    tool_choice: (
        Literal["auto", "none", "required"] | Annotated[FunctionChoice | McpChoice, Field(discriminator="type")]
    )
    parallel_tool_calls: StrictBool
    reasoning: Reasoning
    max_output_tokens: Literal["inf"] | Annotated[StrictInt, Field(ge=1, le=MAX_OUTPUT_TOKENS)]
    prompt: Prompt | None


@with_config(FORBID)
class Session(Answering, total=False):
    """The object of `session.update`."""

    type: Required[Literal["realtime"]]
    audio: Audio
    truncation: Literal["auto", "disabled"] | Retention
    tracing: Literal["auto"] | Tracing | None
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None


@with_config(FORBID)
class ResponseOutput(TypedDict, total=False):
    """How the model speaks this once."""

    format: Format
    voice: Name | Voice


@with_config(FORBID)
class ResponseAudio(TypedDict, total=False):
    """The audio of one response."""

    output: ResponseOutput


@with_config(ConfigDict(extra="allow"))
class AnyItem(TypedDict, total=False):
    """An item of any type."""

    type: Required[StrictStr]


Metadata = Annotated[
    dict[Annotated[StrictStr, Field(max_length=64)], Annotated[StrictStr, Field(max_length=512)]], Field(max_length=16)
]


@with_config(FORBID)
class Response(Answering, total=False):
    """The object of `response.create`."""

    audio: ResponseAudio
    conversation: Literal["auto", "none"]
    input: list[AnyItem]
    metadata: Metadata


OlderTemperature = Annotated[StrictFloat, Field(ge=0.6, le=1.2)]


@with_config(FORBID)
class OlderSession(Session, total=False):
    """The same with what only the older dialect has."""

    temperature: OlderTemperature


@with_config(FORBID)
class OlderResponse(Response, total=False):
    """The same with what only the older dialect has."""

    temperature: OlderTemperature


SERVER_VAD = Settings(ServerVadFields)
SEMANTIC_VAD = Settings(SemanticVadFields)
_SESSION, _RESPONSE = Settings(Session), Settings(Response)
_OLDER_SESSION, _OLDER_RESPONSE = Settings(OlderSession), Settings(OlderResponse)


def check_session(session: Mapping[str, Any], *, flat: bool = False) -> None:
    """Check the object of `session.update`.

    Args:
        session: The object, as the present dialect has it.
        flat: Whether it may hold what only the older dialect, that of flat sessions, has.

    Raises:
        InvalidConfig: A field does not exist, or its value is out of range; `field` is its path, as in the vendor's own errors.
    """
    (_OLDER_SESSION if flat else _SESSION).check(session, "session")


def check_response(response: Mapping[str, Any], *, flat: bool = False) -> None:
    """Check the object of `response.create` likewise."""
    (_OLDER_RESPONSE if flat else _RESPONSE).check(response, "response")
