"""Whatever is passed to the core, what comes back is a result or an error with a name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline import audio
from trunkline._native import _rust
from trunkline.audio import SAMPLE_RATES, AudioFormat, dtmf
from trunkline.errors import TrunklineError

formats = st.builds(
    AudioFormat,
    st.sampled_from(["linear16", "mulaw", "alaw"]),
    st.sampled_from(SAMPLE_RATES),
    st.sampled_from([1, 2]),
)
numbers = st.one_of(
    st.integers(), st.integers(-5, 200), st.floats(), st.sampled_from([0, 1, 20, -10, 2**31, 2**63, 2**64, 1e308])
)
arrays = st.one_of(
    st.sampled_from(["b", "B", "<i2", ">i2", "<u2", "<i4", "<f4", "<f8", "?", "S3", "<c8"]).map(
        lambda kind: np.zeros(6, kind)
    ),
    st.just(np.zeros((4, 2), "<i2")[:, 0]),
    st.just(np.zeros((4, 2), "<i2")),
    st.just(np.zeros(0, "<i2")),
    st.just(np.zeros(10, "u1")[::-2]),
)
buffers = st.one_of(
    st.binary(max_size=700),
    st.sampled_from([160, 320, 960]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    st.binary(max_size=50).map(bytearray),
    st.binary(max_size=50).map(lambda data: memoryview(data)),  # noqa: PLW0108 - a type checker cannot follow the class itself
    st.binary(max_size=50).map(lambda data: memoryview(data)[::-1]),
    arrays,
)
look_alikes = st.builds(
    SimpleNamespace,
    encoding=st.one_of(st.sampled_from(["linear16", "mp3", ""]), st.text(), st.none(), st.integers()),
    sample_rate=st.one_of(st.sampled_from(SAMPLE_RATES), numbers, st.none()),
    channels=st.one_of(st.sampled_from([1, 2]), numbers, st.text()),
)
anything = st.one_of(
    formats,
    numbers,
    buffers,
    look_alikes,
    st.text(),
    st.none(),
    st.booleans(),
    st.lists(st.integers(), max_size=3),
    st.just(object),
)
plausible = st.one_of(formats, buffers, numbers, st.text("0123456789ABCD*#", max_size=4))
arguments = st.one_of(st.lists(plausible, max_size=4), st.lists(anything, max_size=4))
names = [
    "audio_format",
    "target_ms",
    "max_ms",
    "frame_ms",
    "sequence",
    "timestamp",
    "now_ms",
    "capacity",
    "from_",
    "to",
]
names += ["tone_ms", "gap_ms", "duration_ms", "level_dbfs", "chunk_ms", "size", "wrong"]
keywords = st.one_of(
    st.fixed_dictionaries(
        {"audio_format": formats}, optional={"tone_ms": st.floats(-1, 50), "gap_ms": st.floats(-1, 50)}
    ),
    st.fixed_dictionaries(
        {"audio_format": formats, "duration_ms": st.floats(-1, 50)}, optional={"level_dbfs": st.floats()}
    ),
    st.dictionaries(st.sampled_from(names), anything, max_size=4),
)


@contextmanager
def only_named_errors() -> Iterator[None]:
    """A `TypeError` says that a kind of argument is wrong, the package's own errors what is wrong with its value."""
    with suppress(TrunklineError, TypeError):
        yield


def bound_functions() -> list[Callable[..., Any]]:
    return [getattr(_rust, name) for name in _rust.__all__ if callable(getattr(_rust, name)) and name != "JitterStats"]


def calm(name: str, value: object) -> bool:
    """Whether it would not just take very long: a long tone is no error."""
    return not (
        name in {"tone_ms", "gap_ms", "duration_ms", "capacity"}
        and isinstance(value, int | float)
        and 1e4 < value < 4e9
    )


@settings(max_examples=400, deadline=None)
@given(what=st.sampled_from(bound_functions()), arguments=arguments, keywords=keywords)
def test_functions_and_constructors(what: Callable[..., Any], arguments: list[Any], keywords: dict[str, Any]) -> None:
    keywords = {name: value for name, value in keywords.items() if calm(name, value)}
    with only_named_errors():
        what(*arguments, **keywords)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), from_=formats, to=formats)
def test_methods(data: st.DataObject, from_: AudioFormat, to: AudioFormat) -> None:
    objects: list[Any] = [
        audio.StreamConverter(from_, to),
        audio.RingBuffer(capacity=300),
        audio.JitterBuffer(from_, target_ms=40, max_ms=100),
        dtmf.DtmfDetector(from_),
    ]
    methods = [
        getattr(instance, name)
        for instance in objects
        for name in ("convert", "flush", "reset", "write", "read", "clear", "push", "pop", "feed")
        if hasattr(instance, name)
    ]
    moments = st.fixed_dictionaries(
        {"now_ms": numbers}, optional={"sequence": st.one_of(st.integers(), anything), "timestamp": numbers}
    )
    for _ in range(6):
        method = data.draw(st.sampled_from(methods))
        with only_named_errors():
            method(*data.draw(arguments), **data.draw(st.one_of(st.just({}), moments)))


@settings(max_examples=500, deadline=None)
@given(arguments=arguments, what=st.sampled_from(["chunk_audio", "pcm16_to_float32", "resample_pcm16", "rms", "dbfs"]))
def test_helpers(arguments: list[Any], what: str) -> None:
    with only_named_errors():
        getattr(audio, what)(*arguments)
