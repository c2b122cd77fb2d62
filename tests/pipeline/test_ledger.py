"""What the caller has heard, by the account of what was sent and what the carrier confirmed. Audio is 8 bytes a millisecond."""

import pytest

from trunkline.pipeline.ledger import Cut, PlayoutLedger


def ledger(*, returns_marks: bool = True) -> PlayoutLedger:
    return PlayoutLedger(8, returns_marks=returns_marks)


def send(account: PlayoutLedger, item: str, ms: int, now: float) -> str:
    account.generate(item, ms * 8)
    account.send(item, ms * 8, now)
    return account.mark(now)


def test_what_was_sent_is_heard_at_the_speed_of_the_clock() -> None:
    account = ledger()
    send(account, "a", 100, 10.0)
    assert [account.heard_ms("a", 10.0 + s) for s in (0, 0.04, 0.1, 5)] == [0, 40, 100, 100]
    assert account.lead_ms(10.04) == pytest.approx(60)
    assert account.heard_ms("unknown", 11) == 0


def test_a_gap_in_sending_is_not_heard() -> None:
    account = ledger()
    send(account, "a", 100, 0.0)
    send(account, "a", 100, 1.0)
    assert account.heard_ms("a", 1.05) == 150


def test_a_mark_says_where_playback_really_is() -> None:
    account = ledger()
    first = send(account, "a", 100, 0.0)
    send(account, "a", 100, 0.0)
    assert account.confirm(first, 0.15)  # fifty milliseconds later than the clock had it
    assert account.heard_ms("a", 0.15) == 100
    assert account.heard_ms("a", 0.20) == 150


def test_marks_that_travel_long_do_not_mislead() -> None:
    account = ledger()
    account.confirm(account.mark(0.0), 0.3)  # nothing was queued, so this is the way back
    mark = send(account, "a", 1000, 0.3)
    assert account.confirm(mark, 1.6)  # as late as the way back
    assert account.heard_ms("a", 1.6) == 1000
    mark = send(account, "b", 1000, 2.0)
    later = send(account, "b", 1000, 2.0)
    account.confirm(mark, 3.4)  # a tenth of a second later than the way back
    assert account.heard_ms("b", 3.4) == 1300
    account.clear(3.5)
    assert not account.confirm(later, 3.6)
    assert account.return_delay == pytest.approx(0.1)


def test_a_clear_sets_marks_free_and_that_tells_the_way_back() -> None:
    account = ledger()
    mark = send(account, "a", 1000, 0.0)
    account.clear(0.5)
    assert not account.confirm(mark, 0.75)
    assert account.return_delay == 0.25


def test_an_item_that_is_taken_up_again_is_heard_in_one() -> None:
    account = ledger()
    send(account, "a", 500, 0.0)
    assert account.unheard(0.2) == [("a", 2400)]
    account.clear(0.2)
    assert account.heard_ms("a", 9.0) == 200
    account.reopen("a")
    assert account.generated_ms("a") - account.heard_ms("a", 9.0) == 300
    account.send("a", 2400, 10.0)
    assert account.heard_ms("a", 10.1) == 300
    assert account.reaches("a", 350) == 10.15
    account.finish("a")
    assert account.clear(10.1) == [Cut("a", 300, 500)]


def test_a_mark_ahead_of_the_clock_counts_too() -> None:
    account = ledger()
    first = send(account, "a", 100, 0.0)
    send(account, "a", 100, 0.0)
    assert account.confirm(first, 0.02)
    assert account.heard_ms("a", 0.02) == 100


def test_marks_that_say_nothing_are_ignored() -> None:
    account = ledger()
    first = send(account, "a", 100, 0.0)
    second = send(account, "a", 100, 0.0)
    assert account.confirm(second, 0.2)
    for name in (first, second, "0:99999", "", "x", "0:x", "1:1600"):  # overtaken, known, invented
        assert not account.confirm(name, 0.3)
    assert account.heard_ms("a", 0.3) == 200


def test_a_clear_cuts_what_is_playing_and_what_waits() -> None:
    account = ledger()
    send(account, "a", 100, 0.0)
    account.finish("a")
    account.generate("b", 800)
    send(account, "b", 50, 0.0)
    assert account.clear(0.125) == [Cut("a", 100, 100, complete=True), Cut("b", 25, 150)]
    assert not account.speaking
    assert account.heard_ms("b", 99) == 25
    assert account.lead_ms(0.125) == 0


def test_a_mark_of_before_the_clear_is_stale() -> None:
    account = ledger()
    old = send(account, "a", 100, 0.0)
    account.clear(0.05)
    send(account, "b", 200, 0.05)
    assert not account.confirm(old, 0.06)
    assert account.heard_ms("b", 0.10) == 50


def test_an_item_is_over_when_its_last_byte_is_confirmed() -> None:
    account = ledger()
    mark = send(account, "a", 100, 0.0)
    assert account.settle(5.0) == []  # more of it may come
    account.finish("a")
    assert account.settle(0.1) == []  # by the clock it is over, but the carrier has not said so
    account.confirm(mark, 0.1)
    assert account.settle(0.1) == ["a"]
    assert account.settle(0.1) == []
    assert account.heard_ms("a", 0.1) == 100


def test_all_is_heard_out_by_the_clock_before_the_mark_has_come() -> None:
    account = ledger()
    send(account, "a", 100, 0.0)
    assert not account.heard_out(0.1)  # there may be more of it
    account.finish("a")
    assert not account.heard_out(0.09)
    assert account.heard_out(0.1)
    account.generate("b", 8)
    account.finish("b")
    assert not account.heard_out(0.1)


def test_a_lost_mark_is_not_waited_for() -> None:
    account = ledger()
    send(account, "a", 100, 0.0)
    account.finish("a")
    assert account.settles_at() == 1.1
    assert account.settle(1.05) == []
    assert account.settle(1.1) == ["a"]


def test_without_marks_the_clock_decides() -> None:
    account = ledger(returns_marks=False)
    send(account, "a", 100, 0.0)
    account.finish("a")
    assert account.settles_at() == 0.1
    assert account.settle(0.1) == ["a"]


def test_items_are_over_in_order() -> None:
    account = ledger()
    account.generate("a", 1600)
    account.send("a", 800, 0.0)
    send(account, "b", 20, 0.0)
    account.finish("a")
    account.finish("b")
    assert account.settles_at() is None
    assert account.settle(9.0) == []
    account.send("a", 800, 9.0)
    assert account.settle(10.2) == ["a", "b"]


def test_padding_belongs_to_nobody() -> None:
    account = ledger()
    send(account, "a", 10, 0.0)
    account.send("", 80, 0.0)
    send(account, "b", 20, 0.0)
    assert (account.heard_ms("a", 0.02), account.heard_ms("b", 0.02)) == (10, 0)
    assert account.heard_ms("b", 0.03) == 10
