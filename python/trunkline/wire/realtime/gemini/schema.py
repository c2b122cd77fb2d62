"""Gemini Live, the fields of `setup` with their values (§3); the vendor closes the connection for one that it does not know.

Parts that are rarely used, and those of the vendor's own tools, are taken as they are.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Required

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, with_config
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from trunkline.wire.settings import Settings

FORBID = ConfigDict(extra="forbid")

Milliseconds = Annotated[StrictInt, Field(ge=0)]
Tokens = Annotated[StrictInt, Field(ge=1)] | Annotated[StrictStr, Field(pattern=r"^[1-9]\d*$")]
Anything = Mapping[str, Any]


def _tool_name(name: str) -> str:
    first = name[:1]
    if not (first.isascii() and (first.isalpha() or first == "_")):
        raise ValueError("must begin with a letter of the Latin alphabet or _")
    return name


@with_config(FORBID)
class PrebuiltVoice(TypedDict, total=False):
    """One of the vendor's voices, by name."""

    voiceName: Required[Annotated[StrictStr, Field(min_length=1)]]


@with_config(FORBID)
class Voice(TypedDict, total=False):
    """`speechConfig.voiceConfig`."""

    prebuiltVoiceConfig: PrebuiltVoice
    replicatedVoiceConfig: Anything


@with_config(FORBID)
class Speech(TypedDict, total=False):
    """`generationConfig.speechConfig`."""

    voiceConfig: Voice
    languageCode: StrictStr


@with_config(FORBID)
class Thinking(TypedDict, total=False):
    """`generationConfig.thinkingConfig`."""

    thinkingBudget: Annotated[StrictInt, Field(ge=-1)]
    thinkingLevel: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"]
    includeThoughts: StrictBool


@with_config(FORBID)
class Generation(TypedDict, total=False):
    """`generationConfig`."""

    responseModalities: Annotated[list[Literal["AUDIO", "TEXT"]], Field(min_length=1, max_length=1)]
    temperature: Annotated[StrictFloat | StrictInt, Field(ge=0, le=2)]
    topP: Annotated[StrictFloat | StrictInt, Field(ge=0, le=1)]
    topK: Annotated[StrictFloat | StrictInt, Field(ge=1)]
    maxOutputTokens: Annotated[StrictInt, Field(ge=1)]
    seed: StrictInt
    mediaResolution: Literal["MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_MEDIUM", "MEDIA_RESOLUTION_HIGH"]
    speechConfig: Speech
    thinkingConfig: Thinking
    enableAffectiveDialog: StrictBool
    translationConfig: Anything


@with_config(FORBID)
class AutomaticDetection(TypedDict, total=False):
    """`realtimeInputConfig.automaticActivityDetection`."""

    disabled: StrictBool
    startOfSpeechSensitivity: Literal["START_SENSITIVITY_HIGH", "START_SENSITIVITY_LOW"]
    endOfSpeechSensitivity: Literal["END_SENSITIVITY_HIGH", "END_SENSITIVITY_LOW"]
    prefixPaddingMs: Milliseconds
    silenceDurationMs: Milliseconds


@with_config(FORBID)
class RealtimeInput(TypedDict, total=False):
    """`realtimeInputConfig`."""

    automaticActivityDetection: AutomaticDetection
    activityHandling: Literal["START_OF_ACTIVITY_INTERRUPTS", "NO_INTERRUPTION"]
    turnCoverage: Literal[
        "TURN_INCLUDES_ONLY_ACTIVITY", "TURN_INCLUDES_ALL_INPUT", "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO"
    ]


@with_config(FORBID)
class Resumption(TypedDict, total=False):
    """`sessionResumption`."""

    handle: StrictStr


@with_config(FORBID)
class SlidingWindow(TypedDict, total=False):
    """`contextWindowCompression.slidingWindow`."""

    targetTokens: Tokens


@with_config(FORBID)
class Compression(TypedDict, total=False):
    """`contextWindowCompression`."""

    triggerTokens: Tokens
    slidingWindow: SlidingWindow


@with_config(FORBID)
class Transcription(TypedDict, total=False):
    """`inputAudioTranscription` and `outputAudioTranscription`."""

    languageCodes: list[StrictStr]
    customVocabulary: list[StrictStr]
    wordTimestamp: StrictBool
    diarization: StrictBool
    mode: Literal["VERBATIM", "SMART"]


@with_config(FORBID)
class Proactivity(TypedDict, total=False):
    """`proactivity`."""

    proactiveAudio: StrictBool
    proactiveVideo: StrictBool


@with_config(FORBID)
class HistoryConfig(TypedDict, total=False):
    """`historyConfig`."""

    initialHistoryInClientContent: StrictBool


@with_config(FORBID)
class Function(TypedDict, total=False):
    """One of `tools.functionDeclarations`."""

    name: Required[Annotated[StrictStr, Field(max_length=128), AfterValidator(_tool_name)]]
    description: StrictStr
    parameters: Anything
    parametersJsonSchema: Anything
    response: Anything
    behavior: Literal["BLOCKING", "NON_BLOCKING"]


@with_config(FORBID)
class Tool(TypedDict, total=False):
    """One of `tools`."""

    functionDeclarations: list[Function]
    googleSearch: Anything
    urlContext: Anything
    codeExecution: Anything


@with_config(FORBID)
class TextPart(TypedDict, total=False):
    """One of `systemInstruction.parts`."""

    text: Required[StrictStr]


@with_config(FORBID)
class Instruction(TypedDict, total=False):
    """`systemInstruction`."""

    role: StrictStr
    parts: Required[list[TextPart]]


@with_config(FORBID)
class Setup(TypedDict, total=False):
    """The object of `setup`."""

    model: Required[Annotated[StrictStr, Field(pattern="^[a-z]+/.+")]]
    generationConfig: Generation
    systemInstruction: Instruction
    tools: list[Tool]
    realtimeInputConfig: RealtimeInput
    sessionResumption: Resumption
    contextWindowCompression: Compression
    inputAudioTranscription: Transcription
    outputAudioTranscription: Transcription
    proactivity: Proactivity
    historyConfig: HistoryConfig
    avatarConfig: Anything
    safetySettings: list[Anything]
    labels: Mapping[StrictStr, StrictStr]


SETUP = Settings(Setup)


def check_setup(setup: Mapping[str, Any]) -> None:
    """See that the vendor will know all of it; `InvalidConfig` names the field, such as `setup.generationConfig.topP`."""
    SETUP.check(setup, "setup")
