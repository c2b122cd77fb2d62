"""Sessions with OpenAI Realtime: errors, ends, and what is cancelled half-way."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.realtime.scripted_vendor import Vendor, rest, scripted, until
from trunkline.errors import (
    ConnectionFailed,
    ConnectionLost,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
    SessionClosed,
)
from trunkline.realtime.events import (
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEvent,
    SessionReady,
    ToolCallRequested,
    Usage,
    UserTranscript,
)
from trunkline.realtime.openai.session import OpenAIRealtimeSession
from trunkline.realtime.provider import ProcessConfig
from trunkline.transport import memory_pair
from trunkline.wire.realtime.openai.session import PCM, SessionInfo

pytestmark = pytest.mark.anyio

READY = SessionReady("sess_1", PCM, PCM, "gpt-realtime-2.1")
USAGE = Usage(2, 3, 5)


async def test_errors_that_leave_the_session_open() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.error("invalid_value", "Invalid value: 'bogus'.")
        await vendor.connection.send("{not json")
        failed = {"type": "x", "code": "audio_unintelligible", "message": "what?"}
        kind = "conversation.item.input_audio_transcription.failed"
        await vendor.send(kind, item_id="item_U", content_index=0, error=failed)
        await vendor.response_created("resp_1")
        details = {"type": "failed", "error": {"type": "x", "code": "rate_limit_exceeded"}}
        await vendor.response_done("resp_1", "failed", status_details=details)

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = await rest(session)
    errors = [(type(event.error), event.error.code, event.fatal) for event in told if isinstance(event, ErrorReported)]
    assert errors == [
        (RequestRejected, "invalid_value", False),
        (ProviderError, "malformed_message", False),
        (ProviderError, "audio_unintelligible", False),
    ]
    finished = next(event for event in told if isinstance(event, ResponseFinished))
    assert finished.status == "failed"
    assert isinstance(finished.error, RateLimited)
    assert told[-1] == SessionEnded("closed_by_vendor")


async def test_a_session_that_reached_its_limit() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.error("session_expired", "Your session hit the maximum duration of 60 minutes.")
        await vendor.connection.aclose(1001, "Your session hit the maximum duration of 60 minutes.")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = await rest(session)
        with pytest.raises(SessionClosed):
            await session.send_audio(b"\x00\x00")
    assert isinstance(told[-1], SessionEnded)
    error = told[-1].error
    assert isinstance(error, SessionClosed)
    assert told == [READY, ErrorReported(error, fatal=True), SessionEnded("session_expired", error)]


async def _dies(vendor: Vendor) -> None:
    await vendor.die()


async def _fails(vendor: Vendor) -> None:
    await vendor.connection.aclose(1011, "internal error")


async def _breaks_the_protocol(vendor: Vendor) -> None:
    await vendor.connection._stream.send(b"\xff" * 8)


@pytest.mark.parametrize(
    ("end", "kind"),
    [(_dies, ConnectionFailed), (_fails, ProviderUnavailable), (_breaks_the_protocol, ConnectionFailed)],
)
async def test_a_vendors_death_is_an_error_and_an_end(end: Any, kind: type[ProviderError]) -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await end(vendor)

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = await rest(session)
        for command in (
            session.send_audio(b"\x00\x00"),
            session.send_text("hi"),
            session.commit_audio(),
            session.clear_audio(),
            session.create_response(),
            session.cancel_response(),
            session.truncate("item", heard_ms=1),
            session.send_tool_result("call", "x"),
            session.update_instructions("x"),
        ):
            with pytest.raises(SessionClosed):
                await command
    assert told[:2] == [READY, ResponseStarted("resp_1")]
    assert isinstance(told[-1], SessionEnded)
    error = told[-1].error
    assert type(error) is kind
    assert error.__cause__ is not None
    assert told[2:] == [ErrorReported(error, fatal=True), SessionEnded("failed", error)]


async def test_a_vendor_that_says_nothing_any_more_is_noticed() -> None:
    silent = anyio.Event()

    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await silent.wait()  # without reading, so that no ping is answered

    options: dict[str, Any] = {"ping_interval": 0.05, "ping_timeout": 0.05}
    async with scripted(script, **options) as provider, provider.connect(ProcessConfig()) as session:
        with anyio.fail_after(5):
            told = await rest(session)
        silent.set()
    assert isinstance(told[1], ErrorReported)
    assert isinstance(told[1].error, ConnectionFailed)


async def test_a_send_that_meets_a_dead_connection_says_that_the_session_is_over() -> None:
    ours, theirs = memory_pair()
    session = OpenAIRealtimeSession(ours, SessionInfo("sess_1", "m", PCM, PCM, True))
    await theirs.aclose(1011)
    with pytest.raises(SessionClosed) as caught:
        await session.send_audio(b"\x00\x00")
    assert isinstance(caught.value.__cause__, ConnectionLost)
    assert isinstance((await rest(session))[-1], SessionEnded), "the events still tell why"
    await session.aclose()


async def test_closing_from_another_task_ends_the_iteration() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.expect_nothing()

    told: list[SessionEvent] = []
    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:

        async def listen() -> None:
            told.extend(await rest(session))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await anyio.wait_all_tasks_blocked()
            await session.aclose()
            await session.aclose()
            with pytest.raises(SessionClosed):
                await session.send_audio(b"\x00\x00")
    assert told == [READY, SessionEnded("closed")]


@pytest.fixture
async def quiet() -> AsyncIterator[tuple[OpenAIRealtimeSession, Any]]:
    """A session whose vendor takes one message and then no more."""
    ours, theirs = memory_pair(max_buffered=1)
    session = OpenAIRealtimeSession(ours, SessionInfo("sess_1", "m", PCM, PCM, True))
    yield session, theirs
    await session.aclose()


async def test_cancelling_a_wait_loses_no_event_and_no_request(quiet: tuple[OpenAIRealtimeSession, Any]) -> None:
    session, vendor = quiet
    assert isinstance(await session.__anext__(), SessionReady)
    with anyio.move_on_after(0.01):
        await session.__anext__()
    await session.send_audio(b"\x00\x00")
    with anyio.move_on_after(0.01) as waiting:
        await session.create_response("Say hello.")
    assert waiting.cancelled_caught
    await vendor.receive()
    await vendor.send(
        '{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_U","transcript":"Hm."}'
    )
    assert await session.__anext__() == UserTranscript("Hm.", True, "item_U")
    with anyio.fail_after(5):
        assert "Say hello." in await vendor.receive()


async def test_a_tool_result_whose_sending_was_cancelled_can_be_sent_again(
    quiet: tuple[OpenAIRealtimeSession, Any],
) -> None:
    session, vendor = quiet
    await vendor.send('{"type":"response.created","response":{"id":"r"}}')
    await until(session, ResponseStarted)
    done = (
        '{"type":"response.function_call_arguments.done","response_id":"r","call_id":"c","name":"f","arguments":"{}"}'
    )
    await vendor.send(done)
    await until(session, ToolCallRequested)
    await session.send_audio(b"\x00\x00")
    with anyio.move_on_after(0.01) as waiting:
        await session.send_tool_result("c", "1")
    assert waiting.cancelled_caught
    await vendor.receive()
    await session.send_tool_result("c", "1")
    assert "function_call_output" in await vendor.receive()
