"""What a simulated service understands of a whole utterance."""

from trunkline.audio import AudioFormat, convert
from trunkline.testing.hearing import EAR
from trunkline.testing.vendor_simulator import VendorSimulator


async def understood(simulator: VendorSimulator, audio: bytes, audio_format: AudioFormat) -> str:
    """The next transcript, or what the brain makes of the audio; "" for neither."""
    if simulator.transcripts is not None:
        return next(simulator.transcripts, "")
    return await simulator.brain.transcribe(convert(audio, audio_format, EAR)) or ""
