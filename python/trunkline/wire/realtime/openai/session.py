"""OpenAI Realtime, the session that a server describes: formats, turn detection, limits (GA, "session.created", "session.updated")."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from trunkline.audio import AudioFormat
from trunkline.errors import AudioError
from trunkline.wire.fields import Fields, Reader, flag_or, int_or, number_or, object_or_empty, text_or
from trunkline.wire.realtime import flat_session

VENDOR: Final = "openai"
READER: Final = Reader(VENDOR)

PCM: Final = AudioFormat(encoding="linear16", sample_rate=24_000)
PCMU: Final = AudioFormat(encoding="mulaw", sample_rate=8_000)
PCMA: Final = AudioFormat(encoding="alaw", sample_rate=8_000)

FORMATS: Final[Mapping[AudioFormat, Mapping[str, Any]]] = {
    PCM: {"type": "audio/pcm", "rate": 24_000},
    PCMU: {"type": "audio/pcmu"},
    PCMA: {"type": "audio/pcma"},
}
"""The formats that the vendor takes and gives, and its words for them."""

_FLAT_FORMATS: Final[Mapping[str, AudioFormat]] = {
    flat_session.FORMATS[words["type"]]: audio for audio, words in FORMATS.items()
}


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What the vendor says its session is.

    Attributes:
        interrupts: Whether it stops a running answer when it hears speech.
        expires_at: When it ends the session, in Unix seconds; None where it does not say.
        detects_turns: Whether it ends the user's turns.
        answers_turns: Whether it answers a turn that it ended.
        is_flat: Whether it speaks the older dialect.
    """

    session_id: str
    model: str
    input_format: AudioFormat
    output_format: AudioFormat
    interrupts: bool
    expires_at: float | None = None
    detects_turns: bool = True
    answers_turns: bool = True
    instructions: str = ""
    is_flat: bool = False


def read_session(session: Fields) -> SessionInfo:
    """Read the object of `session.created` and `session.updated`, of either dialect or a mixture.

    A format that is left out is the vendor's default.

    Raises:
        RemoteProtocolError: The audio is of a format that the protocol does not have.
    """
    audio = object_or_empty(session, "audio")
    heard, spoken = object_or_empty(audio, "input"), object_or_empty(audio, "output")
    detection = object_or_empty(heard if "turn_detection" in heard else session, "turn_detection")
    detects = bool(detection)
    return SessionInfo(
        session_id=text_or(session, "id"),
        model=text_or(session, "model"),
        input_format=_read_format(heard, session, "input"),
        output_format=_read_format(spoken, session, "output"),
        interrupts=detects and flag_or(detection, "interrupt_response", True),
        expires_at=number_or(session, "expires_at") or None,
        detects_turns=detects,
        answers_turns=detects and flag_or(detection, "create_response", True),
        instructions=text_or(session, "instructions"),
        is_flat="modalities" in session and not audio and "type" not in session,
    )


def _read_format(side: Fields, session: Fields, name: str) -> AudioFormat:
    word = text_or(session, f"{name}_audio_format")
    if "format" not in side and word:
        if word not in _FLAT_FORMATS:
            raise READER.error(f"unknown audio format {word!r}", f"session.{name}_audio_format")
        return _FLAT_FORMATS[word]
    format_, path = object_or_empty(side, "format"), f"session.audio.{name}.format"
    match text_or(format_, "type", "audio/pcm"):
        case "audio/pcm":
            return _pcm(int_or(format_, "rate") or PCM.sample_rate, f"{path}.rate")
        case "audio/pcmu":
            return PCMU
        case "audio/pcma":
            return PCMA
        case other:
            raise READER.error(f"unknown audio format {other!r}", f"{path}.type")


def _pcm(rate: int, path: str) -> AudioFormat:
    with suppress(AudioError):
        return AudioFormat(encoding="linear16", sample_rate=rate)
    raise READER.error(f"unknown sample rate {rate!r}", path)
