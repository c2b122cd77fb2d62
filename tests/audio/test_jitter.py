"""The jitter buffer: frames as a network delivers them go in, frames as a telephone plays them come out."""

import dataclasses
import random
import threading
from typing import Any

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
def test_unreasonable_settings_are_refused(settings: dict[str, Any]) -> None:
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


def test_one_thread_pushes_and_another_pops() -> None:
    """With a writer that waits for room nothing is lost, and each frame comes whole and in order."""
    total = 4_000
    jitter = JitterBuffer(TWILIO, target_ms=0, max_ms=200, overflow="block", block_ms=10_000, underrun="none")
    refused: list[BaseException] = []

    def push() -> None:
        try:
            for number in range(total):
                jitter.push(number.to_bytes(4, "big") * 40, timestamp=160 * number, now_ms=20.0 * number)
        except BaseException as error:  # noqa: BLE001 - the test shows it
            refused.append(error)

    pusher = threading.Thread(target=push)
    pusher.start()
    numbers: list[int] = []
    while len(numbers) < total and not refused:
        out = jitter.pop(now_ms=0.0)
        if out is not None:
            assert out == out[:4] * 40
            numbers.append(int.from_bytes(out[:4], "big"))
        assert jitter.stats.depth_ms <= 200
    pusher.join()
    assert refused == []
    assert numbers == list(range(total))
    stats = jitter.stats
    assert (stats.pushed, stats.popped, stats.late, stats.lost, stats.overruns) == (total, total, 0, 0, 0)


def test_threads_that_wait_for_nothing_lose_nothing_uncounted() -> None:
    total = 20_000
    jitter = JitterBuffer(TWILIO, target_ms=0, max_ms=200)

    def push() -> None:
        for number in range(total):
            jitter.push(number.to_bytes(4, "big") * 40, sequence=number, now_ms=20.0 * number)

    pusher = threading.Thread(target=push)
    pusher.start()
    while pusher.is_alive():
        jitter.pop(now_ms=0.0)
        assert jitter.stats.popped <= total
    stats = jitter.stats
    assert stats.pushed == total
    held = jitter.clear()
    assert held <= 10
    assert stats.popped + stats.late + stats.duplicate + stats.overruns + held == total


def test_frames_that_nobody_pops_give_way_to_newer_ones() -> None:
    jitter = JitterBuffer(TWILIO, target_ms=0, max_ms=100)
    for number in range(500):
        jitter.push(frame(number), sequence=number, now_ms=20.0 * number)
    assert [jitter.pop(now_ms=1e6) for _ in range(5)] == [frame(number) for number in range(495, 500)]
    assert (jitter.stats.pushed, jitter.stats.overruns, jitter.stats.lost) == (500, 495, 0)


def test_the_newest_frames_give_way_if_asked_for() -> None:
    jitter = JitterBuffer(TWILIO, target_ms=0, max_ms=100, overflow="drop_newest")
    for number in range(500):
        jitter.push(frame(number), sequence=number, now_ms=20.0 * number)
    assert [jitter.pop(now_ms=1e6) for _ in range(5)] == [frame(number) for number in range(5)]
    assert (jitter.stats.pushed, jitter.stats.overruns) == (500, 495)


def test_a_blocked_push_gives_up_in_time_and_is_counted() -> None:
    jitter = JitterBuffer(TWILIO, target_ms=0, max_ms=100, overflow="block", block_ms=1)
    for number in range(50):
        jitter.push(frame(number), sequence=number, now_ms=20.0 * number)
    stats = jitter.stats
    assert stats.pushed == 50
    assert 0 < stats.overruns < 45
    out = [jitter.pop(now_ms=1e6) for _ in range(50 - stats.overruns)]
    assert out == [frame(number) for number in range(50 - stats.overruns)]


def test_a_second_pusher_beside_a_blocked_one_is_refused() -> None:
    jitter = JitterBuffer(TWILIO, target_ms=0, max_ms=20, overflow="block", block_ms=10_000)
    pushed = 0

    def push() -> None:
        nonlocal pushed
        for number in range(100):
            jitter.push(frame(number), sequence=number, now_ms=0.0)
            pushed += 1

    pusher = threading.Thread(target=push)
    pusher.start()
    seen = -1
    refused: list[str] = []
    while not refused:  # the pusher soon waits inside for good
        seen = pushed
        try:
            jitter.push(b"", sequence=0, now_ms=0.0)
        except InvalidAudioData:
            assert seen <= 100
        except RuntimeError as error:
            refused.append(str(error))
    while pusher.is_alive():
        jitter.pop(now_ms=0.0)
    pusher.join()
    assert refused == ["another thread is using this JitterBuffer's pushing end"]
    assert pushed == 100


def test_two_poppers_at_once_are_refused() -> None:
    """A long backlog is sorted without the interpreter's lock, so that a second thread can come meanwhile."""
    wide = AudioFormat("linear16", 48_000, 2)
    audio = bytes(wide.frame_bytes(20))
    refused: list[str] = []
    for _ in range(50):  # a busy machine may let one thread finish before it lets the other begin
        jitter = JitterBuffer(wide, target_ms=0, max_ms=60_000)
        for number in range(3_000):
            jitter.push(audio, sequence=number, now_ms=0.0)
        popper = threading.Thread(target=jitter.pop, kwargs={"now_ms": 0.0})
        popper.start()
        while popper.is_alive():
            try:
                jitter.pop(now_ms=0.0)
            except RuntimeError as error:
                refused.append(str(error))
            assert jitter.stats.popped <= 3_000
        if refused:
            break
    assert set(refused) == {"another thread is using this JitterBuffer's popping end"}


@pytest.mark.parametrize(("underrun", "missing"), [("silence", b"\xff" * 160), ("none", None)])
def test_a_missing_frame_is_silence_or_nothing_if_asked_for(underrun: Any, missing: bytes | None) -> None:
    jitter = JitterBuffer(TWILIO, target_ms=20, underrun=underrun)
    jitter.push(frame(0), sequence=0, now_ms=0.0)
    jitter.push(frame(2), sequence=2, now_ms=0.0)
    assert [jitter.pop(now_ms=20.0) for _ in range(5)] == [frame(0), missing, frame(2), missing, missing]
    assert (jitter.stats.lost, jitter.stats.underruns) == (1, 1)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"overflow": "drop"}, "drop_newest, drop_oldest or block"),
        ({"underrun": "conceal"}, "none, silence or hold"),
        ({"block_ms": 10_001}, "block_ms"),
    ],
)
def test_a_policy_that_does_not_exist_is_refused(options: dict[str, Any], wrong: str) -> None:
    with pytest.raises(InvalidConfig, match=wrong):
        JitterBuffer(TWILIO, **options)


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
