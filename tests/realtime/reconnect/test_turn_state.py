"""Whose turn it is, and which answers are due when a session is gone."""

from trunkline.errors import ProviderError
from trunkline.realtime import events
from trunkline.realtime.reconnect.turn_state import REFUSED_AFTER, SETTLED, ResponseRequest, TurnState


def state(*happened: events.SessionEvent, now: float = 0.0) -> TurnState:
    turns = TurnState()
    for event in happened:
        turns.take(event, now)
    return turns


def to_make(turns: TurnState) -> list[tuple[str | None, str | None]]:
    return [(request.instructions, request.sentence) for request in turns.requests_to_make()]


def test_several_plain_requests_are_one_and_special_ones_are_not() -> None:
    turns = state()
    for request in (ResponseRequest(), ResponseRequest("Greet."), ResponseRequest(), ResponseRequest(None, "Hello.")):
        turns.request(request, 1)
    assert to_make(turns) == [(None, None), ("Greet.", None), (None, "Hello.")]


def test_a_request_that_comes_with_a_text_is_made_only_if_the_text_is_history() -> None:
    turns = state()
    turns.request(ResponseRequest(is_implied=True), 1)
    assert to_make(turns) == []
    turns.expect_no_commands()
    assert to_make(turns) == [(None, None)]
    turns.request(ResponseRequest(is_implied=True), 2)
    assert to_make(turns) == [], "the text that comes now brings the one answer to both"


def test_an_answer_that_began_is_due_again_as_it_was_asked_for() -> None:
    turns = state()
    turns.request(ResponseRequest(None, "Good morning."), 1)
    turns.take(events.ResponseStarted("r1"), 1)
    due = turns.break_off(2)
    assert due is not None
    assert due.sentence == "Good morning."
    assert turns.break_off(2) is None


def test_an_answer_that_failed_is_due_until_another_comes() -> None:
    failed = (events.ResponseStarted("r1"), events.ResponseFinished("r1", "failed"))
    assert state(*failed).break_off(1) is not None
    assert state(*failed, events.ResponseStarted("r2"), events.ResponseFinished("r2")).break_off(1) is None


def test_nothing_is_due_while_the_user_speaks_or_after_a_cancel() -> None:
    assert state(events.ResponseStarted("r1"), events.SpeechStarted("u1")).break_off(1) is None
    turns = state(events.ResponseStarted("r1"))
    turns.cancel()
    assert turns.break_off(1) is None


def test_an_error_may_be_a_refusal_and_is_one_if_nothing_comes_for_some_seconds() -> None:
    for wait, left in ((0.0, [("Greet.", None)]), (REFUSED_AFTER, [])):
        turns = state()
        turns.request(ResponseRequest("Greet."), 1)
        assert turns.is_busy
        turns.take(events.ErrorReported(ProviderError("odd")), 2)
        assert not turns.is_busy, "nothing is waited for any more"
        turns.break_off(2 + wait)
        assert to_make(turns) == left


def test_quiet_is_two_seconds_after_the_last_event_and_after_all_was_heard() -> None:
    turns = state(events.SpeechStopped("u1"), now=1.0)
    assert turns.quiet_from() == 1 + SETTLED
    turns.heard_until = 12.0
    assert turns.quiet_from() == 12
    turns.take(events.ResponseStarted("r1"), 3)
    assert turns.quiet_from() is None
