"""Sessions with the simulator: what is sent, and that all of it is what Google's own types know."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.oracles import strict_gemini_client_message, strict_gemini_server_message
from trunkline.conversation import HistoryItem
from trunkline.errors import AuthFailed, InvalidConfig, LocalProtocolError, RequestRejected
from trunkline.realtime import ProcessConfig, RealtimeConfig, VADMode
from trunkline.realtime.config import provider_factory
from trunkline.realtime.events import (
    AgentTranscript,
    ResponseFinished,
    SessionReady,
    SessionResumable,
    ToolCallCancelled,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.gemini import AutomaticActivity, GeminiRealtimeProvider
from trunkline.testing import GeminiLiveSimulator
from trunkline.testing.brain import CallTool, Heard, Say, ScriptedBrain, tone
from trunkline.testing.gemini import Close, RefuseUpgrade
from trunkline.testing.suites.realtime_listener import Listener
from trunkline.tools.definition import ToolDefinition
from trunkline.transport import read_recording
from trunkline.transport.record import Message

pytestmark = pytest.mark.anyio

KEY = "of-no-known-shape-0123456789abcdef"  # so that only knowing it can hide it
TOOLS = [
    ToolDefinition(name, parameters={"type": "object", "properties": {"city": {"type": "string"}}})
    for name in ("weather", "time")
]
BLOCKING = "gemini-3.1-flash-live-preview"
OLDER = "gemini-2.5-flash-native-audio-latest"
WORDS = (HistoryItem(role="user", text="My name is Ann."), HistoryItem(role="agent", text="Hello, Ann."))
SPEECH = bytes(8000) + tone(600, rate=16000) + bytes(32000)


@asynccontextmanager
async def vendor(
    answers: Any = (), transcripts: Sequence[str] = (), **options: Any
) -> AsyncIterator[GeminiLiveSimulator]:
    """A simulator; what it gets and sends is judged in the end."""
    brain = ScriptedBrain(answers=answers, transcripts=transcripts, ms_per_character=20)
    with anyio.fail_after(15):
        async with GeminiLiveSimulator(brain=brain, **options) as simulator:
            yield simulator
    for event in simulator.received:
        strict_gemini_client_message(json.dumps(event))
    for event in simulator.sent:
        strict_gemini_server_message(json.dumps(event))


def provider(simulator: GeminiLiveSimulator, **options: Any) -> GeminiRealtimeProvider:
    return GeminiRealtimeProvider(api_key=KEY, base_url=simulator.url, **options)


def sent(simulator: GeminiLiveSimulator, key: str) -> list[Any]:
    return [event[key] for event in simulator.received if key in event]


async def test_turns_by_hand_are_bracketed_and_answered() -> None:
    async with vendor([[Say("Good day.")]], ["hello"]) as simulator:
        async with provider(simulator, turn_detection=None).connect(ProcessConfig()) as session:
            assert (session.capabilities.commit, session.capabilities.interrupts_itself) == (True, False)
            listener = Listener(session)
            await session.commit_audio()  # there is no turn yet
            await session.send_audio(SPEECH)
            await session.commit_audio()
            await session.create_response()  # which the vendor does by itself
            assert (await listener.answer()).text == "Good day."
        kinds = [next(iter(given)) for given in sent(simulator, "realtimeInput")]
        assert kinds == ["activityStart", "audio", "activityEnd"]
        assert not sent(simulator, "clientContent")


async def test_commit_is_refused_while_the_vendor_detects_turns() -> None:
    async with vendor() as simulator, provider(simulator).connect(ProcessConfig()) as session:
        with pytest.raises(LocalProtocolError):
            await session.commit_audio()


async def test_texts_wait_for_the_running_answer_and_go_together() -> None:
    async with vendor([[Say("First answer.")], [Say("Second.")]], speed=1) as simulator:
        async with provider(simulator).connect(ProcessConfig()) as session:
            listener = Listener(session)
            for text in ("one", "two", "three"):
                await session.send_text(text)
            assert (await listener.answer()).text == "First answer."
            assert (await listener.answer()).text == "Second."
        parts = [
            [part["text"] for part in content["turns"][0]["parts"]] for content in sent(simulator, "clientContent")
        ]
        assert parts == [["one"], ["two", "three"]]


async def test_texts_may_be_sent_as_activity() -> None:
    async with vendor([[Say("Yes.")]]) as simulator:
        async with provider(simulator, text_as="activity").connect(ProcessConfig()) as session:
            await session.send_text("Are you there?")
            assert (await Listener(session).answer()).text == "Yes."
        assert sent(simulator, "realtimeInput") == [{"text": "Are you there?"}]


def weather(history: Sequence[Heard]) -> list[Say | CallTool]:
    if any("<say>" in (line.text or "") for line in history[-1:]):
        return [Say("One moment.")]
    if history[-1].role == "tool":
        return [Say("It rains.")]
    return [CallTool("weather", {"city": "Cardiff"}), CallTool("time", {"city": "Cardiff"})]


async def test_model_that_waits_for_its_tools_is_told_nothing_until_they_are_done() -> None:
    async with vendor(weather) as simulator:
        gemini = provider(simulator, model=BLOCKING)
        assert not gemini.capabilities.speaks_during_calls
        async with gemini.connect(ProcessConfig(functions=TOOLS)) as session:
            listener = Listener(session)
            await session.send_text("How is the weather?")
            call = await listener.until(ToolCallRequested)
            await listener.until(ResponseFinished)
            await session.say("One moment.")
            with pytest.raises(LocalProtocolError, match="waits"):
                await session.send_tool_result(call.call_id, "rain", scheduling="SILENT")
            for event in list(listener.events):
                if isinstance(event, ToolCallRequested):
                    await session.send_tool_result(event.call_id, "rain")
            assert (await listener.answer()).text == "It rains."
            assert (await listener.answer()).text == "One moment."
        assert all("scheduling" not in answer["functionResponses"][0] for answer in sent(simulator, "toolResponse"))


async def test_results_for_a_model_that_talks_on_are_scheduled() -> None:
    async with vendor(weather) as simulator:
        async with provider(simulator).connect(ProcessConfig(functions=TOOLS)) as session:
            listener = Listener(session)
            await session.send_text("How is the weather?")
            await listener.until(ResponseFinished)
            first, second = [event.call_id for event in listener.events if isinstance(event, ToolCallRequested)]
            await session.send_tool_result(first, "half of it", will_continue=True)
            await session.send_tool_result(first, "rain")
            await session.send_tool_result(second, "noon", scheduling="INTERRUPT")
            assert (await listener.answer()).text == "It rains."
        answers = [answer["functionResponses"][0] for answer in sent(simulator, "toolResponse")]
        told = [(answer["id"], answer.get("scheduling"), answer.get("willContinue")) for answer in answers]
        assert told == [(first, "SILENT", True), (first, "SILENT", None), (second, "INTERRUPT", None)]


async def test_call_that_is_taken_back_is_not_answered() -> None:
    async with vendor(weather, ["stop"]) as simulator:
        async with provider(simulator, model=BLOCKING).connect(ProcessConfig(functions=TOOLS)) as session:
            listener = Listener(session)
            await session.send_text("How is the weather?")
            call = await listener.until(ToolCallRequested)
            await session.send_audio(SPEECH)
            await listener.until(ToolCallCancelled)
            await session.send_tool_result(call.call_id, "rain")
        assert not sent(simulator, "toolResponse")


async def test_handle_takes_the_session_up_without_its_history() -> None:
    async with vendor([[Say("Yes.")]] * 2) as simulator:
        gemini = provider(simulator)
        async with gemini.connect(ProcessConfig()) as session:
            listener = Listener(session)
            await session.send_text("My name is Ann.")
            handle = (await listener.until(SessionResumable, lambda event: event.handle is not None)).handle
        assert handle is not None
        assert handle not in repr(listener.events)
        async with gemini.connect(ProcessConfig(history=WORDS, resume_handle=handle)) as session:
            listener = Listener(session)
            assert (await listener.until(SessionReady)).resumed
            await session.send_text("What is my name?")
            assert (await listener.answer()).text == "Yes."
        known = [line.text for line in simulator.sessions[-1].lines]
        assert known == ["My name is Ann.", "Yes.", "What is my name?", "Yes."]


async def test_handle_that_is_refused_is_replaced_by_the_history() -> None:
    async with vendor() as simulator:
        config = ProcessConfig(history=WORDS, resume_handle="nobody-knows")
        async with provider(simulator).connect(config) as session:
            assert not (await Listener(session).until(SessionReady)).resumed
        first, second = sent(simulator, "setup")
        assert first["sessionResumption"] == {"handle": "nobody-knows"}
        assert second["sessionResumption"] == {}
        assert second["historyConfig"] == {"initialHistoryInClientContent": True}
        (content,) = sent(simulator, "clientContent")
        assert content["turnComplete"]


async def test_older_model_is_told_a_history_that_ends_with_the_user() -> None:
    async with vendor() as simulator:
        async with provider(simulator, model=OLDER).connect(ProcessConfig(history=WORDS)) as session:
            with pytest.raises(LocalProtocolError):
                await session.update_instructions("Be brief.")
        assert "historyConfig" not in sent(simulator, "setup")[0]
        (content,) = sent(simulator, "clientContent")
        assert "turnComplete" not in content
        assert [turn["role"] for turn in content["turns"]] == ["user", "model", "user"]


async def test_older_model_answers_in_messages_of_their_own() -> None:
    async with (
        vendor([[Say("Good day.")]], ["hello"]) as simulator,
        provider(simulator, model=OLDER).connect(ProcessConfig()) as session,
    ):
        listener = Listener(session)
        await session.send_audio(SPEECH)
        assert (await listener.answer()).text == "Good day."
        said = [event.text for event in listener.events if isinstance(event, UserTranscript) and event.is_final]
        assert said == ["hello"]
        assert not any("Thinking" in event.text for event in listener.events if isinstance(event, AgentTranscript))


async def test_extensions_reach_the_wire_beside_the_tools() -> None:
    async with vendor() as simulator:
        extension = {"tools": [{"googleSearch": {}}, {"codeExecution": {}}], "generationConfig": {"topK": 3}}
        config = ProcessConfig(functions=TOOLS[:1], extensions={"gemini": extension}, voice="Puck", instructions="Hm.")
        async with provider(simulator).connect(config):
            pass
        (setup,) = sent(simulator, "setup")
        assert [next(iter(tool)) for tool in setup["tools"]] == [
            "functionDeclarations",
            "googleSearch",
            "codeExecution",
        ]
        assert setup["generationConfig"]["topK"] == 3
        assert setup["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"] == "Puck"
        assert simulator.sessions[-1].instructions == "Hm."


@pytest.mark.parametrize("bad", [{"gemini": {"speed": 2}}, {"gemini": 7}])
async def test_extension_that_the_protocol_does_not_have_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidConfig):
        async with GeminiRealtimeProvider(api_key=KEY, base_url="http://127.0.0.1:1").connect(
            ProcessConfig(extensions=bad)
        ):
            pytest.fail("it must not open")


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_key_is_shown_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with vendor([[Say(f"The key is {KEY}.")]], api_key=KEY) as simulator:
        gemini = provider(simulator, record=tmp_path / "call.jsonl")
        told = [repr(gemini), str(vars(gemini)["_errors"])]
        async with gemini.connect(ProcessConfig()) as session:
            await session.send_text("Which key?")
            await Listener(session).answer()
        simulator.script(
            [
                Close(on="setup", code=1007, reason=f"API key not valid: {KEY}"),
                Close(on="setup", code=1007, reason=f"No matching speaker voice found for name: {KEY}"),
                RefuseUpgrade(status=401, message=f"bad key {KEY}"),
            ]
        )
        for kind in (AuthFailed, RequestRejected, AuthFailed):
            with pytest.raises(kind) as refused:
                async with gemini.connect(ProcessConfig()):
                    pytest.fail("it must not open")
            told += [str(refused.value), repr(refused.value), repr(refused.value.__cause__), str(vars(refused.value))]
        assert "[hidden]" in told[2]
    told += [caplog.text, *recordings(tmp_path)]
    assert not [text for text in told if KEY in text]


def recordings(directory: Path) -> list[str]:
    """What the files say, as they are and with binary messages decoded."""
    told: list[str] = []
    for path in directory.iterdir():
        told.append(path.read_text())
        contents = [entry.content for entry in read_recording(path) if isinstance(entry, Message)]
        told += [content if isinstance(content, str) else content.decode() for content in contents]
    assert any("modelTurn" in text for text in told)
    return told


async def test_token_opens_the_constrained_method() -> None:
    async with vendor(api_key="auth_tokens/0123456789") as simulator:
        gemini = GeminiRealtimeProvider(api_key="auth_tokens/0123456789", base_url=simulator.url)
        assert gemini._url.endswith("v1alpha.GenerativeService.BidiGenerateContentConstrained")
        async with gemini.connect(ProcessConfig()):
            pass


@pytest.mark.parametrize("refuse", ["close", "http"])
async def test_wrong_key_is_refused(refuse: Any) -> None:
    async with vendor(api_key="another", refuse=refuse) as simulator:
        with pytest.raises(AuthFailed):
            async with provider(simulator).connect(ProcessConfig()):
                pytest.fail("it must not open")


# ── configurations ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_factory_makes_providers_of_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    factory = provider_factory("gemini")
    made = factory.create(RealtimeConfig(provider="gemini", vad_silence_duration_ms=300, max_tokens=9, temperature=1.0))
    assert isinstance(made, GeminiRealtimeProvider)
    assert made._options["turn_detection"] == AutomaticActivity(silence_duration_ms=300)
    by_hand = factory.create(RealtimeConfig(vad_mode=VADMode.MANUAL, transcribe_input=False))
    assert isinstance(by_hand, GeminiRealtimeProvider)
    assert by_hand._options == {"turn_detection": None, "transcription": False}
    for refused in (RealtimeConfig(provider="openai"), RealtimeConfig(vad_threshold=0.5)):
        with pytest.raises(InvalidConfig):
            factory.create(refused)


@pytest.mark.parametrize(
    "options",
    [
        {"speed": 1},
        {"api_version": "v2"},
        {"text_as": "words"},
        {"base_url": "http://example.com"},
        {"modality": "video"},
        {"turn_detection": True},
        {"compression": True},
        {"top_p": 7},
    ],
)
def test_option_that_cannot_be_used_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig):
        GeminiRealtimeProvider(api_key=KEY, **options)


def test_key_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(InvalidConfig, match="GEMINI_API_KEY"):
        GeminiRealtimeProvider()
