"""Who converts telephone audio from Python: each as a stream of bytes, used as its own documentation says."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trunkline.audio import AudioFormat, StreamConverter

Samples = NDArray[np.int16]


class Stream(Protocol):
    """Converts linear16 as it comes."""

    def __call__(self, audio: bytes, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to convert.

    Args:
        name: As it stands in the tables.
        package: What is installed for it.
        open: Makes a stream of linear16 between two rates.
        keeps_state: Whether one chunk knows of the last; if not, every seam is heard.
        speaks_mulaw: Whether it takes and returns µ-law itself; audioop's C functions do it for the others.
    """

    name: str
    package: str
    open: Callable[[int, int], Stream]
    keeps_state: bool = True
    speaks_mulaw: bool = False


def trunkline(from_: int, to: int) -> Stream:
    return StreamConverter(AudioFormat("linear16", from_), AudioFormat("linear16", to)).convert


def audioop_ratecv(from_: int, to: int) -> Stream:
    with warnings.catch_warnings(action="ignore"):
        import audioop

    state = None

    def convert(audio: bytes) -> bytes:
        nonlocal state
        made, state = audioop.ratecv(audio, 2, 1, from_, to, state)
        return made

    return convert


def soxr_stream(quality: str) -> Callable[[int, int], Stream]:
    def open_(from_: int, to: int) -> Stream:
        import soxr

        resample = soxr.ResampleStream(from_, to, 1, dtype="int16", quality=quality).resample_chunk
        return lambda audio: bytes(resample(np.frombuffer(audio, np.int16)).tobytes())

    return open_


def scipy_poly(from_: int, to: int) -> Stream:
    from scipy.signal import resample_poly

    divisor = int(np.gcd(from_, to))
    up, down = to // divisor, from_ // divisor
    return lambda audio: whole(resample_poly(np.frombuffer(audio, np.int16).astype(np.float32), up, down))


def samplerate_stream(kind: str) -> Callable[[int, int], Stream]:
    def open_(from_: int, to: int) -> Stream:
        import samplerate

        process, ratio = samplerate.Resampler(kind).process, to / from_
        return lambda audio: whole(process(np.frombuffer(audio, np.int16).astype(np.float32), ratio))

    return open_


def av_resampler(from_: int, to: int) -> Stream:
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=to)

    def convert(audio: bytes) -> bytes:
        frame = av.AudioFrame.from_ndarray(np.frombuffer(audio, np.int16)[None, :], format="s16", layout="mono")
        frame.sample_rate = from_
        return b"".join(made.to_ndarray().tobytes() for made in resampler.resample(frame))

    return convert


def whole(samples: NDArray[np.float32]) -> bytes:
    """Floats as 16-bit samples."""
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16).tobytes()


OURS = Contender("trunkline", "trunkline", trunkline, speaks_mulaw=True)
CONTENDERS = [
    OURS,
    Contender("audioop.ratecv", "audioop", audioop_ratecv),
    *(Contender(f"soxr {quality}", "soxr", soxr_stream(quality)) for quality in ("QQ", "LQ", "MQ", "HQ", "VHQ")),
    *(
        Contender(f"samplerate {kind}", "samplerate", samplerate_stream(f"sinc_{kind}"))
        for kind in ("fastest", "medium", "best")
    ),
    Contender("PyAV (swresample)", "av", av_resampler),
    Contender("scipy resample_poly", "scipy", scipy_poly, keeps_state=False),
]


def present() -> tuple[list[Contender], list[Contender]]:
    """Those that can be run here, and those that cannot."""
    here: list[Contender] = []
    missing: list[Contender] = []
    for contender in CONTENDERS:
        try:
            contender.open(8000, 24000)
        except ImportError:
            missing.append(contender)
        else:
            here.append(contender)
    return here, missing


def from_mulaw(contender: Contender) -> Stream:
    """µ-law at 8 kHz to linear16 at 24 kHz, the way of a caller's voice."""
    if contender.speaks_mulaw:
        return StreamConverter(AudioFormat("mulaw", 8000), AudioFormat("linear16", 24000)).convert
    stream, decode = contender.open(8000, 24000), _g711()[0]
    return lambda audio: stream(decode(audio, 2))


def to_mulaw(contender: Contender) -> Stream:
    """linear16 at 24 kHz to µ-law at 8 kHz, the way of an agent's voice."""
    if contender.speaks_mulaw:
        return StreamConverter(AudioFormat("linear16", 24000), AudioFormat("mulaw", 8000)).convert
    stream, encode = contender.open(24000, 8000), _g711()[1]
    return lambda audio: encode(stream(audio), 2)


def _g711() -> tuple[Callable[[bytes, int], bytes], Callable[[bytes, int], bytes]]:
    with warnings.catch_warnings(action="ignore"):
        import audioop

    return audioop.ulaw2lin, audioop.lin2ulaw
