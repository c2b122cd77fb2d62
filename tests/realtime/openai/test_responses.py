"""The arbiter of responses: one at a time, one per batch of tool calls, none forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import LocalProtocolError
from trunkline.realtime.openai.responses import ResponseArbiter


def answer(arbiter: ResponseArbiter, call_id: str) -> None:
    arbiter.begin_answer(call_id)
    arbiter.finish_answer(call_id)


def test_one_request_at_a_time() -> None:
    arbiter = ResponseArbiter()
    assert arbiter.next_request() is None
    arbiter.request({"instructions": "hello"})
    arbiter.request({"instructions": "bye"})
    request = arbiter.next_request()
    assert request is not None
    assert request.fields == {"instructions": "hello"}
    assert arbiter.next_request() is None, "one is under way"
    arbiter.response_created("r1")
    assert arbiter.next_request() is None, "one is running"
    arbiter.response_done("r1", cancelled=False)
    second = arbiter.next_request()
    assert second is not None
    assert second.fields == {"instructions": "bye"}
    assert second.event_id != request.event_id


def test_requests_for_nothing_in_particular_are_one() -> None:
    arbiter = ResponseArbiter()
    arbiter.request()
    arbiter.request()
    assert arbiter.next_request() is not None
    arbiter.response_created("r1")
    arbiter.response_done("r1", cancelled=False)
    assert arbiter.next_request() is None


def test_request_waits_for_every_tool_result_of_last_response() -> None:
    arbiter = ResponseArbiter()
    arbiter.response_created("r1")
    assert arbiter.call_requested("c1", "r1")
    assert arbiter.call_requested("c2", "r1")
    assert not arbiter.call_requested("c1", "r1")
    arbiter.response_done("r1", cancelled=False)
    arbiter.request()
    answer(arbiter, "c2")
    assert arbiter.next_request() is None
    answer(arbiter, "c1")
    assert arbiter.next_request() is not None
    arbiter.response_created("r2")
    arbiter.response_done("r2", cancelled=False)
    assert arbiter.next_request() is None, "the batch brought one response, not two"


def test_answers_before_the_response_is_over_count() -> None:
    arbiter = ResponseArbiter()
    arbiter.response_created("r1")
    arbiter.call_requested("c1", "r1")
    answer(arbiter, "c1")
    assert arbiter.next_request() is None
    arbiter.response_done("r1", cancelled=False)
    assert arbiter.next_request() is not None


def test_a_slow_tool_does_not_hold_back_the_turns_after_it() -> None:
    arbiter = ResponseArbiter()
    arbiter.response_created("r1")
    arbiter.call_requested("slow", "r1")
    arbiter.response_done("r1", cancelled=False)
    arbiter.response_created("r2")  # the user's next turn
    arbiter.response_done("r2", cancelled=False)
    arbiter.request()
    assert arbiter.next_request() is not None
    arbiter.response_created("r3")
    answer(arbiter, "slow")
    arbiter.response_done("r3", cancelled=False)
    assert arbiter.next_request() is not None, "the late answer is spoken too"


@pytest.mark.parametrize("early", [True, False])
def test_a_cancelled_response_is_not_gone_on_with(early: bool) -> None:
    arbiter = ResponseArbiter()
    arbiter.response_created("r1")
    arbiter.call_requested("c1", "r1")
    if early:
        answer(arbiter, "c1")
    arbiter.response_done("r1", cancelled=True)
    if not early:
        answer(arbiter, "c1")
    assert arbiter.next_request() is None
    arbiter.request()
    assert arbiter.next_request() is not None


def test_nothing_is_asked_for_while_the_user_speaks() -> None:
    arbiter = ResponseArbiter()
    arbiter.request()
    arbiter.user_began(interrupts=True)
    assert arbiter.next_request() is None
    arbiter.user_stopped(answered=False)
    assert arbiter.next_request() is not None


def test_what_is_still_wanted_of_a_response() -> None:
    arbiter = ResponseArbiter()
    assert not arbiter.is_wanted("r1")
    arbiter.response_created("r1")
    assert arbiter.is_wanted("r1")
    assert not arbiter.is_wanted("r0")
    arbiter.user_began(interrupts=False)
    assert arbiter.is_wanted("r1")
    arbiter.user_began(interrupts=True)
    assert not arbiter.is_wanted("r1")
    assert arbiter.is_running("r1")
    arbiter.response_done("r1", cancelled=True)
    assert not arbiter.is_running("r1")
    arbiter.response_created("r2")
    assert arbiter.is_wanted("r2")


def test_cancelling() -> None:
    arbiter = ResponseArbiter()
    assert arbiter.cancel() is None
    arbiter.response_created("r1")
    assert arbiter.cancel() == "r1"
    assert not arbiter.is_wanted("r1")
    assert arbiter.cancel() is None, "it is cancelled already"


def test_cancelling_a_response_that_is_under_way() -> None:
    arbiter = ResponseArbiter()
    arbiter.request()
    arbiter.next_request()
    assert arbiter.cancel() == ""
    arbiter.response_created("r1")
    assert not arbiter.is_wanted("r1")
    arbiter.response_done("r1", cancelled=True)
    arbiter.response_created("r2")
    assert arbiter.is_wanted("r2")


@pytest.mark.parametrize("named", [True, False])
def test_a_request_that_met_another_response_is_kept(named: bool) -> None:
    arbiter = ResponseArbiter()
    arbiter.request({"instructions": "hello"})
    request = arbiter.next_request()
    assert request is not None
    arbiter.response_created("vad")
    arbiter.refused(request.event_id if named else "", response_runs=True)
    assert arbiter.next_request() is None
    arbiter.response_done("vad", cancelled=False)
    assert arbiter.next_request() == request


def test_a_response_that_is_only_known_from_the_refusal_is_waited_for() -> None:
    arbiter = ResponseArbiter()
    arbiter.request({"instructions": "hello"})
    request = arbiter.next_request()
    arbiter.refused("", response_runs=True)
    assert arbiter.next_request() is None, "asking again at once would go round in circles"
    arbiter.response_done("r1", cancelled=False)
    assert arbiter.next_request() == request


def test_a_refused_request_does_not_block_the_next() -> None:
    arbiter = ResponseArbiter()
    arbiter.request({"instructions": "nonsense"})
    request = arbiter.next_request()
    assert request is not None
    arbiter.request()
    arbiter.refused("something-else", response_runs=False)
    assert arbiter.next_request() is None
    arbiter.refused(request.event_id, response_runs=False)
    following = arbiter.next_request()
    assert following is not None
    assert following.fields == {}


def test_an_error_about_something_else_does_not_lose_the_request() -> None:
    arbiter = ResponseArbiter()
    arbiter.request({"instructions": "hello"})
    request = arbiter.next_request()
    assert request is not None
    arbiter.refused("", response_runs=False)
    arbiter.response_created("vad")
    arbiter.refused(request.event_id, response_runs=True)
    arbiter.response_done("vad", cancelled=False)
    assert arbiter.next_request() == request


def test_each_call_is_answered_once() -> None:
    arbiter = ResponseArbiter()
    with pytest.raises(LocalProtocolError, match="'c1'"):
        arbiter.begin_answer("c1")
    arbiter.call_requested("c1", "r1")
    arbiter.begin_answer("c1")
    with pytest.raises(LocalProtocolError, match="answered before"):
        arbiter.begin_answer("c1")
    arbiter.withdraw_answer("c1")
    answer(arbiter, "c1")
    assert not arbiter.call_requested("c1", "r1"), "a call that was answered does not come back"


def begun(arbiter: ResponseArbiter) -> ResponseArbiter:
    """A tool was called, and the user speaks while it runs."""
    arbiter.response_created("r1")
    arbiter.call_requested("c1", "r1")
    arbiter.call_requested("c2", "r1")
    arbiter.response_done("r1", cancelled=False)
    arbiter.user_began(interrupts=True)
    return arbiter


@pytest.mark.parametrize("confirmed", [True, False])
@pytest.mark.parametrize("when", ["while speaking", "after speaking"])
def test_tool_results_before_vendors_own_answer_are_served_by_it(when: str, confirmed: bool) -> None:
    arbiter = begun(ResponseArbiter())
    if when == "after speaking":
        arbiter.user_stopped(answered=True)
    for call_id in ("c1", "c2"):
        answer(arbiter, call_id)
        if confirmed:
            arbiter.item_confirmed()
    assert not arbiter.is_due
    if when == "while speaking":
        arbiter.user_stopped(answered=True)
    assert not arbiter.is_due, "the vendor is about to answer by itself"
    arbiter.turn_committed(answered=True)
    assert not arbiter.is_due
    arbiter.response_created("r2")
    arbiter.response_done("r2", cancelled=False)
    assert arbiter.next_request() is None


def test_tool_result_that_reached_vendor_too_late_gets_its_own_answer() -> None:
    arbiter = begun(ResponseArbiter())
    answer(arbiter, "c1")
    arbiter.item_confirmed()
    arbiter.user_stopped(answered=True)
    answer(arbiter, "c2")
    arbiter.response_created("r2")  # begun before the vendor had the second result
    arbiter.item_confirmed()
    arbiter.response_done("r2", cancelled=False)
    assert arbiter.next_request() is not None


def test_tool_result_after_vendors_own_answer_began_gets_its_own_answer() -> None:
    arbiter = begun(ResponseArbiter())
    answer(arbiter, "c1")
    arbiter.user_stopped(answered=True)
    arbiter.turn_committed(answered=True)
    arbiter.response_created("r2")
    answer(arbiter, "c2")
    arbiter.response_done("r2", cancelled=False)
    assert arbiter.next_request() is not None


def test_tool_result_is_asked_about_where_vendor_does_not_answer_turns() -> None:
    arbiter = begun(ResponseArbiter())
    answer(arbiter, "c1")
    answer(arbiter, "c2")
    arbiter.user_stopped(answered=False)
    assert arbiter.next_request() is not None


def test_request_with_instructions_is_not_served_by_vendors_own_answer() -> None:
    arbiter = ResponseArbiter()
    arbiter.user_began(interrupts=True)
    arbiter.request({"instructions": "Say goodbye."})
    arbiter.request({"instructions": "One moment."}, during_tools=True)
    arbiter.user_stopped(answered=True)
    assert arbiter.next_request() is None
    arbiter.response_created("r1")
    arbiter.response_done("r1", cancelled=False)
    request = arbiter.next_request()
    assert request is not None
    assert request.fields == {"instructions": "One moment."}


def test_request_is_sent_when_vendor_does_not_answer_after_all() -> None:
    arbiter = ResponseArbiter()
    arbiter.user_began(interrupts=True)
    arbiter.request()
    arbiter.user_stopped(answered=True)
    assert arbiter.vendor_answers
    arbiter.vendor_is_silent()
    assert arbiter.next_request() is not None


def test_dropped_turn_is_not_waited_for() -> None:
    arbiter = ResponseArbiter()
    arbiter.user_began(interrupts=True)
    arbiter.request()
    arbiter.user_stopped(answered=True)
    arbiter.turn_dropped()
    assert arbiter.next_request() is not None


def test_vendor_is_not_waited_for_while_an_answer_runs_that_goes_on() -> None:
    arbiter = ResponseArbiter()
    arbiter.response_created("r1")
    arbiter.user_began(interrupts=False)
    arbiter.request()
    arbiter.user_stopped(answered=True)
    arbiter.turn_committed(answered=True)
    arbiter.response_done("r1", cancelled=False)
    assert arbiter.next_request() is not None


def test_vendors_answer_between_end_of_speech_and_commit_is_not_waited_for_again() -> None:
    arbiter = ResponseArbiter()
    arbiter.user_began(interrupts=True)
    arbiter.user_stopped(answered=True)
    arbiter.response_created("r1")
    arbiter.turn_committed(answered=True)
    arbiter.response_done("r1", cancelled=False)
    assert not arbiter.vendor_answers


def test_sentences_to_say_keep_their_order_and_go_before_what_waits_for_tools() -> None:
    arbiter = ResponseArbiter()
    arbiter.response_created("r1")
    arbiter.call_requested("c1", "r1")
    arbiter.response_done("r1", cancelled=False)
    arbiter.request({"instructions": "Last."})
    for text in ("First.", "Second."):
        arbiter.request({"instructions": text}, during_tools=True)
    spoken = []
    for number in range(2):
        request = arbiter.next_request()
        assert request is not None
        spoken.append(request.fields["instructions"])
        arbiter.response_created(f"s{number}")
        arbiter.response_done(f"s{number}", cancelled=False)
    assert spoken == ["First.", "Second."]


class Server:
    """The vendor's side: one response at a time, a refusal for a second; messages arrive late, in order."""

    def __init__(self, arbiter: ResponseArbiter) -> None:
        self.arbiter = arbiter
        self.to_client: list[tuple[str, str]] = []
        self.to_server: list[str] = []
        self.running = ""
        self.served: list[str] = []
        self.number = 0

    def flush(self) -> None:
        request = self.arbiter.next_request()
        if request is not None:
            self.to_server.append(request.event_id)

    def begin(self) -> None:
        if not self.running:
            self.number += 1
            self.running = f"r{self.number}"
            self.to_client.append(("created", self.running))

    def end(self) -> None:
        if self.running:
            self.to_client.append(("done", self.running))
            self.running = ""

    def read(self) -> None:
        if self.to_server:
            event_id = self.to_server.pop(0)
            if self.running:
                self.to_client.append(("refused", event_id))
            else:
                self.served.append(event_id)
                self.begin()

    def deliver(self) -> None:
        if self.to_client:
            kind, what = self.to_client.pop(0)
            if kind == "created":
                self.arbiter.response_created(what)
            elif kind == "done":
                self.arbiter.response_done(what, cancelled=False)
            else:
                self.arbiter.refused(what, response_runs=True)
            self.flush()


@given(st.lists(st.sampled_from(["request", "vad", "end", "read", "deliver"]), max_size=40))
def test_no_request_is_lost_or_served_twice_whatever_the_order(steps: list[str]) -> None:
    arbiter = ResponseArbiter()
    server = Server(arbiter)
    requests = 0
    for step in steps:
        if step == "request":
            requests += 1
            arbiter.request({"instructions": f"request {requests}"})
            server.flush()
        else:
            {"vad": server.begin, "end": server.end, "read": server.read, "deliver": server.deliver}[step]()
    for _ in range(4 * len(steps) + 4):
        server.read()
        server.end()
        server.deliver()
    assert len(server.served) == len(set(server.served)) == requests
