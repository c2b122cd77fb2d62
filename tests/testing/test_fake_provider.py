"""The fake provider: what a script can do, what its sessions refuse, and how opening one fails."""

import anyio
import pytest

from trunkline.conversation import HistoryItem
from trunkline.errors import AuthFailed, LocalProtocolError, ProviderUnavailable, SessionClosed, ToolError
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEvent,
    SessionReady,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.fake_provider import FULL, KEPT_SESSIONS, FakeProvider, FakeSession

pytestmark = pytest.mark.anyio


async def events_of(session: FakeSession) -> list[SessionEvent]:
    return [event async for event in session]


async def test_script_hears_calls_a_tool_and_answers() -> None:
    async def script(session: FakeSession) -> None:
        await session.wait_heard(640)
        session.user_said("how is the weather")
        sky = await session.call_tool("weather", city="Berlin")
        session.answer(f"It is {sky}.", audio_ms=100)
        session.die()

    seen: list[SessionEvent] = []
    async with FakeProvider(script=script).connect(ProcessConfig()) as session:
        await session.send_audio(bytes(320))
        await session.send_audio(bytes(320))
        async for event in session:
            seen.append(event)
            if isinstance(event, ToolCallRequested):
                await session.send_tool_result(event.call_id, {"sky": "grey"})
    assert [type(event) for event in seen] == [
        SessionReady,
        UserTranscript,
        ResponseStarted,
        ToolCallRequested,
        ResponseFinished,
        ResponseStarted,
        AudioReceived,
        AgentTranscript,
        ResponseFinished,
        ErrorReported,
        SessionEnded,
    ]
    assert [event.text for event in seen if isinstance(event, AgentTranscript)] == ['It is {"sky":"grey"}.']
    assert [len(event.audio) for event in seen if isinstance(event, AudioReceived)] == [4800]


async def test_script_takes_commands_in_their_order_while_others_wait() -> None:
    taken: list[tuple[object, ...]] = []
    heard = anyio.Event()

    async def script(session: FakeSession) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen, session)
            taken.extend([await session.next_command() for _ in range(3)])
        session.feed(SessionEnded("done"))

    async def listen(session: FakeSession) -> None:
        await session.wait_heard(1)
        heard.set()

    async with FakeProvider(script=script).connect(ProcessConfig()) as session:
        await session.send_text("one")
        await session.say("two")
        await anyio.wait_all_tasks_blocked()
        await session.send_audio(b"\0")
        with anyio.fail_after(5):
            await heard.wait()
        await session.create_response()
        with anyio.fail_after(5):
            await events_of(session)
    assert taken == [("text", "one"), ("say", "two"), ("create", None)]


async def test_bare_session_refuses_what_it_cannot_do() -> None:
    async with FakeProvider().connect(ProcessConfig()) as session:
        for command in (session.commit_audio, session.clear_audio, session.cancel_response):
            with pytest.raises(LocalProtocolError):
                await command()
        with pytest.raises(LocalProtocolError):
            await session.truncate("item", heard_ms=1)
        with pytest.raises(LocalProtocolError):
            await session.create_response("be brief")
        with pytest.raises(LocalProtocolError):
            await session.send_tool_result("call", "rain")
        assert session.commands == []
        await session.aclose()
        with pytest.raises(SessionClosed):
            await session.cancel_response()


async def test_result_that_is_no_json_leaves_the_call_open() -> None:
    async with FakeProvider().connect(ProcessConfig()) as session:
        session.feed(ToolCallRequested("call-1", "weather", "{}", "response-1"))
        with pytest.raises(ToolError):
            await session.send_tool_result("call-1", object())
        await session.send_tool_result("call-1", None)
        assert session.results == {"call-1": "null"}


@pytest.mark.parametrize("seeds", [True, False])
async def test_open_call_of_the_history_is_answered_where_calls_can_be_seeded(seeds: bool) -> None:
    provider = FakeProvider(capabilities=FULL) if seeds else FakeProvider()
    history = [HistoryItem(role="tool_call", call_id="call-1", name="weather")]
    async with provider.connect(ProcessConfig(history=history)) as session:
        if seeds:
            await session.send_tool_result("call-1", "rain")
        else:
            with pytest.raises(LocalProtocolError):
                await session.send_tool_result("call-1", "rain")
        assert session.results == ({"call-1": "rain"} if seeds else {})


async def test_opening_fails_as_often_as_asked() -> None:
    provider = FakeProvider(failures=[ProviderUnavailable("no"), None, AuthFailed("no")])
    outcomes: list[object] = []
    for _ in range(4):
        try:
            async with provider.connect(ProcessConfig()):
                outcomes.append("open")
        except (ProviderUnavailable, AuthFailed) as refused:
            outcomes.append(type(refused))
    assert outcomes == [ProviderUnavailable, "open", AuthFailed, "open"]
    assert (provider.opened, provider.running) == (2, 0)


async def test_many_sessions_do_not_pile_up() -> None:
    provider = FakeProvider(script=lambda session: session.wait_heard(1))
    for _ in range(KEPT_SESSIONS + 6):
        async with provider.connect(ProcessConfig()) as session:
            assert provider.running == 1
        assert (await events_of(session))[-1:] in ([], [SessionEnded("closed")])
    assert len(provider.sessions) == KEPT_SESSIONS


async def test_error_in_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(LookupError):
        async with FakeProvider(script=lambda session: session.wait_heard(1)).connect(ProcessConfig()):
            raise LookupError
