"""What a model is told of the past."""

from typing import Any

import pytest

from trunkline.conversation import HistoryItem, SpokenText, pending_calls


@pytest.mark.parametrize("wrong", [{"role": "tool_call", "call_id": "c"}, {"role": "tool_result", "text": "42"}])
def test_a_tool_item_says_which_call_of_which_tool_it_is(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must say which"):
        HistoryItem(**wrong)


def test_a_call_is_pending_until_its_result_is_there() -> None:
    first, second = (HistoryItem(role="tool_call", call_id=call, name="f", arguments="{}") for call in "ab")
    assert pending_calls([first, second]) == ("a", "b")
    assert pending_calls([first, second, HistoryItem(role="tool_result", call_id="a", text="1")]) == ("b",)


def spoken(text: str, duration_ms: int) -> SpokenText:
    """Text whose whole audio has come, at an even pace."""
    speech = SpokenText()
    speech.add_text(text, is_final=True)
    speech.add_audio(duration_ms)
    return speech


@pytest.mark.parametrize(
    ("text", "heard", "kept"),
    [
        ("明日の会議は午後三時から第二会議室で行います。", 10, "明日の会議は午後三時"),
        ("我们明天下午三点见面。", 4, "我们明天"),
        ("สวัสดีครับ", 5, "สวัส"),  # a vowel sign stays with its consonant
        ("OK 明日の会議は", 6, "OK 明日の"),
        ("one\ntwo\tthree", 6, "one"),
        ("one two\u3000three", 8, "one two"),
        ("안녕하세요 여러분", 7, "안녕하세요"),  # Korean has blanks
        ("one two", 6, "one"),
        ("unbelievably", 6, ""),
    ],
)
def test_cut_keeps_the_words_that_were_heard_in_every_script(text: str, heard: int, kept: str) -> None:
    speech = spoken(text, 100 * len(text))
    assert speech.cut(100 * heard + 1) == kept
    assert speech.is_cut


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Dr. Jones will call you back. Is that all?", "Dr. Jones will call you back."),
        ("Prof. Dr. Hahn is here. Come in.", "Prof. Dr. Hahn is here."),
        ("It is in St. James Street. Then go.", "It is in St. James Street."),
        ("See No. 5 on the list. Then go.", "See No. 5 on the list."),
        ("Take fruit, e.g. Apples, with you. Then go.", "Take fruit, e.g. Apples, with you."),
        ("Call Smith Ltd. about it. Then go.", "Call Smith Ltd. about it."),
        ("J. R. Smith is here. Then go.", "J. R. Smith is here."),
        ("Come at 9 a.m. We open then.", "Come at 9 a.m."),
        ("It costs 3.50 today. Then more.", "It costs 3.50 today."),
        ('He said "no." Then he left.', 'He said "no."'),
        ("It ends so. then it goes on.", "It ends so."),
        ("We take approx. five minutes. Then go.", "We take approx. five minutes."),
        ("Come at 9 a.m. or later. Then go.", "Come at 9 a.m. or later."),
        ("No. I cannot.", "No."),
        ("Well... Then go.", "Well..."),
        ("आप कैसे हैं। ठीक है।", "आप कैसे हैं।"),
        ("کیا حال ہے؟ ٹھیک ہے\u06d4", "کیا حال ہے؟"),
        ("هل أنت بخير؟ نعم.", "هل أنت بخير؟"),
        ("元気ですか\uff1fはい。", "元気ですか\uff1f"),
    ],
)
def test_sentence_end_is_found_in_every_script_and_not_behind_abbreviations(text: str, sentence: str) -> None:
    assert spoken(text, 100 * len(text)).sentence_end(50) == pytest.approx(100 * len(sentence), abs=1)
