"""What raw audio is made of, and which carrier or model speaks what."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from trunkline._native._rust import SAMPLE_RATES
from trunkline.errors import AudioError, UnsupportedEncoding, UnsupportedSampleRate

__all__ = [
    "GEMINI_INPUT",
    "GEMINI_OUTPUT",
    "LIVEKIT",
    "LIVEKIT_24K",
    "OPENAI",
    "PLIVO",
    "QWEN_INPUT",
    "QWEN_OUTPUT",
    "SAMPLE_RATES",
    "TELNYX",
    "TWILIO",
    "VONAGE",
    "AudioFormat",
    "Encoding",
]


class Encoding(StrEnum):
    """How audio is written down; `Encoding("PCMU")` and the like find it by any of its names.

    Raises:
        UnsupportedEncoding: No encoding has this name.
    """

    LINEAR16 = "linear16"
    MULAW = "mulaw"
    ALAW = "alaw"
    AAC = "aac"
    FLAC = "flac"
    MP3 = "mp3"
    OPUS = "opus"
    SPEEX = "speex"
    WEBM = "webm"

    @property
    def is_raw(self) -> bool:
        """Whether it is a number for each sample, so that it can be converted; the others are known by name only."""
        return self in _RAW

    @classmethod
    def _missing_(cls, value: object) -> "Encoding":
        if isinstance(value, str):
            plain = value.strip().lower().replace("-", "_").removeprefix("audio/").replace("µ", "u").replace("μ", "u")
            known = _ALIASES.get(plain, plain)
            if known in cls._value2member_map_:
                return cls(known)
        raise UnsupportedEncoding(value)


_RAW = {Encoding.LINEAR16: 2, Encoding.MULAW: 1, Encoding.ALAW: 1}  # bytes of a sample
_SILENCE = {Encoding.LINEAR16: b"\x00\x00", Encoding.MULAW: b"\xff", Encoding.ALAW: b"\xd5"}
_ALIASES = {
    alias: encoding
    for encoding, aliases in {
        "linear16": "linear_16 linear pcm pcm16 pcm_16 pcm_s16le s16le s16 l16 slin slin16 signed_linear lpcm",
        "mulaw": "mu_law ulaw u_law pcmu pcm_mulaw pcm_mu_law x_mulaw basic g711u g711_ulaw g711_u_law g711_mulaw g711_mu_law g711_u",
        "alaw": "a_law pcma pcm_alaw pcm_a_law x_alaw g711a g711_alaw g711_a_law g711_a",
        "mp3": "mpeg",
        "opus": "ogg_opus",
    }.items()
    for alias in aliases.split()
}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A format of raw audio: two that are equal need no conversion.

    `json.dumps(dataclasses.asdict(format))` writes it, `AudioFormat(**json.loads(text))` reads it.

    Args:
        encoding: linear16 (signed, little-endian), mulaw or alaw, by any of their names.
        sample_rate: Samples a second of each channel, one of `SAMPLE_RATES`.
        channels: 1 for mono, 2 for interleaved stereo.

    Raises:
        UnsupportedEncoding: The encoding is unknown, or not raw audio.
        UnsupportedSampleRate: The sample rate is not one of `SAMPLE_RATES`.
        AudioError: There are neither one nor two channels.
    """

    encoding: Encoding
    sample_rate: int
    channels: int = 1

    if TYPE_CHECKING:  # the field is an Encoding, but any name of one may be passed

        def __init__(self, encoding: Encoding | str, sample_rate: int, channels: int = 1) -> None: ...

    def __post_init__(self) -> None:
        encoding = Encoding(self.encoding)
        if not encoding.is_raw:
            raise UnsupportedEncoding(self.encoding)
        if type(self.sample_rate) is not int or self.sample_rate not in SAMPLE_RATES:
            raise UnsupportedSampleRate(self.sample_rate)
        if type(self.channels) is not int or self.channels not in {1, 2}:
            raise AudioError(f"channels must be 1 or 2, got {self.channels!r}")
        object.__setattr__(self, "encoding", encoding)

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return _RAW[self.encoding] * self.channels

    @property
    def bytes_per_ms(self) -> float:
        """Bytes of a millisecond; a whole number unless the rate is a fraction of 44.1 kHz."""
        return self.sample_rate * self.sample_bytes / 1000

    def frame_bytes(self, ms: float = 20) -> int:
        """Bytes of the whole samples in so many milliseconds."""
        return int(self.sample_rate * ms // 1000) * self.sample_bytes

    def duration_ms(self, n_bytes: int) -> float:
        """Milliseconds that so many bytes last."""
        return n_bytes / self.bytes_per_ms

    def silence(self, ms: float) -> bytes:
        """Digital silence of so many milliseconds, in whole samples."""
        return _SILENCE[self.encoding] * (self.frame_bytes(ms) // _RAW[self.encoding])

    def __str__(self) -> str:
        return f"{self.encoding} {self.sample_rate / 1000:g} kHz {'mono' if self.channels == 1 else 'stereo'}"


TWILIO = AudioFormat("mulaw", 8_000)
TELNYX = AudioFormat("mulaw", 8_000)
PLIVO = AudioFormat("mulaw", 8_000)
VONAGE = AudioFormat("linear16", 16_000)
OPENAI = AudioFormat("linear16", 24_000)
GEMINI_INPUT = AudioFormat("linear16", 16_000)
GEMINI_OUTPUT = AudioFormat("linear16", 24_000)
QWEN_INPUT = AudioFormat("linear16", 16_000)
QWEN_OUTPUT = AudioFormat("linear16", 24_000)
LIVEKIT = AudioFormat("linear16", 48_000)
LIVEKIT_24K = AudioFormat("linear16", 24_000)
