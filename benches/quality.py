"""What a contender does to tones between 8 and 24 kHz, fed in frames of 20 ms as a call feeds it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benches.contenders import Contender, Stream

LEVEL = 16_000.0
SECONDS = 0.8  # the last 0.2 s are looked at, when the stream has long been going
HZ = 5  # a bin of the spectrum of those
BOTH_WAYS = ((8000, 24000), (24000, 8000))

Levels = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quality:
    """The figures of the table.

    Args:
        ripple_db: How far a tone from 100 Hz to 3.4 kHz leaves its level, at most.
        image_db: The loudest that a tone up to 3.4 kHz leaves elsewhere on the way up to 24 kHz, below 3.4 or from 4.6 kHz on.
        alias_db: The loudest that is left of a tone from 4.6 kHz on, on the way down to 8 kHz.
        sinad_db: A tone of 1 kHz against all that is not that tone; the worse of both ways.
        delay_ms: How long after a sample its place in the output comes out; the longer of both ways. `None` if the stream keeps no state.
        seam: How far a sample is from itself, at most, when the same noise comes in other chunks: 0 if chunks cannot be heard.
    """

    ripple_db: float
    image_db: float
    alias_db: float
    sinad_db: float
    delay_ms: float | None
    seam: int


def measure(contender: Contender) -> Quality:
    ups = {hz: _levels(contender, 8000, 24000, hz) for hz in range(100, 3401, 300)}
    downs = [_levels(contender, 24000, 8000, hz).max() for hz in (4600, 4700, 5300, *range(6100, 12000, 850))]
    return Quality(
        ripple_db=max(abs(_db(levels[hz // HZ])) for hz, levels in ups.items()),
        image_db=max(_db(_elsewhere(levels, hz)) for hz, levels in ups.items()),
        alias_db=_db(max(downs)),
        sinad_db=min(_sinad(ups[1000]), _sinad(_levels(contender, 24000, 8000, 1000))),
        delay_ms=max(_delay(contender, *way) for way in BOTH_WAYS) if contender.keeps_state else None,
        seam=max(_seam(contender, *way) for way in BOTH_WAYS),
    )


def response(contender: Contender) -> tuple[Levels, Levels]:
    """Frequencies in hertz, and what the way from 8 to 24 kHz lets through there, in decibels.

    A tone of f comes out at f, and its images at 8 kHz - f and 8 kHz + f: three points of one curve.
    """
    points: dict[int, float] = {}
    for hz in range(50, 4000, 50):
        levels = _levels(contender, 8000, 24000, hz)
        for where in (hz, 8000 - hz, 8000 + hz):
            points[where] = _db(levels[where // HZ])
    frequencies = sorted(points)
    return np.array(frequencies, dtype=np.float64), np.array([points[hz] for hz in frequencies])


def _levels(contender: Contender, from_: int, to: int, hz: int) -> Levels:
    """The level of each multiple of 5 Hz relative to the tone that went in."""
    tone = LEVEL * np.sin(2 * np.pi * hz * np.arange(round(from_ * SECONDS * 1.5)) / from_)
    audio = _fed(contender.open(from_, to), np.rint(tone).astype(np.int16).tobytes(), from_ // 50)
    samples = np.frombuffer(audio, np.int16).astype(np.float64)
    last = samples[round(to * (SECONDS - 0.2)) : round(to * SECONDS)]
    return np.asarray(np.abs(np.fft.rfft(last)) * 2 / last.size / LEVEL, dtype=np.float64)


def _elsewhere(levels: Levels, hz: int) -> float:
    rest = levels.copy()
    rest[hz // HZ] = 0
    rest[3400 // HZ + 1 : 4600 // HZ] = 0  # the filter's slope
    return float(rest.max())


def _sinad(levels: Levels) -> float:
    rest = levels.copy()
    rest[1000 // HZ] = 0
    return float(20 * np.log10(levels[1000 // HZ] / np.sqrt(np.sum(rest**2))))


def _delay(contender: Contender, from_: int, to: int) -> float:
    """Feeds an impulse sample by sample, and looks when the output's peak comes out."""
    impulse = np.zeros(from_, dtype=np.int16)
    at = from_ // 2
    impulse[at] = 30_000
    run, came, made = contender.open(from_, to), list[int](), b""
    for sample in impulse:
        made += run(sample.tobytes())
        came.append(len(made) // 2)
    peak = int(np.argmax(np.abs(np.frombuffer(made, np.int16).astype(int))))
    return 1000 * (int(np.searchsorted(came, peak, side="right")) - at) / from_


def _seam(contender: Contender, from_: int, to: int) -> int:
    noise = np.random.default_rng(3).integers(-20_000, 20_000, from_).astype(np.int16).tobytes()
    made = [
        np.frombuffer(_fed(contender.open(from_, to), noise, size), np.int16).astype(int) for size in (from_ // 50, 157)
    ]
    shared = min(map(len, made))
    return int(np.max(np.abs(made[0][:shared] - made[1][:shared])))


def _fed(run: Stream, audio: bytes, samples: int) -> bytes:
    return b"".join(run(audio[at : at + 2 * samples]) for at in range(0, len(audio), 2 * samples))


def _db(level: float) -> float:
    return float(20 * np.log10(max(level, 1e-7)))
