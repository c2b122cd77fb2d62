"""What the caller has heard, by the account of what was sent and what the carrier confirmed. Audio is 8 bytes a millisecond."""

from trunkline.pipeline.ledger import Cut, PlayoutLedger


def ledger(*, returns_marks: bool = True) -> PlayoutLedger:
    return PlayoutLedger(8, returns_marks=returns_marks)


def send(account: PlayoutLedger, item: str, ms: int, now: float) -> str:
    account.generate(item, ms * 8)
    account.send(item, ms * 8, now)
    return account.mark()


def test_what_was_sent_is_heard_at_the_speed_of_the_clock() -> None:
    account = ledger()
    send(account, "a", 100, 10.0)
    assert [account.heard_ms("a", 10.0 + s) for s in (0, 0.04, 0.1, 5)] == [0, 40, 100, 100]
    assert account.lead_ms(10.04) == 60
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
    for name in (first, second, "0:99999", "", "x", "0:x", "1:1600"):
        assert not account.confirm(name, 0.3)
    assert account.heard_ms("a", 0.3) == 200


def test_a_clear_cuts_what_is_playing_and_what_waits() -> None:
    account = ledger()
    send(account, "a", 100, 0.0)
    account.finish("a")
    account.generate("b", 800)
    send(account, "b", 50, 0.0)
    assert account.clear(0.125) == [Cut("a", 100, 100), Cut("b", 25, 150)]
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
