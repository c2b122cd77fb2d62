"""What a new session is told of the conversation."""

from trunkline.audio import TWILIO
from trunkline.conversation import HistoryItem
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ResponseFinished,
    ResponseStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.reconnect.history import LONGEST, History


def history(*events: SessionEvent, before: tuple[HistoryItem, ...] = ()) -> History:
    told = History(before)
    take(told, *events)
    return told


def take(told: History, *events: SessionEvent) -> None:
    for event in events:
        if isinstance(event, AudioReceived):
            told.hear_agent(event.item_id, TWILIO.duration_ms(len(event.audio)))
        else:
            told.take(event)


def lines(told: History) -> list[tuple[str, str]]:
    return [(item.role, item.text) for item in told.items()]


def spoken(text: str, seconds: float, item_id: str = "a1") -> tuple[SessionEvent, ...]:
    return (
        AgentTranscript(text, False, item_id, "r1"),
        AudioReceived(TWILIO.silence(1000 * seconds), item_id, "r1"),
    )


def test_words_of_the_user_that_come_late_take_their_place() -> None:
    told = history(
        SpeechStarted("u1"),
        SpeechStopped("u1"),
        ResponseStarted("r1"),
        *spoken("From nine.", 1),
        UserTranscript("When ", False, "u1"),
        UserTranscript("When do you open?", True, "u1"),
        ResponseFinished("r1"),
    )
    assert lines(told) == [("user", "When do you open?"), ("agent", "From nine.")]


def test_an_answer_ends_where_the_caller_stopped_listening() -> None:
    told = history(ResponseStarted("r1"), *spoken("One two three four", 4), ResponseFinished("r1", "cancelled"))
    assert told.truncate("a1", 2000)
    assert lines(told) == [("agent", "One two")]
    assert told.truncate("a1", 0)
    assert lines(told) == []


def test_an_answer_that_broke_ends_where_its_audio_ends() -> None:
    told = history(ResponseStarted("r1"), *spoken("It is ", 1), AgentTranscript("raining", False, "a1", "r1"))
    told.take(AgentTranscript("never heard", False, "a2", "r1"))
    told.break_off()
    assert lines(told) == [("agent", "It is")]


def test_an_answer_in_text_that_broke_is_kept_as_far_as_it_came() -> None:
    told = history(ResponseStarted("r1"), AgentTranscript("It is rai", False, "a1", "r1"))
    told.break_off()
    assert lines(told) == [("agent", "It is rai")]


def test_a_complete_answer_is_not_cut_by_a_break_after_it() -> None:
    told = history(ResponseStarted("r1"), *spoken("It is ", 1), AgentTranscript("raining", False, "a1", "r1"))
    told.take(ResponseFinished("r1"))
    told.break_off()
    assert lines(told) == [("agent", "It is raining")]


def test_ids_of_another_session_are_other_items() -> None:
    told = history(ResponseStarted("r1"), *spoken("first first", 2), ResponseFinished("r1"))
    told.begin_session()
    assert not told.truncate("a1", 1000), "it is cut here, but no present item of the vendor's"
    take(told, ResponseStarted("r1"), *spoken("second", 1))
    assert told.truncate("a1", 1000)
    assert lines(told) == [("agent", "first"), ("agent", "second")]


def test_what_went_before_comes_first_and_what_is_said_in_text_counts() -> None:
    told = history(before=(HistoryItem(role="system", text="It rains."),))
    told.write("Hello?")
    assert lines(told) == [("system", "It rains."), ("user", "Hello?")]


def test_only_the_latest_is_told_and_no_result_without_its_call() -> None:
    told = history(ToolCallRequested("c1", "f", "{}", "r1"))
    told.answer_call("c1", "lost with its call")
    for number in range(LONGEST - 1):
        told.write(f"{number}")
    assert lines(told) == [("user", f"{number}") for number in range(LONGEST - 1)]
