"""The jitter buffer: frames as a network delivers them go in, frames as a telephone plays them come out."""

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.jitter_model import JitterModel
from trunkline.audio import OPENAI, TWILIO, AudioFormat, JitterBuffer, JitterStats, dbfs
from trunkline.errors import InvalidAudioData, InvalidConfig


def frame(number: int) -> bytes:
    return (number % 127).to_bytes() * 160


def test_frames_come_out_in_order_and_a_gap_is_concealed() -> None:
    jitter = JitterBuffer(TWILIO, target_ms=60, max_ms=1000)
    jitter.push(frame(8), sequence=8, now_ms=140.0)
    assert jitter.pop(now_ms=141.0) is None
    jitter.push(frame(7), sequence=7, now_ms=142.0)
    jitter.push(frame(7), sequence=7, now_ms=143.0)
    assert jitter.pop(now_ms=145.0) is None
    jitter.push(frame(10), sequence=10, now_ms=150.0)
    out = [jitter.pop(now_ms=160.0 + 20 * turn) for turn in range(4)]
    assert (out[0], out[1], out[3]) == (frame(7), frame(8), frame(10))
    assert out[2] not in {None, frame(8)}
    assert out[2] is not None
    assert len(out[2]) == 160
    jitter.push(frame(9), sequence=9, now_ms=200.0)
    stats = jitter.stats
    assert (stats.pushed, stats.popped, stats.late, stats.lost, stats.duplicate) == (5, 3, 1, 1, 1)
    assert (stats.underruns, stats.overruns, stats.depth_ms, stats.target_ms) == (0, 0, 0, 60)


def test_sequences_and_timestamps_wrap() -> None:
    by_sequence = JitterBuffer(TWILIO, target_ms=60)
    for number in (65_534, 1, 0, 65_535, 65_538):  # those of carriers that never wrap are taken as well
        by_sequence.push(frame(number % 65_536), sequence=number, now_ms=0.0)
    by_time = JitterBuffer(OPENAI, target_ms=60)
    for number in (0, 480, 960, 2**32 - 480):
        by_time.push(number.to_bytes(8, "little") * 120, timestamp=number, now_ms=0.0)
    assert [by_sequence.pop(now_ms=1.0) for _ in range(5)] == [frame(n) for n in (65_534, 65_535, 0, 1, 2)]
    numbers = [by_time.pop(now_ms=1.0) for _ in range(4)]
    assert [int.from_bytes((pcm or b"")[:8], "little") for pcm in numbers] == [2**32 - 480, 0, 480, 960]


def test_a_loss_fades_and_then_is_silence() -> None:
    jitter = JitterBuffer(AudioFormat("linear16", 16_000), target_ms=20)
    loud = np.full(320, 16_384, "<i2")
    jitter.push(loud, sequence=0, now_ms=0.0)
    jitter.push(loud, sequence=9, now_ms=0.0)
    heard = [dbfs(pcm) for turn in range(10) if (pcm := jitter.pop(now_ms=20.0 * turn))]
    assert len(heard) == 10
    assert heard[0] == heard[9] == pytest.approx(-6.02, abs=0.01)
    assert heard[0] > heard[1] > heard[2] > heard[3] > -30
    assert set(heard[4:9]) == {-np.inf}


def test_clear_begins_anew() -> None:
    jitter = JitterBuffer(TWILIO, target_ms=20)
    for number in range(5):
        jitter.push(frame(number), sequence=number, now_ms=20.0 * number)
    assert jitter.pop(now_ms=100.0) == frame(0)
    assert (jitter.clear(), jitter.clear(), jitter.pop(now_ms=1e6)) == (4, 0, None)
    jitter.push(frame(40_000), sequence=40_000, now_ms=0.0)
    assert jitter.pop(now_ms=0.0) == frame(40_000)


def test_stats_are_facts_that_do_not_change() -> None:
    jitter = JitterBuffer(TWILIO)
    before = jitter.stats
    assert isinstance(before, JitterStats)
    assert before == jitter.stats
    jitter.push(frame(0), sequence=0, now_ms=0.0)
    assert before.pushed == 0
    assert before != jitter.stats
    assert "pushed=1" in repr(jitter.stats)
    with pytest.raises(AttributeError):
        before.pushed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "settings",
    [{"target_ms": -1}, {"target_ms": 1001}, {"max_ms": 19}, {"max_ms": 60_001}, {"max_ms": 2**80}, {"frame_ms": 0}],
)
def test_unreasonable_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(InvalidConfig, match=str(next(iter(settings)))):
        JitterBuffer(TWILIO, **settings)


def test_what_is_not_a_frame_is_refused() -> None:
    jitter = JitterBuffer(TWILIO)
    with pytest.raises(InvalidAudioData, match="159"):
        jitter.push(b"\xff" * 159, sequence=0, now_ms=0.0)
    with pytest.raises(InvalidConfig, match="now_ms"):
        jitter.push(frame(0), sequence=0, now_ms=float("nan"))
    with pytest.raises(TypeError, match="either"):
        jitter.push(frame(0), now_ms=0.0)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="either"):
        jitter.push(frame(0), sequence=1, timestamp=1, now_ms=0.0)  # type: ignore[call-overload]
    jitter.push(frame(0), sequence=0, now_ms=0.0)
    with pytest.raises(InvalidConfig, match="timestamp"):
        jitter.push(frame(0), timestamp=0, now_ms=0.0)
    assert jitter.stats.pushed == 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(-6, 12), st.floats(0, 45)),
        st.tuples(st.just("push"), st.integers(-6, 12), st.floats(0, 45)),
        st.tuples(st.just("push in order"), st.just(1), st.floats(0, 45)),
        st.tuples(st.just("pop"), st.just(0), st.floats(0, 45)),
        st.tuples(st.just("pop"), st.just(0), st.floats(0, 45)),
        st.tuples(st.just("jump"), st.integers(-20_000, 20_000), st.just(0.0)),
        st.tuples(st.just("clear"), st.just(0), st.just(0.0)),
    ),
    max_size=150,
)


@given(steps=steps, first=st.integers(0, 65_535), target_ms=st.integers(0, 200), spare_ms=st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_it_does_what_the_model_does(
    steps: list[tuple[str, int, float]], first: int, target_ms: int, spare_ms: int
) -> None:
    max_ms = max(20, target_ms + spare_ms)
    jitter, model = JitterBuffer(TWILIO, target_ms=target_ms, max_ms=max_ms), JitterModel(target_ms, max_ms)
    newest, now_ms = first, 0.0
    for what, number, later in steps:
        now_ms += later
        if what == "clear":
            assert jitter.clear() == model.clear()
        elif what == "pop":
            compare(jitter.pop(now_ms=now_ms), model.pop(now_ms))
        else:
            at = newest + number
            newest = at if what == "jump" else max(newest, at)
            content = frame(at)
            jitter.push(content, sequence=at, now_ms=now_ms)
            model.push(content, at, now_ms)
        check(jitter.stats, model)


def test_it_does_what_the_model_does_through_a_long_call() -> None:
    """Ten minutes of a network that delays, reorders, doubles and loses frames, stalls, and of a sender that once begins anew."""
    chance = random.Random(42)
    jitter, model = JitterBuffer(TWILIO, target_ms=40, max_ms=600), JitterModel(40, 600)
    arrivals: list[tuple[float, int]] = []
    stall = 0.0
    for number in range(30_000):
        stall = max(0.0, stall - 20) if chance.random() > 0.002 else 400.0
        sent = number * 20.0
        wire = number + (0 if number < 20_000 else 10_000)
        copies = chance.choices([0, 1, 2], [3, 95, 2])[0]
        arrivals.extend((sent + 30 + stall + chance.expovariate(1 / 8), wire) for _ in range(copies))
    arrivals.sort()
    at = 0
    for turn in range(30_100):
        now_ms = turn * 20.0
        while at < len(arrivals) and arrivals[at][0] <= now_ms:
            when, number = arrivals[at]
            jitter.push(frame(number), sequence=number + 60_000, now_ms=when)
            model.push(frame(number), number, when)
            at += 1
        compare(jitter.pop(now_ms=now_ms), model.pop(now_ms))
    check(jitter.stats, model)
    assert min(dataclasses.astuple(model.counts)) > 0
    assert jitter.stats.popped > 28_000


def compare(out: bytes | None, expected: str | bytes | None) -> None:
    if expected == "concealed":
        assert out is not None
        assert len(out) == 160
    else:
        assert out == expected


def check(stats: JitterStats, model: JitterModel) -> None:
    for name, count in dataclasses.asdict(model.counts).items():
        assert getattr(stats, name) == count, name
    assert stats.depth_ms == model.depth * 20
    assert stats.target_ms == pytest.approx(model.target)
    assert stats.jitter_ms == pytest.approx(model.jitter)
