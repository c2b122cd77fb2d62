"""What the suite for speech to text plays and needs: a caller, troubles, and a vendor under its control."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from trunkline.audio import AudioFormat, convert
from trunkline.stt.provider import SpeechToText, SttSession
from trunkline.testing.brain import tone
from trunkline.wire.stt.events import SttEvent

FRAME_MS = 20
_TONE = AudioFormat("linear16", 16_000)


class SttTrouble(StrEnum):
    """What a vendor can be made to suffer, once."""

    DROP = "drop"
    """The connection breaks without a word when the next audio comes."""
    CLOSE = "close"
    """The vendor closes the connection then, with a code that says it failed."""
    MALFORMED = "malformed"
    """A message comes then that cannot be read."""
    REFUSED = "refused"
    """At the door: the vendor is overloaded and says so, as often as it is asked in a row."""
    RATE_LIMITED = "rate_limited"
    """At the door: there were too many requests; the vendor says to wait for 30 s."""
    HANGING = "hanging"
    """At the door: the vendor accepts the connection and never answers."""
    WRONG_KEY = "wrong_key"
    """At the door: the key is refused."""


class SttVendor(Protocol):
    """A vendor's service on loopback. You write one for an engine of yours."""

    @property
    def stt(self) -> SpeechToText:
        """What is under test. Its deadlines must be well below the suite's `patience`."""
        ...

    @property
    def open_sessions(self) -> int:
        """How many connections to the vendor are open; 0 for an engine without."""
        ...

    def inflict(self, trouble: SttTrouble) -> None:
        """Let this happen once."""
        ...


def said(audio_format: AudioFormat, *, speech_ms: int = 1200, silence_ms: int = 1500) -> Sequence[bytes]:
    """The frames of a caller who says something and falls silent."""
    speech = convert(tone(speech_ms, rate=_TONE.sample_rate), _TONE, audio_format)
    audio = audio_format.silence(200) + speech + audio_format.silence(silence_ms)
    size = audio_format.frame_bytes(FRAME_MS)
    return [audio[start : start + size] for start in range(0, len(audio), size)]


async def say(session: SttSession, *, speech_ms: int = 1200, silence_ms: int = 1500, ask: bool | None = None) -> None:
    """Let a session hear an utterance, and ask for its end where the session does not find it."""
    for frame in said(session.input_format, speech_ms=speech_ms, silence_ms=silence_ms):
        await session.send_audio(frame)
    if ask or (ask is None and not session.capabilities.ends_turns):
        await session.finalize()


async def until(session: SttSession, *kinds: type) -> list[SttEvent]:
    """The events up to the first of one of these kinds, which is the last of the list."""
    events: list[SttEvent] = []
    async for event in session:
        events.append(event)
        if isinstance(event, kinds):
            break
    return events
