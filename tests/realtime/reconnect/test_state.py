"""What a conversation's next session must know."""

import pytest

from trunkline.audio import TWILIO
from trunkline.conversation import HistoryItem
from trunkline.errors import LocalProtocolError
from trunkline.realtime import events
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.reconnect.audio_replay import ReplayCursor
from trunkline.realtime.reconnect.state import ConversationState
from trunkline.testing.fake_provider import BAREST, FULL


def conversation(*history: HistoryItem, able: object = FULL) -> tuple[ConversationState, ReplayCursor]:
    state = ConversationState(ProcessConfig(history=history), input_format=TWILIO, replay_seconds=30, now=0)
    state.begin_session(TWILIO, able, 0)  # type: ignore[arg-type]
    return state, ReplayCursor(state.replay, TWILIO)


@pytest.mark.parametrize(
    ("event", "is_news"),
    [
        (events.UserTranscript("Hi", False, "u1"), True),
        (events.ResponseStarted("r1"), True),
        (events.ToolCallRequested("c1", "f", "{}", "r1"), True),
        (events.AgentTranscript("Hi", False, "a1", "r1"), False),
    ],
)
def test_the_revision_changes_with_what_a_new_session_must_know(event: events.SessionEvent, is_news: bool) -> None:
    state, cursor = conversation()
    state.follow(event, 1, given=cursor)
    assert state.revision == is_news
    state.hear_agent(events.AudioReceived(b"x", "a1", "r1"), 1)
    assert state.revision == is_news


def test_a_tool_call_is_answered_once_and_one_that_was_taken_back_by_nobody() -> None:
    state, cursor = conversation(HistoryItem(role="tool_call", call_id="c0", name="f", arguments="{}"))
    for call_id in ("c1", "c2"):
        state.follow(events.ToolCallRequested(call_id, "f", "{}", "r1"), 1, given=cursor)
    state.follow(events.ToolCallCancelled("c2"), 1, given=cursor)
    assert [state.is_call_of_session(call_id) for call_id in ("c0", "c1")] == [False, True]
    assert state.answer_call("c0", "0", 2)
    assert state.answer_call("c1", "1", 2)
    assert not state.answer_call("c2", "2", 2)
    with pytest.raises(LocalProtocolError, match="before"):
        state.answer_call("c1", "1", 2)
    with pytest.raises(LocalProtocolError, match="no tool call"):
        state.answer_call("c3", "3", 2)


@pytest.mark.parametrize(("able", "kept"), [(FULL, 8000), (BAREST, 0)])
def test_an_unasked_answer_settles_audio_only_if_no_speech_is_reported(able: object, kept: int) -> None:
    state, cursor = conversation(able=able)
    state.hear_user(bytes(8000))
    while cursor.is_behind:
        cursor.take()
    state.follow(events.ResponseStarted("r1"), 1, given=cursor)
    state.follow(events.ResponseFinished("r1"), 1, given=cursor)
    assert (state.replay.end_ms - state.replay.start_ms) * 8 == kept
