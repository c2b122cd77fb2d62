"""What the service leaves out, says twice or says otherwise, and what a session makes of it."""

from typing import Any

import anyio
import pytest

from tests.realtime.qwen.scripted_qwen import ANSWER, KEY, TENTH, Vendor, rest, scripted
from trunkline.audio import AudioFormat
from trunkline.clock import ScaledClock
from trunkline.conversation import HistoryItem
from trunkline.errors import AuthFailed, InvalidConfig, LocalProtocolError, ModelUnavailable, QuotaExceeded, RateLimited
from trunkline.realtime.events import (
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionReady,
    SpeechStarted,
    SpeechStopped,
    UserTranscript,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.qwen import QwenRealtimeProvider
from trunkline.testing.brain import Say, ScriptedBrain
from trunkline.testing.qwen import QwenOmniSimulator, quota_used_up, throttled
from trunkline.testing.suites.realtime_listener import Listener

pytestmark = pytest.mark.anyio


def simulator(**options: Any) -> QwenOmniSimulator:
    brain = ScriptedBrain(answers=lambda _: [Say("At seven.")], ms_per_character=20)
    return QwenOmniSimulator(brain=brain, **options)


# ── answers that are cut ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_cancelled_answer_ends_with_its_item_and_only_once() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.begin_answer()
        assert "response_id" not in await vendor.expect("response.cancel")
        await vendor.send("response.audio.delta", **ANSWER, delta=TENTH)
        await vendor.send("response.output_item.done", response_id="resp_1", item={"id": "item_A", "type": "message"})
        await vendor.send("response.done", response={"id": "resp_1", "status": "completed"})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        listener = Listener(session)
        await listener.until(AudioReceived)
        await session.cancel_response()
        told = await rest(session)
    assert [event.status for event in told if isinstance(event, ResponseFinished)] == ["cancelled"]
    assert not [event for event in told if isinstance(event, AudioReceived)]


async def test_cancelled_answer_of_which_nothing_more_is_said_ends_after_five_seconds() -> None:
    clock = ScaledClock(50)

    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.begin_answer()
        await vendor.expect("response.cancel")
        assert (await vendor.expect("conversation.item.create"))["item"]["role"] == "user"
        await vendor.expect("response.create")

    async with scripted(script, clock=clock) as provider, provider.connect(ProcessConfig()) as session:
        listener = Listener(session)
        await listener.until(AudioReceived)
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await anyio.wait_all_tasks_blocked()  # the reader waits for the vendor
                await session.cancel_response()
                await session.send_text("Are you there?")

            tasks.start_soon(cancel)
            began = clock.now()
            assert (await listener.until(ResponseFinished)).status == "cancelled"
            assert 5 <= clock.now() - began < 60
        await rest(session)


async def test_speech_over_an_answer_interrupts_it_and_the_next_answer_ends_it() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.begin_answer()
        for _ in range(2):  # said twice
            await vendor.send("input_audio_buffer.speech_started", item_id="item_U", audio_start_ms=100)
        await vendor.send("response.audio.delta", **ANSWER, delta=TENTH)
        await vendor.send("input_audio_buffer.speech_stopped", item_id="item_U", audio_end_ms=900)
        await vendor.send("input_audio_buffer.committed", item_id="item_U")
        await vendor.send("response.created", response={"id": "resp_2"})
        await vendor.send("response.done", response={"id": "resp_2", "status": "completed"})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = await rest(session)
    kinds = (SpeechStarted, SpeechStopped, Interrupted, AudioReceived, ResponseStarted, ResponseFinished)
    assert [type(event).__name__ for event in told if isinstance(event, kinds)] == [
        "ResponseStarted",
        "AudioReceived",
        "SpeechStarted",
        "Interrupted",
        "SpeechStopped",
        "ResponseFinished",
        "ResponseStarted",
        "ResponseFinished",
    ]
    ended = [(event.response_id, event.status) for event in told if isinstance(event, ResponseFinished)]
    assert ended == [("resp_1", "cancelled"), ("resp_2", "completed")]


async def test_answer_whose_end_is_forgotten_ends_when_the_next_begins() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        for name in ("resp_1", "resp_1", "resp_2"):
            await vendor.send("response.created", response={"id": name})
        await vendor.send("response.done", response={"id": "resp_1", "status": "completed"})
        await vendor.send("response.done", response={"id": "resp_2", "status": "completed"})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = await rest(session)
    assert [event.response_id for event in told if isinstance(event, ResponseStarted)] == ["resp_1", "resp_2"]
    ended = [(event.response_id, event.status) for event in told if isinstance(event, ResponseFinished)]
    assert ended == [("resp_1", "incomplete"), ("resp_2", "completed")]


async def test_service_that_goes_on_after_an_interruption_is_told_to_stop() -> None:
    clock = ScaledClock(20)

    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.begin_answer()
        await vendor.send("input_audio_buffer.speech_started", item_id="item_U")
        await clock.sleep_until(clock.now() + 1)
        await vendor.send("response.audio.delta", **ANSWER, delta=TENTH)
        await vendor.expect("response.cancel")

    async with scripted(script, clock=clock) as provider, provider.connect(ProcessConfig()) as session:
        assert len([event for event in await rest(session) if isinstance(event, AudioReceived)]) == 1


async def test_answer_that_may_not_be_interrupted_goes_on() -> None:
    async def script(vendor: Vendor) -> None:
        detection = {"type": "server_vad", "interrupt_response": False}
        assert (await vendor.open_session(turn_detection=detection))["turn_detection"]["interrupt_response"] is False
        await vendor.begin_answer()
        await vendor.send("input_audio_buffer.speech_started", item_id="item_U")
        await vendor.send("response.audio.delta", **ANSWER, delta=TENTH)

    async with (
        scripted(script) as provider,
        provider.connect(ProcessConfig(allow_interruption=False)) as session,
    ):
        assert not session.capabilities.interrupts_itself
        told = await rest(session)
    assert len([event for event in told if isinstance(event, AudioReceived)]) == 2
    assert not [event for event in told if isinstance(event, Interrupted)]


# ── what the user says ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_words_grow_and_are_final_once() -> None:
    name = "conversation.item.input_audio_transcription"

    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        for text, stash in [("", "he"), ("hello", " wor"), ("goodbye", ""), ("hello world", "")]:
            await vendor.send(f"{name}.delta", item_id="item_1", text=text, stash=stash)
        await vendor.send(f"{name}.completed", item_id="item_1", transcript="Hello, world.")
        await vendor.send(f"{name}.completed", item_id="item_1", transcript="Hello, world.")
        await vendor.send(f"{name}.delta", item_id="item_2", text="never complete", stash="")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = [event for event in await rest(session) if isinstance(event, UserTranscript)]
    assert [(event.text, event.is_final, event.pending) for event in told] == [
        ("", False, "he"),
        ("hello", False, " wor"),
        ("", False, ""),
        (" world", False, ""),
        ("Hello, world.", True, ""),
        ("never complete", False, ""),
        ("never complete", True, ""),
    ]


async def test_speech_whose_end_is_not_told_is_ended() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.send("input_audio_buffer.speech_started", item_id="item_1")
        await vendor.send("input_audio_buffer.speech_started", item_id="item_2")
        await vendor.send("input_audio_buffer.committed", item_id="item_2")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told = [event for event in await rest(session) if isinstance(event, SpeechStarted | SpeechStopped)]
    assert [(type(event), event.item_id) for event in told] == [
        (SpeechStarted, "item_1"),
        (SpeechStopped, "item_1"),
        (SpeechStarted, "item_2"),
        (SpeechStopped, "item_2"),
    ]


# ── the session ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("model", "rate"), [("qwen3.5-omni-plus-realtime", 8000), ("qwen3-omni-flash-realtime", 16000)]
)
async def test_format_is_the_one_that_the_echo_confirms(model: str, rate: int) -> None:
    async with simulator() as vendor:
        provider = QwenRealtimeProvider(api_key=KEY, base_url=vendor.url, model=model)
        config = ProcessConfig(input_format=AudioFormat("mulaw", 8000))
        async with provider.connect(config) as session:
            assert session.input_format == AudioFormat("linear16", rate)


async def test_format_that_the_service_silently_ignores_is_not_used() -> None:
    async def script(vendor: Vendor) -> None:
        assert (await vendor.open_session())["audio"]["input"]["format"]["sample_rate"] == 8000

    config = ProcessConfig(input_format=AudioFormat("linear16", 8000))
    async with scripted(script) as provider, provider.connect(config) as session:
        assert session.input_format == AudioFormat("linear16", 16000)


async def test_silent_session_is_kept_alive() -> None:
    clock = ScaledClock(400)
    async with simulator(clock=clock) as vendor:
        provider = QwenRealtimeProvider(
            api_key=KEY, base_url=vendor.url, clock=clock, ping_interval=None, connect_timeout=1000
        )
        async with provider.connect(ProcessConfig()) as session:
            listener = Listener(session)
            with clock.move_on_after(700):
                await listener.until(SessionEnded)
            assert [type(event) for event in listener.events] == [SessionReady]
    assert [event["type"] for event in vendor.received] == ["session.update"] * len(vendor.received)
    assert len(vendor.received) >= 2


async def test_session_that_nobody_reads_is_cut() -> None:
    clock = ScaledClock(400)
    async with simulator(clock=clock) as vendor:
        provider = QwenRealtimeProvider(api_key=KEY, base_url=vendor.url, clock=clock, connect_timeout=1000)
        async with provider.connect(ProcessConfig()) as session:
            await clock.sleep_until(clock.now() + 400)
            assert (await rest(session))[-1].reason == "failed"


@pytest.mark.parametrize("code", ["user_idle_timeout", "too_many_audios"])
async def test_session_that_is_over_says_why(code: str) -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.send("error", error={"type": "invalid_request_error", "code": code, "message": "over"})

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        assert (await rest(session))[-1].reason == code


async def test_quota_that_is_used_up_ends_the_session_or_opens_none() -> None:
    async with simulator() as vendor:
        provider = QwenRealtimeProvider(api_key=KEY, base_url=vendor.url)
        vendor.script(quota_used_up())
        with pytest.raises(QuotaExceeded, match="exhausted"):
            async with provider.connect(ProcessConfig()):
                pytest.fail("it must not open")
        vendor.script(quota_used_up(on="response.created"))
        async with provider.connect(ProcessConfig()) as session:
            await session.send_text("Hello.")
            told = await rest(session)
    assert isinstance(told[-1], SessionEnded)
    assert isinstance(told[-1].error, QuotaExceeded)


async def test_throttled_connection_may_be_tried_again() -> None:
    async with simulator() as vendor:
        vendor.script([throttled(on="session.created")])
        with pytest.raises(RateLimited, match="To many requests"):
            async with QwenRealtimeProvider(api_key=KEY, base_url=vendor.url).connect(ProcessConfig()):
                pytest.fail("it must not open")


async def test_wrong_key_and_wrong_model_open_nothing() -> None:
    async with simulator(api_key="another") as vendor:
        with pytest.raises(AuthFailed) as refused:
            async with QwenRealtimeProvider(api_key=KEY, base_url=vendor.url).connect(ProcessConfig()):
                pytest.fail("it must not open")
        assert KEY not in str(refused.value) + repr(refused.value.__cause__)
    async with simulator() as vendor:
        provider = QwenRealtimeProvider(api_key=KEY, base_url=vendor.url, model="qwen-unheard-of")
        with pytest.raises(ModelUnavailable):
            async with provider.connect(ProcessConfig()):
                pytest.fail("it must not open")


async def test_history_stays_when_instructions_change() -> None:
    history = (HistoryItem(role="user", text="My name is Ann."),)
    async with simulator() as vendor:
        provider = QwenRealtimeProvider(api_key=KEY, base_url=vendor.url, instructions="Be brief.")
        async with provider.connect(ProcessConfig(history=history)) as session:
            assert session.instructions.startswith("Be brief.")
            await session.update_instructions("Speak Welsh.")
            await session.send_text("Hello.")
            await Listener(session).until(ResponseFinished)
            assert session.instructions.startswith("Speak Welsh.")
            assert "My name is Ann." in session.instructions


async def test_commands_that_the_service_does_not_have_are_refused() -> None:
    async with (
        simulator() as vendor,
        QwenRealtimeProvider(api_key=KEY, base_url=vendor.url).connect(ProcessConfig()) as session,
    ):
        with pytest.raises(LocalProtocolError):
            await session.truncate("item", heard_ms=10)
        with pytest.raises(LocalProtocolError):
            await session.commit_audio()
        with pytest.raises(InvalidConfig, match="tool_choice"):
            await session.create_response(options={"tool_choice": "none"})
        with pytest.raises(InvalidConfig, match="settled"):
            await session.update_session({"input_audio_format": "pcm"})
        await session.send_text("Hello.")
        listener = Listener(session)
        await listener.until(ResponseFinished)
        assert not [event for event in listener.events if isinstance(event, ErrorReported)]
