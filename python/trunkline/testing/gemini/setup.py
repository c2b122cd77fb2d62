"""What the service takes as `setup`, and how it refuses the rest."""

from collections.abc import Mapping
from typing import Any, Final

from trunkline.testing.gemini.codec import Refusal, invalid_argument

MODELS: Final = (
    "gemini-3.8-live",
    "gemini-3.8-live-extended-thinking",
    "gemini-3.1-flash-live-preview",
    "gemini-2.5-flash-native-audio-latest",
    "gemini-2.5-flash-native-audio-preview-09-2025",
    "gemini-2.5-flash-native-audio-preview-12-2025",
    "gemini-robotics-er-2-streaming-preview",
)
VOICES: Final = {
    "Achernar",
    "Achird",
    "Algenib",
    "Algieba",
    "Alnilam",
    "Aoede",
    "Autonoe",
    "Callirrhoe",
    "Charon",
    "Despina",
    "Enceladus",
    "Erinome",
    "Fenrir",
    "Gacrux",
    "Iapetus",
    "Kore",
    "Laomedeia",
    "Leda",
    "Orus",
    "Pulcherrima",
    "Puck",
    "Rasalgethi",
    "Sadachbia",
    "Sadaltager",
    "Schedar",
    "Sulafat",
    "Umbriel",
    "Vindemiatrix",
    "Zephyr",
    "Zubenelgenubi",
}
_WRITES: Final = ("gemini-robotics-er-2-streaming-preview",)

Tree = Mapping[str, Any]
"""The names that an object may have, each with those of the object or the list of objects it holds; None for anything."""

_TRANSCRIPTION: Final = dict.fromkeys(("languageCodes", "customVocabulary", "wordTimestamp", "diarization", "mode"))
_CONTENT: Final = {
    "role": None,
    "parts": {
        "text": None,
        "thought": None,
        "inlineData": {"mimeType": None, "data": None},
        "functionCall": None,
        "functionResponse": None,
    },
}
_FUNCTION: Final = dict.fromkeys(("name", "description", "parameters", "parametersJsonSchema", "response", "behavior"))
_TOOLS: Final = {"functionDeclarations": _FUNCTION, "googleSearch": None, "urlContext": None, "codeExecution": None}
_SETUP: Final = {
    "model": None,
    "generationConfig": {
        **dict.fromkeys(("responseModalities", "temperature", "topP", "topK", "maxOutputTokens", "seed")),
        "mediaResolution": None,
        "speechConfig": {
            "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": None}, "replicatedVoiceConfig": None},
            "languageCode": None,
        },
        "thinkingConfig": dict.fromkeys(("thinkingBudget", "thinkingLevel", "includeThoughts")),
        "enableAffectiveDialog": None,
        "translationConfig": None,
    },
    "systemInstruction": _CONTENT,
    "tools": _TOOLS,
    "realtimeInputConfig": {
        "automaticActivityDetection": dict.fromkeys(
            ("disabled", "startOfSpeechSensitivity", "endOfSpeechSensitivity", "prefixPaddingMs", "silenceDurationMs")
        ),
        "activityHandling": None,
        "turnCoverage": None,
    },
    "sessionResumption": {"handle": None, "transparent": None},
    "contextWindowCompression": {"triggerTokens": None, "slidingWindow": {"targetTokens": None}},
    "inputAudioTranscription": _TRANSCRIPTION,
    "outputAudioTranscription": _TRANSCRIPTION,
    "proactivity": {"proactiveAudio": None, "proactiveVideo": None},
    "historyConfig": {"initialHistoryInClientContent": None},
    "explicitVadSignal": None,
    "avatarConfig": None,
    "safetySettings": None,
    "labels": None,
}
_BLOB: Final = {"data": None, "mimeType": None}
MESSAGES: Final[Tree] = {
    "setup": _SETUP,
    "clientContent": {"turns": _CONTENT, "turnComplete": None},
    "realtimeInput": {
        "audio": _BLOB,
        "video": _BLOB,
        "text": None,
        "activityStart": {},
        "activityEnd": {},
        "audioStreamEnd": None,
        "mediaChunks": _BLOB,
    },
    "toolResponse": {
        "functionResponses": dict.fromkeys(("id", "name", "response", "scheduling", "willContinue", "parts"))
    },
    "contextUpdate": {"systemInstruction": _CONTENT, "tools": {"tools": _TOOLS}},
}


def check_message(event: Mapping[str, Any]) -> str:
    """The key of a client's message.

    Raises:
        Refusal: It has more than one, or holds a name that the protocol does not have.
    """
    _check_names(event, MESSAGES)
    if len(event) != 1:
        raise invalid_argument()
    return next(iter(event))


def check_setup(setup: Mapping[str, Any], version: str) -> None:
    """See that the service would begin a session of it.

    Raises:
        Refusal: It would not.
    """
    path = str(setup.get("model", ""))
    model = path.rpartition("/")[2]
    if not path.startswith("models/") or model not in MODELS:
        raise Refusal(
            1008,
            f"{path} is not found for API version {version}, or is not supported for bidiGenerateContent. "
            "Call ModelService.ListModels to see the list of available models.",
        )
    generation = setup.get("generationConfig", {})
    modalities = generation.get("responseModalities", ["AUDIO"])
    if len(modalities) != 1 or modalities[0] not in {"AUDIO", "TEXT"}:
        raise invalid_argument()
    if modalities == ["TEXT"] and model not in _WRITES:
        raise Refusal(1007, "Text output is not supported for native audio output model.")
    voice = generation.get("speechConfig", {}).get("voiceConfig", {}).get("prebuiltVoiceConfig", {}).get("voiceName")
    if voice is not None and voice not in VOICES:
        raise Refusal(1007, f"No matching speaker voice found for name: {voice}")
    if model.startswith("gemini-3.8") and setup.get("proactivity", {}).get("proactiveAudio") is False:
        raise invalid_argument()
    for tool in setup.get("tools", ()):
        for function in tool.get("functionDeclarations", ()):
            _check_function(function, model)


def _check_function(function: Mapping[str, Any], model: str) -> None:
    name = function.get("name", "")
    plain = name.translate(str.maketrans("_.:-", "aaaa"))
    is_named = plain.isascii() and plain.isalnum() and len(name) <= 128 and (name[0].isalpha() or name[0] == "_")
    if not is_named or {"parameters", "parametersJsonSchema"} <= function.keys():
        raise invalid_argument()
    if function.get("behavior") == "NON_BLOCKING" and model == "gemini-3.1-flash-live-preview":
        raise invalid_argument()


def _check_names(value: Any, known: Tree | None, where: str = "") -> None:
    if known is None:
        return
    if isinstance(value, list):
        for member in value:
            _check_names(member, known, where)
    elif isinstance(value, Mapping):
        for name, member in value.items():
            if name not in known:
                at = f" at '{where}'" if where else ""
                raise Refusal(1007, f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')
            _check_names(member, known[name], f"{where}.{name}" if where else name)


def schema_of(function: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON schema of a function's arguments; the protocol's own has its types in capitals."""
    schema = function.get("parametersJsonSchema")
    if isinstance(schema, Mapping):
        return schema
    return _lowered(function.get("parameters") or {})


def _lowered(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.lower()
        if name == "type" and isinstance(value, str)
        else {inner: _lowered(member) for inner, member in value.items()}
        if name == "properties" and isinstance(value, Mapping)
        else value
        for name, value in schema.items()
    }
