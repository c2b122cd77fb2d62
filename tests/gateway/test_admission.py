"""A place for each call, and a token that works once."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from tests.gateway.conftest import AUTH_TOKEN
from trunkline.clock import ManualClock
from trunkline.errors import CallRejected
from trunkline.gateway import CallInfo
from trunkline.gateway.admission import Admission
from trunkline.gateway.twilio import TwilioGateway
from trunkline.realtime import OpenAIRealtimeProvider

CLOCK = ManualClock()
CALL = CallInfo(call_id="CA1", from_="", to="", direction="inbound", start_time=CLOCK.wall())


def admission(places: int = 1) -> tuple[Admission, ManualClock]:
    clock = ManualClock()
    return Admission(places=places, clock=clock), clock


def gateway(*, max_concurrent_calls: int = 100) -> TwilioGateway:
    return TwilioGateway(
        auth_token=AUTH_TOKEN,
        listen_addr="127.0.0.1:0",
        realtime_provider=OpenAIRealtimeProvider(api_key="sk-test"),
        max_concurrent_calls=max_concurrent_calls,
        clock=ManualClock(),
    )


def test_a_place_is_held_from_the_announcement_to_the_end_of_the_media() -> None:
    door, _ = admission()
    with door.place("CA1"):
        assert door.full
        token = door.expect(CALL)
    assert door.full
    assert door.redeem(token) == CALL
    assert door.full, "between the upgrade and the first message of the media"
    with door.arrival("CA1"):
        assert door.full
        with pytest.raises(CallRejected, match="busy"), door.place("CA2"):
            pass
        with door.place("CA1"):
            pass
    assert not door.full


def test_a_refused_call_leaves_its_place() -> None:
    door, _ = admission()
    with pytest.raises(CallRejected, match="no"), door.place("CA1"):
        raise CallRejected("no")
    assert not door.full


async def test_a_token_works_once_and_not_for_ever() -> None:
    door, clock = admission()
    token = door.expect(CALL)
    assert door.token_of("CA1") == token
    assert door.redeem("guessed") is None
    assert door.redeem(token) == CALL
    assert door.redeem(token) is None
    assert door.token_of("CA1") is None
    await clock.advance(60)
    assert not door.full, "a media socket that broke before it was served"
    token = door.expect(CALL)
    await clock.advance(60)
    assert door.redeem(token) is None
    assert not door.full


def test_a_call_that_is_over_before_its_media_leaves_its_place() -> None:
    door, _ = admission()
    token = door.expect(CALL)
    door.forget("CA2")
    assert door.full
    door.forget("CA1")
    assert not door.full
    assert door.redeem(token) is None


async def test_calls_that_are_being_decided_about_take_places() -> None:
    """A slow `on_call` handler must not let more callers in than there are places."""
    door = gateway(max_concurrent_calls=2)
    release = anyio.Event()
    door.on_call(lambda _: release.wait())  # a plain function that gives an awaitable, which is fine too
    outcomes: list[str] = []

    async def announce(call_id: str) -> None:
        try:
            await door.admit(replace(CALL, call_id=call_id))
        except CallRejected as rejected:
            outcomes.append(rejected.reason)
        else:
            outcomes.append("accepted")

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(announce, f"CA{number}")
        while len(outcomes) < 3:
            await anyio.lowlevel.checkpoint()
        release.set()
    assert outcomes == ["busy"] * 3 + ["accepted"] * 2


async def test_a_call_that_is_announced_again_while_it_is_decided_about_is_asked_about_once() -> None:
    door = gateway()
    release = anyio.Event()
    asked: list[str] = []
    paths: list[str] = []

    @door.on_call
    async def slow(call: CallInfo) -> None:
        asked.append(call.call_id)
        await release.wait()

    async def announce() -> None:
        paths.append(await door.admit(CALL))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(announce)
        tasks.start_soon(announce)
        await anyio.wait_all_tasks_blocked()
        release.set()
    assert asked == ["CA1"]
    assert paths[0] == paths[1]


async def test_waiting_for_empty_ends_with_the_last_place() -> None:
    door, clock = admission(places=2)
    empty: list[str] = []

    async def wait(who: str) -> None:
        await door.wait_empty()
        empty.append(who)

    async with anyio.create_task_group() as tasks:
        await door.wait_empty()
        token = door.expect(CALL)
        with door.place("CA2"):
            tasks.start_soon(wait, "one")
            tasks.start_soon(wait, "two")
            await clock.advance(1)
            assert door.redeem(token) == CALL
            with door.arrival("CA1"):
                await clock.advance(100)
            await clock.advance(1)
            assert empty == []
        await clock.advance(1)
        assert sorted(empty) == ["one", "two"]


async def test_waiting_for_empty_ends_when_the_last_token_is_too_old() -> None:
    door, clock = admission()
    empty: list[float] = []

    async def wait() -> None:
        await door.wait_empty()
        empty.append(clock.now())

    async with anyio.create_task_group() as tasks:
        door.expect(CALL)
        tasks.start_soon(wait)
        await clock.advance(59)
        assert empty == []
        await clock.advance(2)
    assert empty == [60]
