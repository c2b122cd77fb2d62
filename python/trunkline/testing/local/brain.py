"""A brain that really hears and really speaks, on this machine: the receptionist with local speech."""

from collections.abc import Sequence

import anyio.to_thread

from trunkline.audio.vad import SileroDetector, VoiceActivityDetector
from trunkline.stt.local import LocalRecognizer
from trunkline.testing.brain import CallTool, Heard, Say, Tools
from trunkline.testing.local import receptionist
from trunkline.tts.local import LocalSynthesizer

AGENT_VOICE = "en-us+f3"
_AGENT_RATE_WPM = 170
_AGENT_PITCH = 55


class LocalBrain:
    """Neural voice detection, a small grammar, the receptionist's script, espeak-ng's voice; one brain serves many sessions.

    Raises:
        MissingExtra: The extra `local` is not installed.
    """

    def __init__(self) -> None:
        self._recognizer = LocalRecognizer(receptionist.RECEPTIONIST_GRAMMAR)
        self._synthesizer = LocalSynthesizer(voice=AGENT_VOICE, rate_wpm=_AGENT_RATE_WPM, pitch=_AGENT_PITCH)

    def detector(self) -> VoiceActivityDetector:
        """A new neural detector."""
        return SileroDetector()

    async def transcribe(self, pcm: bytes) -> str | None:
        """The sentence of the receptionist's grammar that was said, or None."""
        return await self._recognizer.transcribe(pcm)

    async def answer(self, history: Sequence[Heard], *, instructions: str, tools: Tools) -> Sequence[Say | CallTool]:
        """What the receptionist says, or asks the application to look up."""
        return (receptionist.answer(history, instructions=instructions, tools=tools),)

    async def speak(self, text: str) -> bytes:
        """The sentence in the agent's voice, PCM16 mono at 24 kHz."""
        speech = await self._synthesizer.synthesize(text)
        return await anyio.to_thread.run_sync(_at_24_khz, speech.pcm, speech.sample_rate)


def _at_24_khz(pcm: bytes, sample_rate: int) -> bytes:
    from trunkline.audio import AudioFormat, StreamConverter

    source = AudioFormat(encoding="linear16", sample_rate=sample_rate)
    converter = StreamConverter(source, AudioFormat(encoding="linear16", sample_rate=24000))
    return converter.convert(pcm) + converter.flush()
