"""How long a frame of 20 ms takes: every contender in turn, round after round, so that all meet the same weather."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benches.contenders import OURS, Contender, Stream, from_mulaw, to_mulaw
from trunkline.audio import OPENAI, TWILIO, AudioFormat, StreamConverter, convert

BATCH_S = 0.0005  # long beside the clock's grain, short beside the time that a busy machine leaves to one process


@dataclass(frozen=True, slots=True)
class Way:
    """A conversion that is timed."""

    name: str
    input: AudioFormat
    open: Callable[[Contender], Stream]


WAYS = [
    Way("µ-law 8 k → PCM 24 k", TWILIO, from_mulaw),
    Way("PCM 24 k → µ-law 8 k", OPENAI, to_mulaw),
    Way("PCM 8 k → 24 k", AudioFormat("linear16", 8000), lambda contender: contender.open(8000, 24000)),
    Way("PCM 24 k → 8 k", OPENAI, lambda contender: contender.open(24000, 8000)),
]


@dataclass(frozen=True, slots=True)
class Timing:
    """What the rounds say of one contender: nanoseconds a frame, and how many of ours fit into it (the medians of both)."""

    ns: float
    ratio: float


def measure(contenders: list[Contender], rounds: int) -> dict[str, dict[str, Timing]]:
    """By way and contender."""
    return {way.name: _rounds(way, contenders, rounds) for way in WAYS}


def wire_messages(rounds: int) -> dict[str, float]:
    """Nanoseconds that a frame as base64 text takes, both ways; the median."""
    import base64

    taken = {}
    for name, from_, to in (("µ-law 8 k → PCM 24 k", TWILIO, OPENAI), ("PCM 24 k → µ-law 8 k", OPENAI, TWILIO)):
        stream = StreamConverter(from_, to)
        texts = [base64.b64encode(frame).decode() for frame in frames(from_)]
        taken[name] = statistics.median(_batch(stream.convert_base64, texts, 20) for _ in range(rounds))
    return taken


def frames(audio_format: AudioFormat) -> list[bytes]:
    """A second of something like speech: tones that swell, and noise."""
    seconds = np.arange(24000) / 24000
    tones = sum(np.sin(2 * np.pi * f * seconds + f) / n for n, f in enumerate((170, 340, 510, 1200, 2500), 1))
    noise = np.random.default_rng(8).normal(size=seconds.size)
    voice = 4000 * tones * (1.1 + np.sin(2 * np.pi * 3 * seconds)) + 300 * noise
    pcm = np.clip(voice, -32768, 32767).astype(np.int16).tobytes()
    audio, size = convert(pcm, OPENAI, audio_format), audio_format.frame_bytes()
    return [audio[at : at + size] for at in range(0, len(audio), size)]


def _rounds(way: Way, contenders: list[Contender], rounds: int) -> dict[str, Timing]:
    chunks = frames(way.input)
    streams = {contender.name: way.open(contender) for contender in contenders}
    repeats = {name: max(1, round(BATCH_S * 1e9 / _batch(run, chunks, 2) / 50)) for name, run in streams.items()}
    taken: dict[str, list[float]] = {name: [] for name in streams}
    order = list(streams)
    for _ in range(rounds):
        for name in order:
            taken[name].append(_batch(streams[name], chunks, repeats[name]))
        order.append(order.pop(0))  # nobody always runs after the same neighbour
    ours = taken[OURS.name]
    return {
        name: Timing(statistics.median(mine), statistics.median(a / b for a, b in zip(mine, ours, strict=True)))
        for name, mine in taken.items()
    }


def _batch(run: Callable[..., object], chunks: list[bytes] | list[str], repeats: int) -> float:
    begun = time.perf_counter_ns()
    for _ in range(repeats):
        for chunk in chunks:
            run(chunk)
    return (time.perf_counter_ns() - begun) / repeats / len(chunks)
