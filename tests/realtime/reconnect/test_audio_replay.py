"""What is kept of the caller's side, and for how long."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio import OPENAI, TWILIO
from trunkline.realtime.reconnect.audio_replay import InputLog


def kept(log: InputLog) -> bytes:
    return b"".join(log.entry(number)[1] or b"|" for number in range(log.first, log.last))


def test_audio_is_forgotten_once_its_turn_and_all_before_it_are_settled() -> None:
    log = InputLog(TWILIO, seconds=1)
    log.add(b"one two three")
    log.turn_ended("u1", 3)
    log.turn_ended("u2", 7)
    log.understood("u2")
    assert kept(log) == b"one two three"
    log.understood("u1")
    assert (kept(log), log.start) == (b" three", 7)


def test_a_complete_answer_settles_the_turns_before_it_and_a_cut_one_does_not() -> None:
    log = InputLog(TWILIO, seconds=1)
    log.add(b"onetwo")
    log.turn_ended("u1", 3)
    log.answer_began("r1", unasked_at=6)
    log.turn_ended("u2", 6)
    log.answer_completed("r0")
    assert kept(log) == b"onetwo"
    log.answer_completed("r1")
    assert kept(log) == b"two"


def test_only_a_vendor_that_tells_of_no_turns_is_taken_at_its_answers() -> None:
    for is_told in (False, True):
        log = InputLog(TWILIO, seconds=1)
        log.add(b"a question, and")
        if is_told:
            log.turn_ended("u1", 11)
        log.answer_began("r1", unasked_at=15)
        log.answer_completed("r1")
        assert kept(log) == (b" and" if is_told else b"")


def test_what_is_cleared_is_not_heard_again_and_positions_go_on() -> None:
    log = InputLog(TWILIO, seconds=1)
    log.add(b"one")
    log.commit()
    log.add(b"two")
    log.clear()
    log.add(b"three")
    assert (kept(log).replace(b"||", b"|"), log.end) == (b"one|three", 11)


def test_a_turn_that_the_vendor_found_is_found_again_and_one_ended_by_hand_is_in_the_log() -> None:
    log = InputLog(TWILIO, seconds=1)
    log.add(b"one")
    log.commit()
    assert not log.restart()
    log.add(b"two")
    log.turn_ended("u2", 6)
    assert log.restart()
    log.understood("")
    assert kept(log) == b"two"


def test_words_without_an_id_belong_to_the_oldest_turn_that_has_none() -> None:
    log = InputLog(TWILIO, seconds=1)
    log.add(b"onetwothree")
    log.turn_ended("u1", 3)
    log.turn_ended("", 6)
    log.turn_ended("", 11)
    log.understood("")
    log.understood("")
    log.understood("u1")
    assert kept(log) == b""


def test_a_turn_of_which_nothing_is_left_is_not_found_again() -> None:
    log = InputLog(TWILIO, seconds=0.001)
    log.add(b"spoken")
    log.turn_ended("u1", 6)
    log.add(b"later on")
    assert not log.restart()


def test_what_never_was_sent_and_has_no_room_is_counted() -> None:
    log = InputLog(OPENAI, seconds=1)
    log.add(bytes(40_000))
    log.sent = 40_000
    log.add(bytes(40_001))
    assert (log.dropped_bytes, log.start % 2, len(kept(log))) == (0, 0, 47_999)
    log.add(bytes(60_000))
    assert (log.dropped_bytes, log.end - log.start) == (52_002, 47_999)


@given(st.lists(st.tuples(st.binary(max_size=40), st.sampled_from(["", "turn", "understood", "commit"])), max_size=60))
def test_what_is_kept_is_the_end_of_what_was_given(steps: list[tuple[bytes, str]]) -> None:
    log = InputLog(TWILIO, seconds=0.02)  # 160 bytes
    given_ = b""
    for audio, what in steps:
        log.add(audio)
        given_ += audio
        if what == "turn":
            log.turn_ended("u", log.end - len(audio) // 2)
        elif what == "understood":
            log.understood("u")
        elif what == "commit":
            log.commit()
        entries = [log.entry(number) for number in range(log.first, log.last)]
        whole = b"".join(audio or b"" for _, audio in entries)
        assert len(whole) <= 160
        assert given_.endswith(whole)
        assert log.start == len(given_) - len(whole) or not whole
        assert all(at + len(audio or b"") == next_at for (at, audio), (next_at, _) in pairwise(entries))
