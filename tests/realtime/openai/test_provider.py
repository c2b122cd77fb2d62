"""Connecting to OpenAI Realtime: what is asked for, and every way it can be refused."""

import json
import logging
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.realtime.scripted_vendor import CREATED, KEY, Vendor, merged, refusing, scripted
from trunkline.clock import ManualClock
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    HandshakeRejected,
    InvalidConfig,
    ModelUnavailable,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from trunkline.realtime.config import RealtimeConfig, VADMode
from trunkline.realtime.events import AgentTranscript, SessionEnded, SessionReady
from trunkline.realtime.openai import OpenAIRealtimeProvider, SemanticVad, ServerVad
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing import OpenAIRealtimeSimulator, ScriptedBrain
from trunkline.tools.definition import ToolDefinition
from trunkline.transport import Response
from trunkline.wire.realtime.openai.session import PCM, PCMA, PCMU

BODY = {
    "error": {
        "message": f"Incorrect API key provided: {KEY}.",
        "type": "invalid_request_error",
        "code": "invalid_api_key",
    }
}


async def _wanted(config: ProcessConfig, **options: Any) -> dict[str, Any]:
    """The session that a provider asks the vendor for."""
    asked: list[dict[str, Any]] = []

    async def script(vendor: Vendor) -> None:
        asked.append(await vendor.open_session())

    async with scripted(script, **options) as provider, provider.connect(config):
        pass
    return asked[0]


async def test_the_request_for_a_connection() -> None:
    async def script(vendor: Vendor) -> None:
        request = vendor.request
        assert (request.path, request.query) == ("/v1/realtime", "model=my%20model%2F1")
        assert request.headers.get("authorization") == f"Bearer {KEY}"
        assert request.headers.get("openai-organization") == "org_1"
        assert request.headers.get("openai-project") == "proj_1"
        assert request.headers.get("openai-beta") is None
        assert request.headers.get("sec-websocket-extensions") is None
        await vendor.open_session()

    options: dict[str, Any] = {"model": "my model/1", "organization": "org_1", "project": "proj_1"}
    async with scripted(script, **options) as provider, provider.connect(ProcessConfig()):
        pass


async def test_the_session_that_is_asked_for() -> None:
    assert await _wanted(ProcessConfig()) == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-realtime-whisper"},
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin"},
        },
    }


async def test_what_a_session_says_goes_before_what_the_provider_was_built_with() -> None:
    options = {"instructions": "Be long.", "voice": "cedar", "turn_detection": None, "max_output_tokens": 99}
    built = await _wanted(ProcessConfig(), **options)
    assert (built["instructions"], built["audio"]["output"]["voice"]) == ("Be long.", "cedar")
    assert (built["audio"]["input"]["turn_detection"], built["max_output_tokens"]) == (None, 99)
    config = ProcessConfig(instructions="", voice="alloy", functions=[ToolDefinition("hang_up")])
    said = await _wanted(config, **options)
    assert (said["instructions"], said["audio"]["output"]["voice"]) == ("", "alloy")
    assert [tool["name"] for tool in said["tools"]] == ["hang_up"]


async def test_extensions_reach_the_wire_as_they_are() -> None:
    extension = {
        "tool_choice": "none",
        "audio": {
            "input": {
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
                "transcription": {"language": "en"},
            },
            "output": {"speed": 1.2},
        },
    }
    wanted = await _wanted(ProcessConfig(extensions={"openai": extension, "gemini": {"nonsense": 1}}))
    assert wanted["tool_choice"] == "none"
    assert wanted["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
    assert wanted["audio"]["input"]["turn_detection"] == {"type": "semantic_vad", "eagerness": "low"}
    assert wanted["audio"]["input"]["transcription"] == {"model": "gpt-realtime-whisper", "language": "en"}
    assert wanted["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "marin", "speed": 1.2}
    assert "nonsense" not in wanted


async def test_the_formats_are_those_of_the_echo() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.send("session.created", session=CREATED)
        wanted = (await vendor.expect("session.update"))["session"]
        assert wanted["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        await vendor.connection.send('{"type":"ping"}')
        formats = {"audio": {"output": {"format": {"type": "audio/pcma"}}}}
        await vendor.send("session.updated", session=merged(CREATED, formats))

    config = ProcessConfig(input_format=PCMU, output_format=PCMU)
    async with scripted(script) as provider, provider.connect(config) as session:
        assert await session.__anext__() == SessionReady("sess_1", PCM, PCMA, "gpt-realtime-2.1")


async def test_words_of_the_model_are_left_out_on_request() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("r")
        where = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
        await vendor.send("response.output_audio_transcript.delta", **where, delta="Hi")
        await vendor.send("response.output_audio_transcript.done", **where, transcript="Hi")

    async with scripted(script, transcribe_output=False) as provider, provider.connect(ProcessConfig()) as session:
        told = [event async for event in session]
    assert not [event for event in told if isinstance(event, AgentTranscript)]
    assert told[-1] == SessionEnded("closed_by_vendor")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthFailed), (403, AuthFailed), (404, ModelUnavailable), (429, RateLimited), (503, ProviderUnavailable)],
)
async def test_refused_with_a_status(status: int, kind: type[ProviderError]) -> None:
    headers = [("Retry-After", "7")]
    async with refusing(Response(status, "the vendor's words", headers=headers)) as provider:
        with pytest.raises(kind) as caught:
            async with provider.connect(ProcessConfig()):
                pytest.fail("it must not open")
    assert caught.value.code == str(status)
    assert caught.value.retry_after == 7
    assert isinstance(caught.value.__cause__, HandshakeRejected)


async def test_refused_with_a_status_and_the_vendors_words_without_the_key() -> None:
    async with refusing(Response(401, json.dumps(BODY), media_type="application/json")) as provider:
        with pytest.raises(AuthFailed) as caught:
            async with provider.connect(ProcessConfig()):
                pytest.fail("it must not open")
    assert caught.value.code == "invalid_api_key"
    assert "Incorrect API key" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize(
    ("code", "close", "kind"),
    [
        ("invalid_api_key", 3000, AuthFailed),
        ("invalid_model", 4000, ModelUnavailable),
        ("beta_api_shape_disabled", 4000, RequestRejected),
    ],
)
async def test_refused_with_an_error_and_a_close(code: str, close: int, kind: type[ProviderError], heard: bool) -> None:
    async def script(vendor: Vendor) -> None:
        if heard:
            await vendor.error(code, f"You sent {KEY}")
        await vendor.connection.aclose(close, f"invalid_request_error.{code}")

    async with scripted(script) as provider:
        with pytest.raises(kind) as caught:
            async with provider.connect(ProcessConfig()):
                pytest.fail("it must not open")
    assert caught.value.code == code
    assert KEY not in str(caught.value)


async def test_a_refused_setting_is_the_vendors_own_sentence() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.send("session.created", session=CREATED)
        await vendor.expect("session.update")
        await vendor.error("invalid_value", "Invalid value: 'bob'. Supported values are: 'alloy'.")
        await vendor.expect_nothing()

    async with scripted(script) as provider:
        with pytest.raises(RequestRejected, match="Invalid value: 'bob'"):
            async with provider.connect(ProcessConfig(voice="bob")):
                pytest.fail("it must not open")


async def test_closed_or_dead_before_the_session_is_ready() -> None:
    async def closes(vendor: Vendor) -> None:
        await vendor.send("session.created", session=CREATED)

    async def dies(vendor: Vendor) -> None:
        await vendor.die()

    async def talks_nonsense(vendor: Vendor) -> None:
        await vendor.connection.send("nonsense")

    for script in (closes, dies, talks_nonsense):
        async with scripted(script) as provider:
            with pytest.raises(ConnectionFailed):
                async with provider.connect(ProcessConfig()):
                    pytest.fail("it must not open")


async def test_nobody_there() -> None:
    async with refusing(Response(200)) as provider:
        pass
    with pytest.raises(ConnectionFailed):
        async with provider.connect(ProcessConfig()):
            pytest.fail("it must not open")


async def test_one_deadline_for_everything() -> None:
    clock = ManualClock()
    asked = anyio.Event()
    done = anyio.Event()

    async def script(vendor: Vendor) -> None:
        await vendor.send("session.created", session=CREATED)
        await vendor.expect("session.update")
        asked.set()
        await vendor.expect_nothing()

    async def connect(provider: OpenAIRealtimeProvider) -> None:
        with pytest.raises(ConnectionFailed, match="within 3 s"):
            async with provider.connect(ProcessConfig()):
                pytest.fail("it must not open")
        done.set()

    async with (
        scripted(script, clock=clock, connect_timeout=3.0) as provider,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(connect, provider)
        await asked.wait()
        await clock.advance(2.9)
        assert not done.is_set()
        await clock.advance(0.2)
        with anyio.fail_after(5):
            while not done.is_set():
                await clock.advance(1.0)


async def test_cancelling_while_connecting_leaves_nothing_behind() -> None:
    asked = anyio.Event()

    async def script(vendor: Vendor) -> None:
        await vendor.send("session.created", session=CREATED)
        await vendor.expect("session.update")
        asked.set()
        await vendor.expect_nothing()

    async def connect(provider: OpenAIRealtimeProvider) -> None:
        async with provider.connect(ProcessConfig()):
            pytest.fail("it must not open")

    async with scripted(script) as provider, anyio.create_task_group() as tasks:
        tasks.start_soon(connect, provider)
        await asked.wait()
        tasks.cancel_scope.cancel()


async def test_temperature_is_refused_with_a_sentence() -> None:
    provider = OpenAIRealtimeProvider(api_key=KEY)
    with pytest.raises(InvalidConfig, match="temperature: OpenAI's Realtime protocol has no such field"):
        async with provider.connect(ProcessConfig(temperature=0.8)):
            pytest.fail("it must not open")
    with pytest.raises(InvalidConfig, match="temperature"):
        provider.factory().create(RealtimeConfig(api_key=KEY, temperature=0.8))
    with pytest.raises(InvalidConfig, match="extensions"):
        async with provider.connect(ProcessConfig(extensions={"openai": "x"})):
            pytest.fail("it must not open")


def test_the_key_is_never_shown(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    provider = OpenAIRealtimeProvider()
    assert repr(provider) == (
        "OpenAIRealtimeProvider(model='gpt-realtime-2.1', voice='marin', base_url='https://api.openai.com/v1')"
    )
    assert KEY not in repr(RealtimeConfig(api_key=KEY))
    with pytest.raises(InvalidConfig) as caught:
        OpenAIRealtimeProvider(api_key=f"{KEY}\r\nX: y")
    assert KEY not in str(caught.value)
    assert KEY not in caplog.text


def test_without_a_key_there_is_no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InvalidConfig, match="OPENAI_API_KEY"):
        OpenAIRealtimeProvider()


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.openai.com/v1",
        "ws://10.0.0.1/v1",
        "ftp://127.0.0.1/v1",
        "api.openai.com",
        "https://u:p@host/v1",
        "https://h/?a=b",
    ],
)
def test_addresses_that_are_refused(base_url: str) -> None:
    with pytest.raises(InvalidConfig, match="base_url"):
        OpenAIRealtimeProvider(api_key=KEY, base_url=base_url)


@pytest.mark.parametrize(
    "base_url", ["http://localhost:1/v1", "ws://127.0.0.2:1/v1/", "http://[::1]:1", "wss://host/v1"]
)
def test_addresses_that_are_taken(base_url: str) -> None:
    assert OpenAIRealtimeProvider(api_key=KEY, base_url=base_url).name == "openai"


def test_what_the_vendor_can_do() -> None:
    capabilities = OpenAIRealtimeProvider(api_key=KEY).capabilities
    assert (capabilities.input_rate, capabilities.output_rate) == (24_000, 24_000)
    assert capabilities.native_formats == (PCMU, PCMA)
    assert capabilities.truncate
    assert capabilities.cancel
    assert capabilities.commit
    assert capabilities.interrupts_itself


@pytest.mark.parametrize("tokens", [0, 4097])
def test_a_token_limit_beyond_the_vendors_is_refused(tokens: int) -> None:
    with pytest.raises(InvalidConfig, match="max_output_tokens"):
        OpenAIRealtimeProvider(api_key=KEY, max_output_tokens=tokens)


async def test_a_factory_makes_what_the_configuration_says() -> None:
    async def script(vendor: Vendor) -> None:
        wanted = await vendor.open_session()
        assert vendor.request.query == "model=gpt-realtime-mini"
        assert wanted["instructions"] == "Be brief."
        assert wanted["audio"]["output"]["voice"] == "alloy"
        assert wanted["audio"]["input"]["transcription"] is None
        assert wanted["audio"]["input"]["turn_detection"]["threshold"] == 0.7
        assert wanted["max_output_tokens"] == 100

    async with scripted(script) as provider:
        factory = provider.factory(base_url=provider._base_url, voice="cedar")
        assert factory.name() == "openai"
        config = RealtimeConfig(
            provider="openai",
            api_key=KEY,
            model="gpt-realtime-mini",
            voice="alloy",
            instructions="Be brief.",
            vad_threshold=0.7,
            max_tokens=100,
            transcribe_input=False,
        )
        async with factory.create(config).connect(config.to_process_config()):
            pass


@pytest.mark.parametrize("mode", [VADMode.MANUAL, VADMode.DISABLED])
async def test_a_factory_switches_turn_detection_off(mode: VADMode) -> None:
    async def script(vendor: Vendor) -> None:
        assert (await vendor.open_session())["audio"]["input"]["turn_detection"] is None

    async with scripted(script) as provider:
        config = RealtimeConfig(api_key=KEY, vad_mode=mode)
        made = provider.factory(base_url=provider._base_url).create(config)
        async with made.connect(config.to_process_config()):
            pass


def test_a_factory_is_for_one_vendor() -> None:
    with pytest.raises(InvalidConfig, match="'gemini'"):
        OpenAIRealtimeProvider.factory().create(RealtimeConfig(provider="gemini", api_key=KEY))


def test_turn_detection_types_are_part_of_the_providers_names() -> None:
    assert ServerVad().silence_duration_ms == 500
    assert SemanticVad().eagerness == "auto"


async def test_what_is_said_can_be_recorded_without_the_key(tmp_path: Path) -> None:
    path = tmp_path / "call.jsonl"
    key = "sk-very-secret-0123456789"
    async with OpenAIRealtimeSimulator(brain=ScriptedBrain()) as vendor:
        provider = OpenAIRealtimeProvider(api_key=key, base_url=vendor.url, record=path)
        async with provider.connect(ProcessConfig(instructions=f"Never say {key}.")):
            pass
    told = await anyio.Path(path).read_text()
    assert "session.created" in told
    assert "session.update" in told
    assert key not in told
