"""What every session promises, kept with OpenAI's protocol and with servers that say less than OpenAI."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from tests.realtime.scripted_vendor import CREATED, KEY, Vendor, ids, merged, rest, scripted, until
from trunkline.clock import ManualClock, ScaledClock
from trunkline.errors import AuthFailed, InvalidConfig, LocalProtocolError, QuotaExceeded, SessionClosed, ToolError
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SessionEnding,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
    UserTurnCommitted,
)
from trunkline.realtime.openai import OpenAIRealtimeProvider, new_factory
from trunkline.realtime.openai.session import OpenAIRealtimeSession
from trunkline.realtime.provider import ProcessConfig
from trunkline.tools.definition import ToolDefinition

pytestmark = pytest.mark.anyio

TENTH = b64encode(bytes(4800)).decode()
SPOKEN = "response.output_audio.delta"


def careless(vendor: Vendor) -> None:
    """The vendor sends what the official service would not."""
    vendor.judge_sent = lambda _: None  # type: ignore[assignment]


# ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_ids_are_minted_where_server_leaves_them_out() -> None:
    async def script(vendor: Vendor) -> None:
        careless(vendor)
        await vendor.open_session()
        for _ in range(2):
            await vendor.send("input_audio_buffer.speech_started")
            await vendor.send("input_audio_buffer.speech_stopped")
            await vendor.send("input_audio_buffer.committed")
            await vendor.send("conversation.item.input_audio_transcription.completed", transcript="Hello.")
            await vendor.send("response.created", response={})
            await vendor.send(SPOKEN, delta=TENTH)
            await vendor.send("response.output_audio_transcript.done", transcript="Yes?")
            await vendor.send("response.done", response={"status": "completed"})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        events = await rest(session)
    turns = [
        event.item_id
        for event in events
        if isinstance(event, SpeechStarted | SpeechStopped | UserTurnCommitted | UserTranscript)
    ]
    assert len(turns) == 8
    assert (len(set(turns[:4])), len(set(turns[4:])), len(set(turns))) == (1, 1, 2)
    answers = [
        event.response_id
        for event in events
        if isinstance(event, ResponseStarted | AudioReceived | AgentTranscript | ResponseFinished)
    ]
    assert len(answers) == 8
    assert (len(set(answers[:4])), len(set(answers[4:])), len(set(answers))) == (1, 1, 2)
    items = [event.item_id for event in events if isinstance(event, AudioReceived | AgentTranscript)]
    assert (items[0], items[2]) == (items[1], items[3])
    assert items[0] != items[2]


async def test_turn_and_response_that_server_names_late_keep_their_ids() -> None:
    async def script(vendor: Vendor) -> None:
        careless(vendor)
        await vendor.open_session()
        await vendor.send("input_audio_buffer.speech_started")
        await vendor.send("input_audio_buffer.committed", item_id="item_U")
        await vendor.send("conversation.item.input_audio_transcription.completed", item_id="item_U", transcript="Hi.")
        await vendor.send("response.created", response=None)
        await vendor.send(SPOKEN, **ids("resp_1", "item_A"), delta=TENTH)
        assert (await vendor.expect("response.cancel"))["response_id"] == "resp_1"
        await vendor.send("response.done", response={"id": "resp_1", "status": "cancelled"})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        began = await until(session, SpeechStarted)
        assert (await until(session, UserTurnCommitted)).item_id == began.item_id
        assert (await until(session, UserTranscript)).item_id == began.item_id
        started = await until(session, ResponseStarted)
        assert (await until(session, AudioReceived)).response_id == started.response_id
        await session.cancel_response()
        assert (await until(session, ResponseFinished)).response_id == started.response_id


async def test_call_without_id_is_told_once_and_answered() -> None:
    item = {"type": "function_call", "name": "f", "arguments": "{}", "status": "completed"}

    async def script(vendor: Vendor) -> None:
        careless(vendor)
        await vendor.open_session()
        await vendor.response_created("resp_1")
        for named in (item, {**item, "id": "item_F"}):
            await vendor.send("response.output_item.done", response_id="resp_1", item=named)
        await vendor.response_done("resp_1", output=[item, {**item, "id": "item_F"}])
        for _ in range(2):
            await vendor.expect("conversation.item.create")
        await vendor.expect("response.create")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        first, second = await until(session, ToolCallRequested), await until(session, ToolCallRequested)
        assert first.call_id
        assert second.call_id == "item_F"
        await until(session, ResponseFinished)
        await session.send_tool_result(first.call_id, 1)
        await session.send_tool_result(second.call_id, 2)
        assert not [event for event in await rest(session) if isinstance(event, ToolCallRequested)]


# ── parts of an answer ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_each_spoken_part_is_an_item_of_its_own_and_truncated_as_such() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        for index, words in enumerate(["Let me see.", "There is a table at eight."]):
            where = {**ids("resp_1", "item_1"), "content_index": index}
            await vendor.send(SPOKEN, **where, delta=TENTH)
            await vendor.send("response.output_audio_transcript.done", **where, transcript=words)
        await vendor.response_done("resp_1")
        cut = await vendor.expect("conversation.item.truncate")
        assert (cut["item_id"], cut["content_index"], cut["audio_end_ms"]) == ("item_1", 1, 60)
        await vendor.error("unsupported_content_type")
        cut = await vendor.expect("conversation.item.truncate")
        assert (cut["item_id"], cut["content_index"], cut["audio_end_ms"]) == ("item_1", 0, 100)
        await vendor.error(None, "Audio content of 90ms is already shorter than 100ms")
        await vendor.error("invalid_value", "Audio content of 90ms is already shorter than 100ms", param="audio_end_ms")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = [await session.__anext__() for _ in range(7)]
        assert [event.item_id for event in told if isinstance(event, AudioReceived)] == ["item_1", "item_1#1"]
        assert [(event.item_id, event.text) for event in told if isinstance(event, AgentTranscript)] == [
            ("item_1", "Let me see."),
            ("item_1#1", "There is a table at eight."),
        ]
        await session.truncate("item_1#1", heard_ms=60)
        await session.truncate("item_1", heard_ms=500)
        await session.truncate("item_1#2", heard_ms=10)
        with anyio.move_on_after(0.2):
            assert not [event async for event in session if isinstance(event, ErrorReported)]


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_session_ends_when_vendor_says() -> None:
    clock = ManualClock()
    now = clock.wall().timestamp()

    async def script(vendor: Vendor) -> None:
        await vendor.send("session.created", session={**CREATED, "expires_at": int(now) + 1800})
        await vendor.expect("session.update")
        quiet = {name: value for name, value in CREATED.items() if name != "expires_at"}
        await vendor.send("session.updated", session=quiet)
        await vendor.send("session.updated", session=quiet)
        await vendor.send("session.updated", session={**quiet, "expires_at": int(now) + 600})
        await vendor.send("session.updated", session={**quiet, "expires_at": int(now) + 600})

    async with scripted(script, clock=clock) as provider, provider.connect(ProcessConfig()) as session:
        assert session.ending_at == pytest.approx(clock.now() + 1800, abs=1)
        events = await rest(session)
        endings = [event for event in events if isinstance(event, SessionEnding)]
        assert len(endings) == 1
        assert session.ending_at == endings[0].ending_at == pytest.approx(clock.now() + 600, abs=1)


@pytest.mark.parametrize("expires_at", [None, 0, 1_000_000, "soon"])
async def test_session_whose_end_is_not_known(expires_at: Any) -> None:
    async def script(vendor: Vendor) -> None:
        careless(vendor)
        session = {**CREATED, "expires_at": expires_at}
        await vendor.send("session.created", session=session)
        await vendor.expect("session.update")
        await vendor.send("session.updated", session=session)

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        assert session.ending_at is None


def test_only_the_vendor_itself_is_known_to_end_sessions_after_an_hour() -> None:
    assert OpenAIRealtimeProvider(api_key=KEY)._limit == 3600
    assert OpenAIRealtimeProvider(api_key=KEY, base_url="https://example.com/v1")._limit is None


# ── say ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_sentence_is_spoken_while_tools_run_and_not_merged() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        call = await vendor.function_call("resp_1", "call_1", "f", "{}")
        await vendor.response_done("resp_1", output=[call])
        for number, text in enumerate(['They call it "home".', "One moment."]):
            response = (await vendor.expect("response.create"))["response"]
            assert f"<say>{text}</say>" in response["instructions"]
            assert response["tool_choice"] == "none"
            await vendor.response_created(f"resp_s{number}")
            await vendor.response_done(f"resp_s{number}")
        await vendor.expect("conversation.item.create")
        assert "response" not in await vendor.expect("response.create")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ToolCallRequested)
        await until(session, ResponseFinished)
        await session.say('They call it "home".')
        await session.create_response()
        await session.say("One moment.")
        await until(session, ResponseFinished)
        await until(session, ResponseFinished)
        await session.send_tool_result("call_1", "ok")


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Weather:
    temperature: int


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ({"temperature": 17}, '{"temperature":17}'),
        (Weather(17), '{"temperature":17}'),
        (None, "null"),
        ([1, 2.5, True], "[1,2.5,true]"),
        ("as it is", "as it is"),
    ],
)
async def test_tool_result_of_any_kind_is_sent_as_text(result: Any, output: str) -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.function_call("resp_1", "call_1", "f", "{}")
        assert (await vendor.expect("conversation.item.create"))["item"]["output"] == output

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ToolCallRequested)
        await session.send_tool_result("call_1", result)


async def test_tool_result_that_is_not_json_is_refused_and_can_be_sent_anew() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.function_call("resp_1", "call_1", "get_weather", "{}")
        assert (await vendor.expect("conversation.item.create"))["item"]["output"] == "sunny"

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ToolCallRequested)
        with pytest.raises(ToolError, match="get_weather"):
            await session.send_tool_result("call_1", object())
        await session.send_tool_result("call_1", "sunny")
        with pytest.raises(LocalProtocolError):
            await session.send_tool_result("call_1", "rain")


async def connect(provider: OpenAIRealtimeProvider, functions: Sequence[Mapping[str, Any]] = (), **config: Any) -> None:
    """Build the tools and open a session: whoever notices first refuses."""
    async with provider.connect(ProcessConfig(functions=[ToolDefinition(**tool) for tool in functions], **config)):
        pytest.fail("it must not open")


@pytest.mark.parametrize("name", ["check in", "room:book", "größe", "n" * 65, "order.status"])
async def test_tool_name_that_vendor_does_not_take_is_refused_before_anything_is_sent(name: str) -> None:
    provider = OpenAIRealtimeProvider(api_key=KEY, base_url="http://127.0.0.1:1/v1")
    options: list[dict[str, Any]] = [
        {"functions": [{"name": name}]},
        {"extensions": {"openai": {"tools": [{"type": "function", "name": name}]}}},
    ]
    for option in options:
        with pytest.raises(InvalidConfig) as refused:
            await connect(provider, **option)
        assert name[:40] in str(refused.value)


# ── capabilities and failures ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("detection", "able"),
    [
        ({}, {"reports_speech": True, "commit": False, "interrupts_itself": True, "answers_turns": True}),
        ({"create_response": False}, {"reports_speech": True, "commit": False, "answers_turns": False}),
        ({"interrupt_response": False}, {"interrupts_itself": False, "answers_turns": True}),
        (None, {"reports_speech": False, "commit": True, "interrupts_itself": False, "answers_turns": False}),
    ],
)
async def test_echo_decides_what_session_can_do(detection: Mapping[str, Any] | None, able: Mapping[str, bool]) -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.send("session.created", session=CREATED)
        await vendor.expect("session.update")
        await vendor.send(
            "session.updated", session=merged(CREATED, {"audio": {"input": {"turn_detection": detection}}})
        )

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        capabilities = session.capabilities
        assert {name: getattr(capabilities, name) for name in able} == able
        assert capabilities.clear
        assert capabilities.cancel
        assert capabilities.truncate


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "insufficient_quota", "code": "insufficient_quota", "message": "No credit."}, QuotaExceeded),
        ({"type": "insufficient_quota", "message": "No credit."}, QuotaExceeded),
        ({"type": "invalid_request_error", "code": "invalid_api_key", "message": "No."}, AuthFailed),
    ],
)
async def test_failed_response_tells_what_will_not_get_better(error: dict[str, str], kind: type[Any]) -> None:
    async def script(vendor: Vendor) -> None:
        careless(vendor)
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.response_done("resp_1", "failed", status_details={"type": "failed", "error": error})
        await vendor.response_created("resp_2")
        passing = {"type": "server_error", "code": "server_error", "message": "Later."}
        await vendor.response_done("resp_2", "failed", status_details={"type": "failed", "error": passing})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        failed = (await until(session, ResponseFinished)).error
        assert type(failed) is kind
        assert failed.is_permanent
        assert not (await until(session, ResponseFinished)).error.is_permanent


async def test_short_key_is_not_taken_out_of_words() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.error("invalid_value", "a bad value")

    async with scripted(script, api_key="a") as provider, provider.connect(ProcessConfig()) as session:
        assert (await until(session, ErrorReported)).error.message == "a bad value"


def test_new_factory_makes_providers() -> None:
    assert new_factory(api_key=KEY).name() == "openai"


# ── who answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def interrupted_tool(vendor: Vendor) -> None:
    """A tool is called; its result comes while the user speaks."""
    await vendor.open_session()
    await vendor.response_created("resp_1")
    call = await vendor.function_call("resp_1", "call_1", "weather", "{}")
    await vendor.response_done("resp_1", output=[call])
    await vendor.send("input_audio_buffer.speech_started", item_id="item_U", audio_start_ms=0)
    await vendor.expect("conversation.item.create")


async def answer_tool(session: OpenAIRealtimeSession) -> None:
    await until(session, ToolCallRequested)
    await until(session, SpeechStarted)
    await session.send_tool_result("call_1", "rain")


@pytest.mark.parametrize("confirms", [True, False])
async def test_vendors_own_answer_serves_tool_result_that_came_while_user_spoke(confirms: bool) -> None:
    async def script(vendor: Vendor) -> None:
        await interrupted_tool(vendor)
        if confirms:
            item = {"id": "item_R", "type": "function_call_output", "call_id": "call_1", "output": "rain"}
            await vendor.send("conversation.item.added", item=item)
        await vendor.send("input_audio_buffer.speech_stopped", item_id="item_U", audio_end_ms=300)
        await vendor.send("input_audio_buffer.committed", item_id="item_U")
        await vendor.response_created("resp_2")
        await vendor.audio("resp_2", "item_A", bytes(480))
        await vendor.response_done("resp_2")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await answer_tool(session)
        await until(session, ResponseFinished)
        with anyio.move_on_after(0.1):
            await rest(session)


async def test_vendors_own_answer_serves_text_that_program_sent_while_user_spoke() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.send("input_audio_buffer.speech_started", item_id="item_U", audio_start_ms=0)
        await vendor.expect("conversation.item.create")
        await vendor.send("input_audio_buffer.speech_stopped", item_id="item_U", audio_end_ms=300)
        await vendor.send("input_audio_buffer.committed", item_id="item_U")
        await vendor.response_created("resp_1")
        await vendor.response_done("resp_1")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, SpeechStarted)
        await session.send_text("The caller is a member.")
        await until(session, ResponseFinished)
        with anyio.move_on_after(0.1):
            await rest(session)


async def test_turn_detection_that_is_switched_off_while_user_speaks_holds_nothing_back() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.send("input_audio_buffer.speech_started", item_id="item_U", audio_start_ms=0)
        await vendor.expect("conversation.item.create")
        off = merged(CREATED, {"audio": {"input": {"turn_detection": None}}})
        await vendor.send("session.updated", session=off)
        await vendor.expect("response.create")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, SpeechStarted)
        await session.send_text("hello")
        await rest(session)


async def test_event_that_cannot_be_read_does_not_cost_the_connection() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.connection.send('{"code": "NotAnEvent"}')
        await vendor.connection.send("{")
        await vendor.open_session()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await rest(session)


async def test_tool_result_that_vendor_had_not_seen_gets_its_own_answer() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        greeting = {"id": "item_T", "type": "message", "role": "user", "status": "completed"}
        greeting["content"] = [{"type": "input_text", "text": "hello"}]  # type: ignore[assignment]
        await vendor.expect("conversation.item.create")
        await vendor.send("conversation.item.added", item=greeting)
        await vendor.expect("response.create")
        await vendor.response_created("resp_0")
        call = await vendor.function_call("resp_0", "call_1", "weather", "{}")
        await vendor.response_done("resp_0", output=[call])
        await vendor.send("input_audio_buffer.speech_started", item_id="item_U", audio_start_ms=0)
        await vendor.send("input_audio_buffer.speech_stopped", item_id="item_U", audio_end_ms=300)
        await vendor.send("input_audio_buffer.committed", item_id="item_U")
        await vendor.expect("conversation.item.create")
        await vendor.response_created("resp_1")
        item = {"id": "item_R", "type": "function_call_output", "call_id": "call_1", "output": "rain"}
        await vendor.send("conversation.item.added", item=item)
        await vendor.response_done("resp_1")
        await vendor.expect("response.create")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await session.send_text("hello")
        await until(session, UserTurnCommitted)
        await session.send_tool_result("call_1", "rain")
        await rest(session)


async def test_vendor_that_does_not_answer_turns_is_asked_when_user_stops() -> None:
    async def script(vendor: Vendor) -> None:
        async def open_quietly() -> dict[str, Any]:
            await vendor.send("session.created", session=CREATED)
            await vendor.expect("session.update")
            off = {"audio": {"input": {"turn_detection": {"create_response": False}}}}
            await vendor.send("session.updated", session=merged(CREATED, off))
            return {}

        vendor.open_session = open_quietly  # type: ignore[method-assign]
        await interrupted_tool(vendor)
        await vendor.send("input_audio_buffer.speech_stopped", item_id="item_U", audio_end_ms=300)
        await vendor.expect("response.create")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await answer_tool(session)
        await rest(session)


async def test_vendor_that_answers_nothing_is_asked_after_a_while() -> None:
    async def script(vendor: Vendor) -> None:
        await interrupted_tool(vendor)
        await vendor.send("input_audio_buffer.speech_stopped", item_id="item_U", audio_end_ms=300)
        await vendor.expect("response.create")

    async with (
        scripted(script, clock=ScaledClock(50), connect_timeout=200.0) as provider,
        provider.connect(ProcessConfig()) as session,
    ):
        await answer_tool(session)
        await rest(session)


async def test_commands_after_the_end_raise() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await rest(session)
        for command in (session.say("x"), session.truncate("i", heard_ms=1), session.send_tool_result("c", 1)):
            with pytest.raises(SessionClosed):
                await command
