"""OpenAI Realtime, the session that a server tells: formats, turn detection, limits (GA, "session.created", "session.updated")."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from trunkline.audio import AudioFormat
from trunkline.errors import AudioError, RemoteProtocolError

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

BETA_FORMATS: Mapping[Any, AudioFormat] = {"pcm16": PCM, "g711_ulaw": PCMU, "g711_alaw": PCMA}
"""The older dialect's words for the same formats."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What the vendor says its session is; `expires_at` is in Unix seconds, 0 if it did not say.

    `interrupts` tells whether the vendor cancels a running answer when it hears speech, `detects_turns` whether it ends the user's turns,
    and `beta` whether it speaks the older dialect.
    """

    session_id: str
    model: str
    input_format: AudioFormat
    output_format: AudioFormat
    interrupts: bool
    expires_at: float = 0
    detects_turns: bool = True
    instructions: str = ""
    beta: bool = False


def read_session(session: Mapping[str, Any]) -> SessionInfo:
    """Read the object of `session.created` and `session.updated`, of either dialect or a mixture.

    A format that is not told is the vendor's default.

    Raises:
        RemoteProtocolError: The audio is of a format that the protocol does not have.
    """
    audio = _object(session, "audio", "session")
    heard = _object(audio, "input", "session.audio")
    spoken = _object(audio, "output", "session.audio")
    if "turn_detection" in heard:
        detection = _object(heard, "turn_detection", "session.audio.input")
    else:
        detection = _object(session, "turn_detection", "session")
    expires_at = session.get("expires_at")
    return SessionInfo(
        session_id=_word(session.get("id")),
        model=_word(session.get("model")),
        input_format=_read_format(heard, session, "input"),
        output_format=_read_format(spoken, session, "output"),
        interrupts=bool(detection) and detection.get("interrupt_response") is not False,
        expires_at=expires_at if isinstance(expires_at, int | float) else 0,
        detects_turns=bool(detection),
        instructions=_word(session.get("instructions")),
        beta="modalities" in session and not audio and "type" not in session,
    )


def _read_format(audio: Mapping[str, Any], session: Mapping[str, Any], side: str) -> AudioFormat:
    flat = session.get(f"{side}_audio_format")
    if "format" not in audio and flat is not None:
        if flat not in BETA_FORMATS:
            raise RemoteProtocolError(VENDOR, f"unknown audio format {flat!r}", path=f"session.{side}_audio_format")
        return BETA_FORMATS[flat]
    told, path = _object(audio, "format", f"session.audio.{side}"), f"session.audio.{side}.format"
    match told.get("type", "audio/pcm"):
        case "audio/pcm":
            return _pcm(told.get("rate") or PCM.sample_rate, f"{path}.rate")
        case "audio/pcmu":
            return PCMU
        case "audio/pcma":
            return PCMA
        case other:
            raise RemoteProtocolError(VENDOR, f"unknown audio format {other!r}", path=f"{path}.type")


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
