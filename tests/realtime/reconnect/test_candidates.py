"""The order in which providers are tried, and when one is left alone."""

from tests.realtime.reconnect.conversation import telephone
from trunkline.clock import ManualClock
from trunkline.errors import AuthFailed, ConnectionFailed, RateLimited
from trunkline.realtime.reconnect.candidates import Candidates, CoolDown


def test_left_alone_after_failures_in_a_row() -> None:
    state = CoolDown(failures=2, seconds=30)
    state.failed(ConnectionFailed("x"), now=0)
    state.succeeded()
    state.failed(ConnectionFailed("x"), now=1)
    assert state.until < 1
    state.failed(ConnectionFailed("x"), now=2)
    assert state.until == 32
    state.succeeded()
    assert state.until < 0


def test_left_alone_as_long_as_the_vendor_asked() -> None:
    state = CoolDown(failures=5, seconds=30)
    state.failed(RateLimited("x", retry_after=7), now=10)
    assert state.until == 17


async def test_after_a_session_that_broke_its_own_provider_comes_last() -> None:
    one, two, three = (telephone(name) for name in ("one", "two", "three"))
    candidates = Candidates((one, two, three), failures=2, cool_down=30, clock=ManualClock())
    assert candidates.in_order() == [one, two, three]
    assert candidates.in_order(after=two) == [three, one, two]


async def test_providers_that_are_left_alone_come_last_and_a_refusal_does_not_count() -> None:
    clock = ManualClock()
    one, two = telephone("one"), telephone("two")
    candidates = Candidates((one, two), failures=2, cool_down=30, clock=clock)
    candidates.broke(one, AuthFailed("no"))
    candidates.broke(one, ConnectionFailed("down"))
    assert candidates.in_order() == [one, two]
    candidates.broke(one, ConnectionFailed("down"))
    assert (candidates.in_order(), candidates.cooling()) == ([two, one], ("one",))
    assert candidates.asked_wait(one) == 0, "nobody asked for it"
    candidates.broke(two, RateLimited("later", retry_after=7))
    assert candidates.asked_wait(two) == 7
    await clock.advance(7)
    assert candidates.asked_wait(two) == 0
    candidates.answered(one)
    assert candidates.cooling() == ()
