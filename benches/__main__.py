"""`python -m benches`: what one 20 ms frame costs on the way to the model and back, beside the standard library where it can do it."""

import time
import warnings
from collections.abc import Callable
from importlib import import_module

from trunkline.audio import OPENAI, TWILIO, AudioFormat, StreamConverter

FRAMES = 5000
CALLER_FRAME = bytes(range(160))
MODEL_FRAME = bytes(range(240)) * 4


def microseconds_per_frame(convert: Callable[[bytes], object], frame: bytes) -> float:
    """The best of five runs."""
    runs = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(FRAMES):
            convert(frame)
        runs.append(time.perf_counter() - began)
    return min(runs) / FRAMES * 1e6


def standard_library(source: AudioFormat, target: AudioFormat) -> Callable[[bytes], object] | None:
    """The same conversion by `audioop`, which interpolates without a filter; None from Python 3.13 on, which has no `audioop`."""
    try:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            audioop = import_module("audioop")
    except ModuleNotFoundError:
        return None
    rates = source.sample_rate, target.sample_rate
    if source == TWILIO:
        return lambda frame: audioop.ratecv(audioop.ulaw2lin(frame, 2), 2, 1, *rates, None)
    return lambda frame: audioop.lin2ulaw(audioop.ratecv(frame, 2, 1, *rates, None)[0], 2)


def main() -> None:
    """Print one line for each direction."""
    print(f"{'µs per 20 ms frame':<28} {'trunkline':>9} {'audioop':>9}")
    for name, source, target, frame in (
        ("caller to model, 8→24 kHz", TWILIO, OPENAI, CALLER_FRAME),
        ("model to caller, 24→8 kHz", OPENAI, TWILIO, MODEL_FRAME),
    ):
        ours = microseconds_per_frame(StreamConverter(source, target).convert, frame)
        other = standard_library(source, target)
        theirs = f"{microseconds_per_frame(other, frame):9.1f}" if other else f"{'none':>9}"
        print(f"{name:<28} {ours:9.1f} {theirs}")


main()
