"""What a model is told of the past."""

from typing import Any

import pytest

from trunkline.conversation import HistoryItem, pending_calls


@pytest.mark.parametrize("wrong", [{"role": "tool_call", "call_id": "c"}, {"role": "tool_result", "text": "42"}])
def test_a_tool_item_says_which_call_of_which_tool_it_is(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must say which"):
        HistoryItem(**wrong)


def test_a_call_is_pending_until_its_result_is_there() -> None:
    first, second = (HistoryItem(role="tool_call", call_id=call, name="f", arguments="{}") for call in "ab")
    assert pending_calls([first, second]) == ("a", "b")
    assert pending_calls([first, second, HistoryItem(role="tool_result", call_id="a", text="1")]) == ("b",)
