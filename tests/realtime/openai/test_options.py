"""Whose word holds: the constructor's, the session's, the one answer's; and what is refused."""

import itertools
from typing import Any

import pytest

from tests.realtime.scripted_vendor import CREATED, KEY, Vendor, merged, rest, scripted, until
from trunkline.errors import InvalidConfig, LocalProtocolError, RequestRejected
from trunkline.realtime.events import ErrorReported, ResponseFinished, ResponseStarted, SessionReady, UserTurnCommitted
from trunkline.realtime.openai import OpenAIRealtimeProvider, SemanticVad, ServerVad, Transcription
from trunkline.realtime.provider import ProcessConfig
from trunkline.tools.definition import ToolDefinition

pytestmark = pytest.mark.anyio

HANG_UP = ToolDefinition("hang_up")


async def wanted(config: ProcessConfig, **options: Any) -> dict[str, Any]:
    """The session that a provider asks the vendor for."""
    asked: list[dict[str, Any]] = []

    async def script(vendor: Vendor) -> None:
        asked.append(await vendor.open_session())

    async with scripted(script, **options) as provider, provider.connect(config):
        pass
    return asked[0]


async def test_constructor_then_session_then_extension() -> None:
    options: dict[str, Any] = {"voice": "cedar", "instructions": "One.", "speed": 0.9, "tool_choice": "none"}
    assert (await wanted(ProcessConfig(), **options))["instructions"] == "One."
    config = ProcessConfig(instructions="Two.", voice="alloy")
    said = await wanted(config, **options)
    assert (said["instructions"], said["audio"]["output"]["voice"], said["tool_choice"]) == ("Two.", "alloy", "none")
    extension = {"instructions": "Three.", "audio": {"output": {"voice": {"id": "voice_1"}}}, "tool_choice": "auto"}
    said = await wanted(ProcessConfig(instructions="Two.", voice="alloy", extensions={"openai": extension}), **options)
    assert (said["instructions"], said["tool_choice"]) == ("Three.", "auto")
    assert said["audio"]["output"]["voice"] == {"id": "voice_1"}
    assert said["audio"]["output"]["speed"] == 0.9


async def test_what_one_answer_says_goes_before_all() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        first = await vendor.expect("response.create")
        assert first["response"] == {"instructions": "Only now.", "output_modalities": ["text"], "tool_choice": "none"}
        await vendor.response_created("resp_1")
        await vendor.response_done("resp_1")
        assert (await vendor.expect("response.create"))["response"] == {"max_output_tokens": 5}
        await vendor.response_created("resp_2")
        await vendor.response_done("resp_2")
        assert "response" not in await vendor.expect("response.create")

    async with scripted(script) as provider, provider.connect(ProcessConfig(instructions="Always.")) as session:
        options = {"output_modalities": ["text"], "instructions": "Nobody's.", "tool_choice": "none"}
        await session.create_response("Only now.", options=options)
        await session.create_response(options={"max_output_tokens": 5})
        await session.create_response()
        await session.create_response(options={})
        await until(session, ResponseFinished)
        await until(session, ResponseFinished)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"temperature": 0.8}, "temperature"),
        ({"voize": "marin"}, "voize"),
        ({"speed": 1.6}, "session.audio.output.speed"),
        ({"noise_reduction": "loud"}, "session.audio.input.noise_reduction.type"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"reasoning_effort": "some"}, "session.reasoning.effort"),
        ({"truncation": "never"}, "session.truncation"),
        ({"turn_detection": "server_vad"}, "turn_detection"),
        ({"voice": ""}, "session.audio.output.voice"),
        ({"include": ["all"]}, "session.include[0]"),
    ],
)
def test_the_constructor_names_what_it_refuses(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        OpenAIRealtimeProvider(api_key=KEY, **options)
    assert caught.value.field == named


@pytest.mark.parametrize(
    ("extension", "named"),
    [
        ({"nonsense": 1}, "session.nonsense"),
        ({"audio": {"output": {"pitch": 1}}}, "session.audio.output.pitch"),
        ({"audio": 1}, "session.audio"),
        ({"audio": {"input": {"turn_detection": {"thresold": 1}}}}, "session.audio.input.turn_detection.thresold"),
        ({"type": "transcription"}, "session.type"),
        ({"tools": 5}, "session.tools"),
        ({"temperature": 0.8}, "session.temperature"),
    ],
)
async def test_an_extension_with_an_unknown_field_is_refused_before_anything_is_sent(
    extension: dict[str, Any], named: str
) -> None:
    provider = OpenAIRealtimeProvider(api_key=KEY, base_url="http://127.0.0.1:1/v1")
    with pytest.raises(InvalidConfig) as caught:
        async with provider.connect(ProcessConfig(extensions={"openai": extension})):
            pytest.fail("it must not open")
    assert caught.value.field == named


async def test_tools_of_an_extension_are_added_to_the_functions() -> None:
    server = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.test"}
    config = ProcessConfig(functions=[HANG_UP], extensions={"openai": {"tools": [server]}})
    assert [tool["type"] for tool in (await wanted(config))["tools"]] == ["function", "mcp"]


@pytest.mark.parametrize("detection", [ServerVad(), SemanticVad()])
async def test_an_answer_that_must_not_be_interrupted(detection: Any) -> None:
    extension = {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
    config = ProcessConfig(allow_interruption=False, extensions={"openai": extension})
    asked = await wanted(config, turn_detection=detection)
    assert asked["audio"]["input"]["turn_detection"]["interrupt_response"] is False
    assert extension == {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}, "it is the caller's"


async def test_interruption_is_what_the_echo_says() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()

    async with scripted(script) as provider, provider.connect(ProcessConfig(allow_interruption=False)) as session:
        assert not session.capabilities.interrupts_itself


async def test_commit_stay_manual() -> None:
    config = ProcessConfig(allow_interruption=False)
    assert (await wanted(config, turn_detection=None))["audio"]["input"]["turn_detection"] is None


async def test_a_turn_cannot_be_committed_while_the_vendor_does_it() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        assert not session.capabilities.commit
        with pytest.raises(LocalProtocolError, match="turn_detection=None"):
            await session.commit_audio()


async def test_a_committed_turn_has_its_place_before_its_words() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.expect("input_audio_buffer.commit")
        await vendor.send("input_audio_buffer.committed", previous_item_id="item_A", item_id="item_U")

    async with scripted(script, turn_detection=None) as provider, provider.connect(ProcessConfig()) as session:
        assert session.capabilities.commit
        await session.commit_audio()
        assert await until(session, UserTurnCommitted) == UserTurnCommitted("item_U")


async def test_an_update_shows_once_the_vendor_has_taken_it() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        first = (await vendor.expect("session.update"))["session"]
        assert first == {"type": "realtime", "instructions": "Be kind."}
        await vendor.response_created("resp_1")
        await vendor.send("session.updated", session=merged(CREATED, first))
        second = (await vendor.expect("session.update"))["session"]
        assert second == {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        await vendor.send("session.updated", session=merged(merged(CREATED, first), second))
        await vendor.response_done("resp_1")
        await vendor.expect("session.update")
        await vendor.error("cannot_update_voice", "Cannot update a conversation's voice if assistant audio is present.")

    async with scripted(script) as provider, provider.connect(ProcessConfig(instructions="Be brief.")) as session:
        assert session.instructions == "Be brief."
        await until(session, SessionReady)
        await session.update_instructions("Be kind.")
        await until(session, ResponseStarted)
        assert session.instructions == "Be brief.", "not taken yet"
        await session.update_session({"audio": {"input": {"turn_detection": None}}})
        await until(session, ResponseFinished)
        assert session.instructions == "Be kind."
        assert session.capabilities.commit
        await session.update_session({"audio": {"output": {"voice": "alloy"}}})
        error = (await until(session, ErrorReported)).error
        assert isinstance(error, RequestRejected)
        assert (error.code, error.request_id) == ("cannot_update_voice", "event_8")


async def test_what_cannot_change_in_a_session_is_refused() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        for side in ("input", "output"):
            change = {"audio": {side: {"format": {"type": "audio/pcmu"}}}}
            with pytest.raises(InvalidConfig, match="settled when connecting"):
                await session.update_session(change)
        with pytest.raises(InvalidConfig, match="settled when connecting"):
            await session.create_response(options={"audio": {"output": {"format": {"type": "audio/pcmu"}}}})
        with pytest.raises(InvalidConfig, match=r"session\.colour"):
            await session.update_session({"colour": "red"})


async def test_answers_in_text_alone() -> None:
    said = await wanted(ProcessConfig(), output_modalities=["text"])
    assert said["output_modalities"] == ["text"]


async def test_who_asks_is_told_in_headers() -> None:
    async def script(vendor: Vendor) -> None:
        assert vendor.request.headers.get("openai-safety-identifier") == "caller-1"
        await vendor.open_session()

    async with scripted(script, safety_identifier="caller-1") as provider, provider.connect(ProcessConfig()):
        pass


async def test_whatever_the_options_every_event_is_what_the_sdk_knows() -> None:
    detections = [None, ServerVad(idle_timeout_ms=5000), SemanticVad(eagerness="high")]
    transcriptions = [None, Transcription(language="en", prompt="pizza")]
    modalities = [("audio",), ("text",)]

    async def script(vendor: Vendor) -> None:
        detects = (await vendor.open_session())["audio"]["input"]["turn_detection"] is not None
        kinds = ["input_audio_buffer.append", "conversation.item.create", "response.create"]
        kinds += ["input_audio_buffer.clear", "response.cancel", "session.update"]
        for kind in kinds if detects else [*kinds, "input_audio_buffer.commit"]:
            await vendor.expect(kind)  # which judges it

    for detection, transcription, wished in itertools.product(detections, transcriptions, modalities):
        options: dict[str, Any] = {
            "turn_detection": detection,
            "transcription": transcription,
            "output_modalities": wished,
        }
        options |= {"noise_reduction": "near_field", "reasoning_effort": "low", "parallel_tool_calls": True}
        config = ProcessConfig(instructions="Be brief.", functions=[HANG_UP])
        async with scripted(script, **options) as provider, provider.connect(config) as session:
            await session.send_audio(bytes(960))
            await session.send_text("Hello.")
            await session.clear_audio()
            await session.cancel_response()
            await session.update_instructions("Be kind.")
            if session.capabilities.commit:
                await session.commit_audio()
            await rest(session)
