"""Servers that are not OpenAI's own: the older dialect, mixtures of both, and Azure."""

import base64
from typing import Any

import pytest

from tests.realtime.scripted_vendor import BETA_CREATED, CREATED, KEY, BetaVendor, Vendor, merged, rest, scripted, until
from trunkline.errors import InvalidConfig
from trunkline.realtime.config import RealtimeConfig
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionReady,
    SpeechStarted,
    ToolCallRequested,
    Usage,
    UserTranscript,
)
from trunkline.realtime.openai import OpenAIRealtimeProvider
from trunkline.realtime.provider import ProcessConfig
from trunkline.tools.definition import ToolDefinition
from trunkline.wire.realtime.openai.session import PCM, PCMA, PCMU

pytestmark = pytest.mark.anyio

PREVIEW = "gpt-4o-realtime-preview-2024-12-17"


@pytest.mark.parametrize("dialect", ["beta", None])
async def test_a_turn_in_the_older_dialect(dialect: str | None) -> None:
    async def script(vendor: BetaVendor) -> None:
        assert vendor.request.headers.get("openai-beta") == ("realtime=v1" if dialect else None)
        wanted = await vendor.open_session()
        assert (wanted["modalities"], wanted["voice"]) == (["audio", "text"], "alloy")
        assert (wanted["input_audio_format"], wanted["output_audio_format"]) == ("g711_ulaw", "g711_alaw")
        assert [tool["name"] for tool in wanted["tools"]] == ["hang_up"]
        assert base64.b64decode((await vendor.expect("input_audio_buffer.append"))["audio"]) == b"\xff" * 160
        await vendor.send("input_audio_buffer.speech_started", audio_start_ms=20, item_id="item_U")
        await vendor.response_created("resp_1")
        where = {"response_id": "resp_1", "item_id": "item_A", "output_index": 0, "content_index": 0}
        await vendor.send("response.audio_transcript.delta", **where, delta="Hi")
        await vendor.send("response.audio.delta", **where, delta=base64.b64encode(b"\xd5" * 160).decode())
        await vendor.send("response.audio.done", **where)
        await vendor.send("response.audio_transcript.done", **where, transcript="Hi.")
        kind = "conversation.item.input_audio_transcription.completed"
        usage = {"type": "duration", "seconds": 1}
        await vendor.send(kind, item_id="item_U", content_index=0, transcript="Hello.", usage=usage)
        call = {"response_id": "resp_1", "item_id": "item_F", "output_index": 1, "call_id": "call_1"}
        item = {"id": "item_F", "type": "function_call", "call_id": "call_1", "name": "hang_up", "arguments": ""}
        await vendor.send("response.output_item.added", response_id="resp_1", output_index=1, item=item)
        await vendor.send("conversation.item.created", previous_item_id="item_A", item=item)
        # Without a name, as the early snapshots sent it.
        await vendor.send("response.function_call_arguments.done", **call, arguments="{}")
        await vendor.response_done("resp_1")
        result = (await vendor.expect("conversation.item.create"))["item"]
        assert result == {"type": "function_call_output", "call_id": "call_1", "output": "ok"}
        await vendor.expect("response.create")
        assert (await vendor.expect("session.update"))["session"] == {"instructions": "Be brief."}

    config = ProcessConfig(input_format=PCMU, output_format=PCMA, functions=[ToolDefinition("hang_up")], voice="alloy")
    options: dict[str, Any] = {"kind": BetaVendor, "dialect": dialect, "model": PREVIEW}
    async with scripted(script, **options) as provider, provider.connect(config) as session:
        await session.send_audio(b"\xff" * 160)
        assert await session.__anext__() == SessionReady("sess_1", PCMU, PCMA, PREVIEW)
        told = [await session.__anext__() for _ in range(8)]
        await session.send_tool_result("call_1", "ok")
        await session.update_instructions("Be brief.")
        assert await rest(session) == [SessionEnded("closed_by_vendor")]
    assert told == [
        SpeechStarted("item_U", 20),
        ResponseStarted("resp_1"),
        AgentTranscript("Hi", False, "item_A", "resp_1"),
        AudioReceived(b"\xd5" * 160, "item_A", "resp_1"),
        AgentTranscript("Hi.", True, "item_A", "resp_1"),
        UserTranscript("Hello.", True, "item_U"),
        ToolCallRequested("call_1", "hang_up", "{}", "resp_1"),
        ResponseFinished("resp_1", "completed", "", Usage(2, 3, 5)),
    ]


async def test_a_configured_dialect_is_not_overruled() -> None:
    async def script(vendor: Vendor) -> None:
        vendor.judge_sent = lambda _: None  # type: ignore[assignment]
        await vendor.send("session.created", session=BETA_CREATED)
        assert (await vendor.expect("session.update"))["session"]["type"] == "realtime"
        await vendor.send("session.updated", session=CREATED)

    async with scripted(script, dialect="ga") as provider, provider.connect(ProcessConfig()):
        pass


async def test_temperature_exists_in_the_older_dialect() -> None:
    async def script(vendor: BetaVendor) -> None:
        assert (await vendor.open_session())["temperature"] == 0.7

    async with scripted(script, kind=BetaVendor, dialect="beta", temperature=1.0) as provider:
        async with provider.connect(ProcessConfig(temperature=0.7)):
            pass
        with pytest.raises(InvalidConfig, match=r"session\.temperature: must be greater than or equal to 0\.6"):
            async with provider.connect(ProcessConfig(temperature=0.2)):
                pytest.fail("it must not open")
        factory = provider.factory(dialect="beta")
        assert factory.create(RealtimeConfig(api_key=KEY, temperature=0.8)).name == "openai"


def test_what_the_older_dialect_does_not_have_is_refused_at_once() -> None:
    with pytest.raises(InvalidConfig, match=r"session\.truncation: the older dialect has no such field"):
        OpenAIRealtimeProvider(api_key=KEY, dialect="beta", truncation="auto")


async def test_and_where_only_the_server_said_which_it_is() -> None:
    async def script(vendor: BetaVendor) -> None:
        await vendor.send("session.created", session=BETA_CREATED)
        await vendor.expect_nothing()

    async with scripted(script, kind=BetaVendor, truncation="auto") as provider:
        with pytest.raises(InvalidConfig, match=r"session\.truncation"):
            async with provider.connect(ProcessConfig()):
                pytest.fail("it must not open")


async def test_one_answers_options_are_refused_where_they_are_said() -> None:
    async def script(vendor: BetaVendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.response_done("resp_1")
        assert (await vendor.expect("response.create"))["response"] == {"modalities": ["text"]}

    async with scripted(script, kind=BetaVendor) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ResponseStarted)
        with pytest.raises(InvalidConfig, match=r"response\.reasoning"):
            await session.create_response(options={"reasoning": {"effort": "low"}})
        await session.create_response(options={"output_modalities": ["text"]})
        await until(session, ResponseFinished)


async def test_a_dialect_once_chosen_stays_whatever_a_later_echo_looks_like() -> None:
    async def script(vendor: BetaVendor) -> None:
        vendor.judge_sent = lambda _: None  # type: ignore[assignment]
        await vendor.open_session()
        await vendor.send("session.updated", session=CREATED)
        await vendor.response_created("resp_1")

    async with scripted(script, kind=BetaVendor) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ResponseStarted)
        with pytest.raises(InvalidConfig, match=r"response\.reasoning"):
            await session.create_response(options={"reasoning": {"effort": "low"}})


def test_an_unknown_dialect() -> None:
    with pytest.raises(InvalidConfig, match="dialect"):
        OpenAIRealtimeProvider(api_key=KEY, dialect="alpha")  # type: ignore[arg-type]


async def test_a_mixture_of_both() -> None:
    """As xAI and Azure Voice Live speak: present names, partly flat sessions, pings of their own, odd details."""

    async def script(vendor: Vendor) -> None:
        vendor.judge_sent = lambda _: None  # type: ignore[assignment]
        await vendor.send("conversation.created", conversation={"id": "conv_1"})
        await vendor.send("ping", timestamp=1)
        flat = {"type": "realtime", "input_audio_format": "g711_ulaw", "turn_detection": {"type": "server_vad"}}
        await vendor.send("session.created", session=flat)
        assert (await vendor.expect("session.update"))["session"]["type"] == "realtime"
        await vendor.send("session.updated", session=flat)
        interim = "conversation.item.input_audio_transcription.completed"
        await vendor.send(interim, status="in_progress", item_id="item_U", transcript="He")
        await vendor.send(interim, status="completed", item_id="item_U", transcript="Hello.")
        await vendor.send("response.created", response={})
        await vendor.send("response.output_audio.delta", delta="AAA=")
        await vendor.send("response.done", response={"status": "completed", "status_details": "completed"})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = await rest(session)
    assert isinstance(told[0], SessionReady)
    session_id = told[0].session_id
    assert session_id.startswith("session-")
    assert told == [
        SessionReady(session_id, PCMU, PCM),
        UserTranscript("Hello.", True, "item_U"),
        ResponseStarted("response-1"),
        AudioReceived(b"\x00\x00", "response-1-item", "response-1"),
        ResponseFinished("response-1", "completed", "completed"),
        SessionEnded("closed_by_vendor"),
    ]


async def test_azure() -> None:
    async def script(vendor: Vendor) -> None:
        request = vendor.request
        assert (request.path, request.query) == ("/openai/v1/realtime", "model=my-deployment")
        assert request.headers.get("api-key") == KEY
        assert request.headers.get("authorization") is None
        await vendor.open_session()

    async with scripted(script) as local:
        address = local._base_url.removesuffix("/v1")
        provider = OpenAIRealtimeProvider.azure(address, deployment="my-deployment", api_key=KEY, voice="cedar")
        async with provider.connect(ProcessConfig()) as session:
            assert session.output_format == PCM


def test_azure_by_the_name_of_the_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    provider = OpenAIRealtimeProvider.azure("my-shop", deployment="voice")
    assert provider._url == "wss://my-shop.openai.azure.com/openai/v1/realtime?model=voice"
    assert KEY not in repr(provider)
    with pytest.raises(InvalidConfig, match="resource"):
        OpenAIRealtimeProvider.azure("my shop", deployment="voice")
    monkeypatch.delenv("AZURE_OPENAI_API_KEY")
    with pytest.raises(InvalidConfig, match="AZURE_OPENAI_API_KEY"):
        OpenAIRealtimeProvider.azure("my-shop", deployment="voice")


async def test_a_key_in_a_header_of_another_name() -> None:
    async def script(vendor: Vendor) -> None:
        assert vendor.request.headers.get("x-key") == KEY
        await vendor.open_session()

    async with scripted(script, api_key_header="X-Key") as provider, provider.connect(ProcessConfig()):
        pass


async def test_the_echo_decides_what_a_session_can_do() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.send("session.created", session=CREATED)
        await vendor.expect("session.update")
        off = merged(CREATED, {"audio": {"input": {"turn_detection": None}}})
        await vendor.send("session.updated", session=off)

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        assert session.capabilities.commit
        assert not session.capabilities.interrupts_itself
