"""How calls end, and what is left of them."""

import anyio
import anyio.lowlevel
import pytest

from tests.pipeline.call import Call, in_progress, says
from tests.pipeline.doubles import ScriptedProvider
from trunkline.errors import AuthFailed, ProviderUnavailable, SessionClosed
from trunkline.pipeline import (
    EventType,
)
from trunkline.realtime.events import (
    ErrorReported,
    SessionEnded,
    SpeechStarted,
)


async def test_a_provider_that_refuses_ends_the_call_with_an_error() -> None:
    call = Call(ScriptedProvider(failure=AuthFailed("no such key", "invalid_api_key")))
    async with in_progress(call):
        await call.bridge.wait_closed()
        with pytest.raises(SessionClosed):
            await call.bridge.send_audio(bytes(160))
    assert call.types() == ["error", "session_ended"]
    assert str(call.one(EventType.ERROR).error) == "[invalid_api_key] no such key"
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "provider_failed"}


async def test_a_provider_that_dies_ends_the_call_with_an_error() -> None:
    call = Call()
    async with in_progress(call):
        dead = ProviderUnavailable("gone")
        call.session.feed(ErrorReported(dead, fatal=True), SessionEnded("connection_lost", dead))
        await call.bridge.wait_closed()
        assert call.session.closed
    assert call.types() == ["session_started", "error", "session_ended"]
    assert call.one(EventType.SESSION_ENDED).data["reason"] == "connection_lost"
    assert call.bridge.metrics().error_count == 1


async def test_a_lost_line_ends_the_call() -> None:
    call = Call()
    async with in_progress(call):
        call.carrier.lost = True
        call.session.feed(*says("a1", "Yes.", 100))
        await call.bridge.wait_closed()
    assert call.one(EventType.SESSION_ENDED).data["reason"] == "line_lost"


async def test_closing_twice_and_reading_late() -> None:
    call = Call()
    async with in_progress(call):
        await call.bridge.close("enough")
        await call.bridge.close("again")
    late = [event.type async for event in call.bridge.events()]
    assert late == [EventType.SESSION_STARTED, EventType.SESSION_ENDED]
    assert call.seen[-1].to_json()["data"] == {"reason": "enough"}
    before = call.bridge.metrics().session_duration_ms
    await call.clock.advance(5)
    assert call.bridge.metrics().session_duration_ms == before


async def test_a_bridge_in_a_task_group_of_the_application() -> None:
    call = Call()
    async with anyio.create_task_group() as tasks:
        await call.bridge.start(tasks)
        await call.pass_ms(10)
        with pytest.raises(SessionClosed):
            await call.bridge.start(tasks)
        await call.bridge.close()
    assert call.session.closed


async def test_an_error_of_the_application_comes_out_as_it_is() -> None:
    call = Call()
    with pytest.raises(LookupError):
        async with call.bridge:
            raise LookupError
    assert call.bridge.is_over


async def test_a_defect_is_told_and_ends_the_call(caplog: pytest.LogCaptureFixture) -> None:
    call = Call()
    async with in_progress(call):
        call.session.truncate = None  # type: ignore[assignment]
        call.session.feed(*says("a1", "one two three", 500))
        await call.pass_ms(100)
        call.session.feed(SpeechStarted("u1", 0))
        await call.bridge.wait_closed()
    assert call.types()[-2:] == ["error", "session_ended"]
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "internal_error"}
    assert "a call ends because of a defect" in caplog.text


async def test_closed_before_it_began() -> None:
    call = Call()
    await call.bridge.close("never mind")
    await call.bridge.wait_closed()
    assert [event.data async for event in call.bridge.events()] == [{"reason": "never mind"}]
    with pytest.raises(SessionClosed):
        async with call.bridge:
            pass


async def test_cancelling_the_application_ends_the_call() -> None:
    call = Call()
    with anyio.CancelScope() as scope:
        async with call.bridge:
            await call.pass_ms(10)
            scope.cancel()
            await anyio.sleep_forever()
    assert call.session.closed
    assert [event.type async for event in call.bridge.events()][-1] is EventType.SESSION_ENDED
