"""Turns in the order they began, the agent's cut where the caller stopped listening."""

from datetime import UTC, datetime

import pytest

from trunkline.conversation import ToolCall
from trunkline.pipeline.transcript import TranscriptBuilder

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_late_words_of_the_user_take_their_place() -> None:
    transcript = TranscriptBuilder()
    transcript.begin("user", "u", NOW)
    transcript.begin("agent", "a", NOW)
    transcript.add_text("a", "We are ", is_final=False)
    transcript.add_text("a", "open.", is_final=False)
    transcript.add_text("u", "are you", is_final=False)
    transcript.add_text("u", "Are you open?", is_final=True)
    transcript.set_duration("u", 900)
    assert [(t.role, t.text, t.duration_ms) for t in transcript.turns()] == [
        ("user", "Are you open?", 900),
        ("agent", "We are open.", 0),
    ]


def test_items_without_words_are_left_out() -> None:
    transcript = TranscriptBuilder()
    transcript.begin("user", "u", NOW)
    assert transcript.turns() == ()


@pytest.mark.parametrize(
    ("heard_ms", "text"),
    [
        (0, ""),
        (299, "one"),
        (300, "one"),
        (860, "one two"),
        (870, "one two three"),
        (1000, "one two three"),
        (1200, "one two three four"),
    ],
)
def test_text_that_ran_ahead_is_cut_in_proportion(heard_ms: int, text: str) -> None:
    transcript = TranscriptBuilder()
    transcript.begin("agent", "a", NOW)
    transcript.add_text("a", "one two three four", is_final=True)
    for generated in (200, 400, 1200):
        transcript.add_audio("a", generated)
    assert transcript.cut("a", heard_ms) == text
    (turn,) = transcript.turns() or (None,)
    assert (turn.text if turn else "") == text
    if turn:
        assert turn.interrupted
        assert turn.duration_ms == heard_ms


def test_text_and_audio_that_came_together_are_cut_together() -> None:
    transcript = TranscriptBuilder()
    transcript.begin("agent", "a", NOW)
    transcript.add_text("a", "slowly ", is_final=False)
    transcript.add_audio("a", 1000)
    transcript.add_text("a", "and quickly now", is_final=False)
    transcript.add_audio("a", 1300)
    assert transcript.cut("a", 1000) == "slowly"
    transcript.add_text("a", "words that come after the cut", is_final=True)
    assert transcript.turns()[0].text == "slowly"


def test_tool_calls_belong_to_the_answer_that_follows() -> None:
    call = ToolCall(name="get_weather", arguments={"city": "Rome"}, result="sunny")
    transcript = TranscriptBuilder()
    transcript.add_tool_call(call, NOW)
    transcript.begin("agent", "a", NOW)
    transcript.add_text("a", "It is sunny.", is_final=True)
    transcript.begin("agent", "b", NOW)
    transcript.add_text("b", "Anything else?", is_final=True)
    assert [turn.tool_calls for turn in transcript.turns()] == [(call,), ()]
    assert transcript.turns()[0].to_json()["tool_calls"] == [
        {"name": "get_weather", "arguments": {"city": "Rome"}, "result": "sunny", "duration_ms": 0}
    ]
