"""What is kept of the caller's side, and for how long."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio import OPENAI, TWILIO
from trunkline.realtime.reconnect.audio_replay import AudioReplay, ReplayCursor

# In the tests a byte of µ-law lasts an eighth of a millisecond.


def ms(size: int) -> float:
    return TWILIO.duration_ms(size)


def kept(log: AudioReplay) -> bytes:
    return b"".join(log.entry(number)[1] or b"|" for number in range(log.first, log.last))


def test_audio_is_forgotten_once_its_turn_and_all_before_it_are_settled() -> None:
    log = AudioReplay(TWILIO, seconds=1)
    log.add(b"one two three")
    log.turn_ended("u1", ms(3))
    log.turn_ended("u2", ms(7))
    log.understood("u2")
    assert kept(log) == b"one two three"
    log.understood("u1")
    assert (kept(log), log.start_ms) == (b" three", ms(7))


def test_a_complete_answer_settles_the_turns_before_it_and_a_cut_one_does_not() -> None:
    log = AudioReplay(TWILIO, seconds=1)
    log.add(b"onetwo")
    log.turn_ended("u1", ms(3))
    log.answer_began("r1", unasked_at_ms=None)
    log.turn_ended("u2", ms(6))
    log.answer_completed("r0")
    assert kept(log) == b"onetwo"
    log.answer_completed("r1")
    assert kept(log) == b"two"


def test_an_unasked_answer_of_a_vendor_that_reports_no_speech_settles_what_it_was_given() -> None:
    log = AudioReplay(TWILIO, seconds=1)
    log.add(b"a question, and")
    log.answer_began("r1", unasked_at_ms=ms(11))
    log.answer_completed("r1")
    assert kept(log) == b" and"


def test_what_is_cleared_is_not_heard_again_and_positions_go_on() -> None:
    log = AudioReplay(TWILIO, seconds=1)
    log.add(b"one")
    log.commit()
    log.add(b"two")
    log.clear()
    log.add(b"three")
    assert (kept(log).replace(b"||", b"|"), log.end_ms) == (b"one|three", ms(11))


def test_a_turn_that_the_vendor_found_is_found_again_and_one_ended_by_hand_is_in_the_log() -> None:
    log = AudioReplay(TWILIO, seconds=1)
    log.add(b"one")
    log.commit()
    assert not log.restart()
    log.add(b"two")
    log.turn_ended("u2", ms(6))
    assert log.restart()
    log.understood("u1")
    assert kept(log) == b"two", "a turn ended by hand has no id, so the oldest of them is meant"


def test_a_turn_of_which_nothing_is_left_is_not_found_again() -> None:
    log = AudioReplay(TWILIO, seconds=0.001)
    log.add(b"spoken")
    log.turn_ended("u1", ms(6))
    log.add(b"later on")
    assert not log.restart()


def test_what_never_was_sent_and_has_no_room_is_counted() -> None:
    log = AudioReplay(OPENAI, seconds=1)
    log.add(bytes(40_000))
    log.unsent = log.last
    log.add(bytes(40_001))
    assert log.dropped_bytes == 0, "a session was given what has left the log"
    assert 36_000 <= len(kept(log)) <= 48_000
    log.unsent = log.first
    before = len(kept(log))
    log.add(bytes(48_000))
    assert log.dropped_bytes == before + 48_000 - len(kept(log))


def test_a_format_that_changes_is_kept_with_its_audio_and_converted_for_the_session() -> None:
    log = AudioReplay(TWILIO, seconds=1)
    log.add(TWILIO.silence(20))
    log.use(OPENAI)
    log.add(OPENAI.silence(40))
    assert log.end_ms == 60
    cursor = ReplayCursor(log, OPENAI)
    first, second = cursor.take(), cursor.take()
    assert first is not None
    assert second is not None
    assert not cursor.is_behind
    assert len(first) + len(second) == OPENAI.frame_bytes(60), "to the last sample"
    assert (cursor.skipped_ms, cursor.position_ms) == (0, 60)
    log.turn_ended("u1", 40)
    log.understood("u1")
    assert kept(log) == OPENAI.silence(20)


def test_a_session_that_begins_in_the_middle_knows_where() -> None:
    log = AudioReplay(TWILIO, seconds=1)
    log.add(b"before after")
    log.turn_ended("u1", ms(7))
    log.understood("u1")
    cursor = ReplayCursor(log, TWILIO)
    assert cursor.take() == b"after"
    assert (cursor.skipped_ms, cursor.position_ms) == (ms(7), ms(12))


@given(st.lists(st.tuples(st.binary(max_size=40), st.sampled_from(["", "turn", "understood", "commit"])), max_size=60))
def test_what_is_kept_is_the_end_of_what_was_given(steps: list[tuple[bytes, str]]) -> None:
    log = AudioReplay(TWILIO, seconds=0.02)  # 160 bytes
    given_ = b""
    for audio, what in steps:
        log.add(audio)
        given_ += audio
        if what == "turn":
            log.turn_ended("u", log.end_ms - ms(len(audio) // 2))
        elif what == "understood":
            log.understood("u")
        elif what == "commit":
            log.commit()
        entries = [log.entry(number) for number in range(log.first, log.last)]
        whole = b"".join(audio or b"" for _, audio, _ in entries)
        assert len(whole) <= 160
        assert given_.endswith(whole)
        assert log.start_ms == ms(len(given_) - len(whole)) or not whole
        assert all(at + ms(len(audio or b"")) == next_at for (at, audio, _), (next_at, _, _) in pairwise(entries))
