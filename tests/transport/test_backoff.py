"""Delays between attempts."""

from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import InvalidConfig
from trunkline.transport.backoff import Backoff


def test_the_sequence() -> None:
    assert list(islice(Backoff(first=0.5, factor=2, longest=3, jitter=0).delays(), 6)) == [0, 0.5, 1, 2, 3, 3]


@given(st.floats(0, 1), st.floats(0, 1))
def test_jitter_only_shortens_and_by_its_share_at_most(jitter: float, drawn: float) -> None:
    plain = islice(Backoff(jitter=0).delays(), 8)
    drawn_by_lot = islice(Backoff(jitter=jitter).delays(lot=lambda: drawn), 8)
    for delay, shortened in zip(plain, drawn_by_lot, strict=True):
        assert delay * (1 - jitter) <= shortened <= delay


@pytest.mark.parametrize("wrong", [{"first": -1}, {"factor": 0.5}, {"first": 2, "longest": 1}, {"jitter": 1.1}])
def test_numbers_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match=list(wrong)[-1]):
        Backoff(**wrong)
