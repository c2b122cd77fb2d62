"""What the caller's ear hears of what was queued, and when marks come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.testing.playout_queue import PlayoutQueue

A, B = b"\x01" * 160, b"\x02" * 160
QUIET = b"\xff" * 160


@pytest.fixture
def ear() -> PlayoutQueue:
    return PlayoutQueue()


def test_audio_of_any_length_is_heard_in_frames_with_silence_after_it(ear: PlayoutQueue) -> None:
    ear.add(A + B[:40])
    assert len(ear) == 200
    assert ear.next_frame() == (A, True, [])
    assert ear.next_frame() == (B[:40] + QUIET[:120], True, [])
    assert ear.next_frame() == (QUIET, False, [])


def test_a_mark_comes_back_when_the_audio_before_it_has_been_played_to_its_end(ear: PlayoutQueue) -> None:
    ear.add(A)
    assert ear.mark("a") == []
    ear.add(B)
    assert ear.mark("b") == []
    assert ear.next_frame().marks == []
    assert ear.next_frame().marks == ["a"]
    assert ear.next_frame().marks == ["b"]


def test_a_mark_comes_back_at_once_when_nothing_is_queued(ear: PlayoutQueue) -> None:
    assert ear.mark("a") == ["a"]
    ear.next_frame()
    assert ear.mark("b") == ["b"]


def test_a_mark_waits_for_the_frame_that_is_being_heard(ear: PlayoutQueue) -> None:
    ear.add(A)
    ear.next_frame()
    assert ear.mark("a") == []
    assert ear.next_frame() == (QUIET, False, ["a"])


def test_clear_takes_effect_at_the_next_frame_and_returns_every_mark_in_order(ear: PlayoutQueue) -> None:
    ear.add(A)
    ear.mark("a")
    ear.add(B)
    ear.mark("b")
    assert ear.next_frame().audio == A
    assert ear.clear() == ["a", "b"]
    assert ear.mark("c") == ["c"]
    assert ear.next_frame() == (QUIET, False, [])
    ear.add(B)
    assert ear.mark("d") == []
    assert [ear.next_frame().marks, ear.next_frame().marks] == [[], ["d"]]


STEPS = st.lists(st.binary(max_size=400) | st.just("mark") | st.just("clear") | st.none(), max_size=60)


@given(STEPS)
def test_every_mark_comes_back_once_and_in_order_and_no_audio_is_lost(steps: list[bytes | str | None]) -> None:
    ear = PlayoutQueue()
    marks: list[str] = []
    asked = 0
    waiting, heard, audible = b"", b"", b""
    for step in [*steps, *[None] * 200]:
        if step == "mark":
            marks += ear.mark(str(asked))
            asked += 1
        elif step == "clear":
            marks += ear.clear()
            waiting = b""
        elif step is None:
            frame = ear.next_frame()
            marks += frame.marks
            heard += frame.audio
            audible += waiting[:160].ljust(160, b"\xff")
            waiting = waiting[160:]
        else:
            assert isinstance(step, bytes)
            ear.add(step)
            waiting += step
    assert marks == [str(n) for n in range(asked)]
    assert heard == audible
