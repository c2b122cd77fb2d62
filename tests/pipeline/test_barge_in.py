"""When the caller's speech stops the agent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidConfig
from trunkline.pipeline.barge_in import BargeIn, Decision, InterruptionMode, InterruptionPolicy

IMMEDIATE = InterruptionPolicy()
GUARDED = InterruptionPolicy(min_speech_ms=300)
HOLDING = InterruptionPolicy(min_speech_ms=300, hold=True)
SENTENCE = InterruptionPolicy(mode=InterruptionMode.AFTER_SENTENCE)


def test_the_first_sound_stops_the_agent() -> None:
    machine = BargeIn(IMMEDIATE)
    assert machine.caller_began(1.0, agent_speaks=False) is Decision.NOTHING
    assert machine.caller_began(1.0, agent_speaks=True) is Decision.STOP


def test_disabled_is_disabled() -> None:
    machine = BargeIn(InterruptionPolicy(mode=InterruptionMode.DISABLED))
    assert machine.caller_began(1.0, agent_speaks=True) is Decision.NOTHING
    assert machine.due is None


def test_after_sentence_finishes_it() -> None:
    assert BargeIn(SENTENCE).caller_began(1.0, agent_speaks=True) is Decision.FINISH_SENTENCE


def test_a_cough_does_not_count() -> None:
    machine = BargeIn(GUARDED)
    assert machine.caller_began(1.0, agent_speaks=True) is Decision.NOTHING
    assert machine.due == 1.3
    assert machine.due_passed(1.29) is Decision.NOTHING
    assert machine.caller_stopped() is Decision.NOTHING
    assert machine.due_passed(1.5) is Decision.NOTHING


def test_speech_that_goes_on_counts_once() -> None:
    machine = BargeIn(GUARDED)
    machine.caller_began(1.0, agent_speaks=True)
    assert machine.caller_began(1.1, agent_speaks=True) is Decision.NOTHING
    assert machine.due_passed(1.3) is Decision.STOP
    assert machine.due_passed(1.4) is Decision.NOTHING


def test_holding_resumes_after_a_cough_and_stops_after_speech() -> None:
    machine = BargeIn(HOLDING)
    assert machine.caller_began(1.0, agent_speaks=True) is Decision.HOLD
    assert machine.caller_stopped() is Decision.RESUME
    assert machine.caller_stopped() is Decision.NOTHING
    assert machine.caller_began(2.0, agent_speaks=True) is Decision.HOLD
    assert machine.due_passed(2.3) is Decision.STOP
    assert machine.caller_stopped() is Decision.NOTHING


def test_after_an_interruption_the_next_is_not_listened_to_for_a_while() -> None:
    machine = BargeIn(InterruptionPolicy(cool_down_ms=500))
    assert machine.caller_began(1.0, agent_speaks=True) is Decision.STOP
    machine.stopped(1.0)
    assert machine.caller_began(1.4, agent_speaks=True) is Decision.NOTHING
    assert machine.caller_began(1.6, agent_speaks=True) is Decision.STOP


def test_what_another_stopped_is_not_stopped_again() -> None:
    machine = BargeIn(HOLDING)
    machine.caller_began(1.0, agent_speaks=True)
    machine.stopped(1.1)
    assert machine.due_passed(2.0) is Decision.NOTHING
    assert machine.caller_stopped() is Decision.NOTHING


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="interruption_mode"):
        InterruptionPolicy(mode="sometimes")  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match="cool_down_ms"):
        InterruptionPolicy(cool_down_ms=-1)
    assert IMMEDIATE.left_to_provider
    assert not GUARDED.left_to_provider
    assert not SENTENCE.left_to_provider


@given(
    policy=st.builds(
        InterruptionPolicy,
        mode=st.sampled_from(InterruptionMode),
        min_speech_ms=st.sampled_from([0, 200]),
        hold=st.booleans(),
        cool_down_ms=st.sampled_from([0, 300]),
    ),
    steps=st.lists(
        st.tuples(st.sampled_from(["began", "stopped", "due", "silenced"]), st.integers(0, 400)), max_size=40
    ),
)
def test_every_hold_ends_in_exactly_one_way(policy: InterruptionPolicy, steps: list[tuple[str, int]]) -> None:
    machine = BargeIn(policy)
    now, held, speaking = 0.0, False, True
    for step, wait in steps:
        now += wait / 1000
        if step == "began":
            decision = machine.caller_began(now, agent_speaks=speaking)
        elif step == "stopped":
            decision = machine.caller_stopped()
        elif step == "due":
            decision = machine.due_passed(now)
        else:
            machine.stopped(now)
            held, decision = False, Decision.NOTHING
        assert policy.mode is not InterruptionMode.DISABLED or decision is Decision.NOTHING
        if decision is Decision.HOLD:
            assert not held
            held = True
        elif decision is Decision.RESUME:
            assert held
            held = False
        elif decision is Decision.STOP:
            held = False
            machine.stopped(now)
        elif decision is Decision.FINISH_SENTENCE:
            assert not held
        holds = policy.hold and policy.mode is InterruptionMode.IMMEDIATE
        assert held == (machine.due is not None and holds)
