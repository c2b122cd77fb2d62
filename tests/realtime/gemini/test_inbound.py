"""What the vendor's messages mean, without a connection."""

from typing import Any

import pytest

from trunkline.clock import ManualClock
from trunkline.errors import LocalProtocolError
from trunkline.realtime.error_map import ConnectionErrors
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEnding,
    SessionReady,
    SessionResumable,
    ToolCallCancelled,
    ToolCallRequested,
    Usage,
    UserTranscript,
)
from trunkline.realtime.gemini.inbound import OUTPUT, Inbound
from trunkline.wire.realtime.gemini import errors as words
from trunkline.wire.realtime.gemini import events as vendor

AUDIO = vendor.AudioPiece(bytes(4), 24000)
ITEM = "response-1-item"


def told(*messages: Any, due: bool = False, speaks: bool = True) -> list[Any]:
    """What the session tells of these, without `SessionReady`."""
    inbound = Inbound(
        SessionReady("s", OUTPUT, OUTPUT), speaks=speaks, errors=ConnectionErrors("gemini", words), clock=ManualClock()
    )
    inbound.answer_due = due
    for message in messages:
        inbound.take(message)
    return [*inbound.queue][1:]


def test_answer_begins_with_what_comes_first_and_ends_with_the_turn() -> None:
    usage = Usage(output_tokens=3)
    assert told(
        vendor.OutputText(" Good"),
        AUDIO,
        vendor.OutputText(" day."),
        vendor.GenerationComplete(),
        vendor.UsageTold(Usage(output_tokens=1)),
        vendor.UsageTold(usage),
        vendor.TurnComplete(),
    ) == [
        ResponseStarted("response-1"),
        AgentTranscript("Good", False, ITEM, "response-1"),
        AudioReceived(bytes(4), ITEM, "response-1"),
        AgentTranscript(" day.", False, ITEM, "response-1"),
        AgentTranscript("Good day.", True, ITEM, "response-1"),
        ResponseFinished("response-1", usage=usage),
    ]


def test_interrupted_answer_takes_its_late_words_and_ends_with_the_turn() -> None:
    usage = Usage(output_tokens=1)
    events = told(
        AUDIO, vendor.Interrupted(), vendor.OutputText("late"), vendor.UsageTold(usage), vendor.TurnComplete(), AUDIO
    )
    assert events == [
        ResponseStarted("response-1"),
        AudioReceived(bytes(4), ITEM, "response-1"),
        Interrupted("response-1"),
        AgentTranscript("late", False, ITEM, "response-1"),
        AgentTranscript("late", True, ITEM, "response-1"),
        ResponseFinished("response-1", "cancelled", "interrupted", usage),
        ResponseStarted("response-2"),
        AudioReceived(bytes(4), "response-2-item", "response-2"),
    ]


def test_interrupted_answer_whose_end_is_left_out_ends_with_the_next() -> None:
    kinds = [type(event) for event in told(AUDIO, vendor.Interrupted(), AUDIO)]
    assert kinds[3:5] == [ResponseFinished, ResponseStarted]


def test_interruption_of_an_answer_that_is_over_names_it_and_one_of_nothing_is_not_told() -> None:
    assert told(AUDIO, vendor.TurnComplete(), vendor.Interrupted())[-1] == Interrupted("response-1")
    assert told(vendor.Interrupted()) == []


def test_users_words_are_complete_when_the_answer_is_over() -> None:
    events = told(
        vendor.InputText(" Hel"),
        vendor.InterimInputText("lo"),
        vendor.InputText("lo"),
        AUDIO,
        vendor.InputText(" Ann."),
        vendor.TurnComplete(),
        vendor.InputText("Next"),
        vendor.InputText("", True),
    )
    assert [event for event in events if isinstance(event, UserTranscript)] == [
        UserTranscript("Hel", False, "user-1"),
        UserTranscript("", False, "user-1", pending="lo"),
        UserTranscript("lo", False, "user-1"),
        UserTranscript(" Ann.", False, "user-1"),
        UserTranscript("Hello Ann.", True, "user-1"),
        UserTranscript("Next", False, "user-2"),
        UserTranscript("Next", True, "user-2"),
    ]


CALLS = vendor.ToolCalls((vendor.FunctionCall("fc_1", "f", "{}"), vendor.FunctionCall("", "g", "{}")))


def test_tool_calls_end_the_answer_and_the_turn_is_told_with_the_next() -> None:
    usage = Usage(input_tokens=9)
    events = told(CALLS, CALLS, vendor.UsageTold(usage), vendor.TurnComplete(), AUDIO, vendor.TurnComplete(), due=True)
    assert events[:4] == [
        ResponseStarted("response-1"),
        ToolCallRequested("fc_1", "f", "{}", "response-1"),
        ToolCallRequested("call-1", "g", "{}", "response-1"),
        ResponseFinished("response-1"),
    ]
    assert [event.call_id for event in events if isinstance(event, ToolCallRequested)].count("fc_1") == 1


def test_turn_of_tools_that_ends_by_itself_is_no_empty_answer() -> None:
    started = [event for event in told(CALLS, vendor.TurnComplete(), due=True) if isinstance(event, ResponseStarted)]
    assert len(started) == 1


def test_model_that_keeps_silent_gives_an_empty_answer_to_what_was_asked() -> None:
    assert told(vendor.TurnComplete(), due=True) == [ResponseStarted("response-1"), ResponseFinished("response-1")]
    assert told(vendor.TurnComplete()) == []


def test_call_that_is_taken_back_wants_no_result() -> None:
    inbound = Inbound(
        SessionReady("s", OUTPUT, OUTPUT), speaks=True, errors=ConnectionErrors("gemini", words), clock=ManualClock()
    )
    inbound.take(CALLS)
    inbound.take(vendor.CallsCancelled(("fc_1", "nobody's")))
    assert inbound.queue[-1] == ToolCallCancelled("fc_1")
    assert inbound.tool("fc_1") is None
    assert inbound.is_last("call-1")
    assert inbound.begin_answer("call-1").is_last
    assert not inbound.waits_for_tools
    for call_id in ("call-1", "nobody's"):
        with pytest.raises(LocalProtocolError):
            inbound.tool(call_id)


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("", "completed"),
        ("NEED_MORE_INPUT", "completed"),
        ("BLOCKLIST", "incomplete"),
        ("MALFORMED_FUNCTION_CALL", "failed"),
    ],
)
def test_odd_end_of_a_turn_says_how_the_answer_went(reason: str, status: str) -> None:
    finished = told(AUDIO, vendor.TurnComplete(reason))[-1]
    assert (finished.status, finished.reason, finished.error is not None) == (status, reason, status == "failed")


def test_handle_holds_until_the_conversation_has_gone_on() -> None:
    update = vendor.ResumptionUpdate("h")
    resumable = [
        event
        for event in told(update, update, AUDIO, vendor.TurnComplete(), update, vendor.ResumptionUpdate(None))
        if isinstance(event, SessionResumable)
    ]
    assert [event.handle for event in resumable] == ["h", None, "h", None]
    during = told(AUDIO, update, vendor.TurnComplete())
    assert [event.handle for event in during if isinstance(event, SessionResumable)] == ["h"]


def test_go_away_says_when_the_session_ends() -> None:
    assert told(vendor.GoAway(9.5)) == [SessionEnding(9.5)]


def test_audio_of_another_rate_is_converted() -> None:
    events = told(*[vendor.AudioPiece(bytes(3200), 16000)] * 10)
    audio = b"".join(event.audio for event in events if isinstance(event, AudioReceived))
    assert 0.9 < len(audio) / 48000 < 1.01


def test_text_counts_as_words_only_where_the_model_writes() -> None:
    assert told(vendor.TextPiece("Hi")) == []
    assert told(vendor.TextPiece("Hi"), speaks=False)[-1] == AgentTranscript("Hi", False, ITEM, "response-1")


def test_part_that_cannot_be_read_is_told_and_the_end_completes_the_users_words() -> None:
    from trunkline.wire.realtime.gemini.decode import READER

    (error,) = told(vendor.Unreadable(READER.error("not base64", "x")))
    assert isinstance(error, ErrorReported)
    assert not error.fatal
    inbound = Inbound(
        SessionReady("s", OUTPUT, OUTPUT), speaks=True, errors=ConnectionErrors("gemini", words), clock=ManualClock()
    )
    inbound.take(vendor.InputText("Hel"))
    inbound.finish("closed")
    assert [*inbound.queue][-2:] == [UserTranscript("Hel", True, "user-1"), SessionEnded("closed")]
