"""What a program does to a call in progress: saying, playing, holding, and ending with a sentence."""

import anyio
import pytest

from tests.pipeline.call import Call, in_progress, provider_of, says
from trunkline.audio import OPENAI, TWILIO
from trunkline.errors import ConnectionFailed, SessionClosed
from trunkline.pipeline import BridgeConfig, EventType, RealtimeBridge
from trunkline.pipeline.prepared import PreparedSession
from trunkline.realtime.events import ErrorReported, ResponseFinished

pytestmark = pytest.mark.anyio

FRAME = b"\x20" * 160
SILENCE = b"\xff" * 160


async def test_sentence_that_is_asked_for_is_heard_before_the_end() -> None:
    call = Call()
    async with in_progress(call), anyio.create_task_group() as tasks:
        await call.bridge.say("Good-bye.")
        await call.session.wait_command("say", "Good-bye.")
        tasks.start_soon(lambda: call.bridge.close("done", after_speech=True))
        await call.pass_ms(500)
        assert not call.bridge.is_over
        call.session.feed(*says("i1", "Good-bye.", 300))
        await call.pass_ms(250)
        assert not call.bridge.is_over
        await call.pass_ms(100)
        assert call.bridge.is_over
    assert call.line.heard_ms == pytest.approx(300)
    with pytest.raises(SessionClosed):
        await call.bridge.say("Too late.")


async def test_sentence_that_the_session_cannot_say_is_not_waited_for() -> None:
    call = Call()
    async with in_progress(call):
        await call.bridge.say("Good-bye.")
        call.session.feed(ErrorReported(ConnectionFailed("no")))
        await call.pass_ms(10)
        with anyio.fail_after(5):
            await call.bridge.close(after_speech=True)


async def test_last_words_take_the_place_of_an_answer_and_nobody_may_interrupt_them() -> None:
    call = Call()
    async with in_progress(call), anyio.create_task_group() as tasks:
        call.session.feed(*says("i1", "A long story.", 5000)[:-1])
        await call.pass_ms(400)
        tasks.start_soon(call.bridge.say_last, "Our time is up.")
        await call.pass_ms(20)
        assert call.one(EventType.INTERRUPTION).data["item_id"] == "i1"
        call.session.feed(ResponseFinished("r1", status="cancelled"), *says("i2", "Our time is up.", 400, "r2"))
        call.line.caller_says(FRAME)
        await call.pass_ms(600)
    assert call.session.heard.endswith(SILENCE)
    assert "i2" not in [event.data["item_id"] for event in call.seen if event.type is EventType.INTERRUPTION]


async def test_audio_is_played_behind_the_answer_and_waited_for() -> None:
    call = Call()
    async with in_progress(call), anyio.create_task_group() as tasks:
        call.session.feed(*says("i1", "Listen.", 200))
        await call.pass_ms(20)
        done = anyio.Event()

        async def play() -> None:
            await call.bridge.play(OPENAI.silence(500), OPENAI)
            done.set()

        tasks.start_soon(play)
        await call.pass_ms(600)
        assert not done.is_set()
        await call.pass_ms(150)
        assert done.is_set()
        assert call.line.sent_ms == 700
    assert [event.data["item_id"] for event in call.seen if event.type is EventType.AGENT_SPEECH_END] == [
        "i1",
        "played-1",
    ]
    assert [turn.text for turn in call.bridge.transcript()] == ["Listen."]


@pytest.mark.parametrize("how", ["interrupt", "close"])
async def test_audio_that_is_cut_is_not_waited_for(how: str) -> None:
    call = Call()
    async with in_progress(call), anyio.create_task_group() as tasks:
        tasks.start_soon(call.bridge.play, TWILIO.silence(10_000), TWILIO)
        await call.pass_ms(300)
        with anyio.fail_after(5):
            await (call.bridge.interrupt() if how == "interrupt" else call.bridge.close())
    with pytest.raises(SessionClosed):
        await call.bridge.play(FRAME, TWILIO)


async def test_caller_on_hold_hears_and_is_heard_after_it_as_if_there_had_been_none() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("i1", "A long story.", 2000))
        await call.pass_ms(500)
        await call.bridge.hold()
        assert call.bridge.is_on_hold
        await call.pass_ms(20)
        heard = call.line.heard_ms
        call.line.caller_says(FRAME)
        await call.pass_ms(3000)
        assert call.line.heard_ms == heard
        assert call.session.heard.startswith(SILENCE)
        assert FRAME not in call.session.heard
        await call.bridge.resume()
        call.line.caller_says(FRAME)
        await call.pass_ms(2000)
        assert call.line.heard_ms == pytest.approx(2000, abs=20)
        assert FRAME in call.session.heard
    assert call.one(EventType.AGENT_SPEECH_END).data["heard_ms"] == 2000


async def test_interruption_on_hold_keeps_the_agent_silent() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("i1", "A long story.", 2000))
        await call.pass_ms(300)
        await call.bridge.hold()
        await call.bridge.interrupt()
        await call.pass_ms(20)
        heard = call.line.heard_ms
        call.session.feed(*says("i2", "Anything else?", 500, "r2"))
        await call.pass_ms(1000)
        assert call.line.heard_ms == heard
        await call.bridge.resume()
        await call.pass_ms(600)
        assert call.line.heard_ms == pytest.approx(heard + 500)


@pytest.mark.parametrize("interruptible", [True, False])
async def test_greeting_may_be_interrupted_or_not(interruptible: bool) -> None:
    call = Call(greeting="Hello, this call is recorded.", greeting_interruptible=interruptible)
    async with in_progress(call):
        await call.session.wait_command("say", "Hello, this call is recorded.")
        call.session.feed(*says("i1", "Hello, this call is recorded.", 1000))
        await call.pass_ms(200)
        call.line.caller_says(FRAME)
        await call.pass_ms(20)
        assert (FRAME in call.session.heard) is interruptible
        await call.pass_ms(1000)
        call.line.caller_says(FRAME)
        await call.pass_ms(20)
        assert FRAME in call.session.heard


async def test_line_without_audio_is_given_up() -> None:
    call = Call(media_timeout=8.0)
    async with in_progress(call):
        for _ in range(10):
            call.line.caller_says(FRAME)
            await call.pass_ms(1500)
        assert not call.bridge.is_over
        await call.pass_ms(10_100)
        assert call.bridge.is_over
    assert call.one(EventType.SESSION_ENDED).data["reason"] == "media_timeout"


# ── a session that is opened before ──────────────────────────────────────────────────────────────────────────────────


async def test_prepared_session_is_the_one_that_answers() -> None:
    call = Call()
    config = BridgeConfig(provider=call.provider)
    prepared = PreparedSession(call.provider, config.session_config(TWILIO), clock=call.clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prepared.run, 60)
        await call.pass_ms(1000)
        session = call.session
        call.bridge = RealtimeBridge(config, line=call.line, prepared=prepared, clock=call.clock)
        async with in_progress(call):
            assert call.types() == ["session_started"]
            assert call.session is session
            call.line.caller_says(FRAME)
            await call.pass_ms(20)
            assert session.heard == FRAME
    assert call.provider.running == 0


@pytest.mark.parametrize("how", ["too late", "cancelled"])
async def test_prepared_session_that_was_given_up_is_replaced(how: str) -> None:
    call = Call()
    config = BridgeConfig(provider=call.provider)
    prepared = PreparedSession(call.provider, config.session_config(TWILIO), clock=call.clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prepared.run, 60)
        await call.pass_ms(10)
        if how == "cancelled":
            prepared.cancel()
        await call.pass_ms(61_000)
        assert call.provider.running == 0
        call.bridge = RealtimeBridge(config, line=call.line, prepared=prepared, clock=call.clock)
        async with in_progress(call):
            assert call.types() == ["session_started"]
            assert call.provider.running == 1
    assert call.provider.running == 0


async def test_prepared_session_that_failed_ends_the_call_with_its_error() -> None:
    call = Call(provider_of(input_format=TWILIO, output_format=TWILIO, failures=[ConnectionFailed("down")]))
    config = BridgeConfig(provider=call.provider)
    prepared = PreparedSession(call.provider, config.session_config(TWILIO), clock=call.clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(prepared.run, 60)
        await call.pass_ms(10)
        call.bridge = RealtimeBridge(config, line=call.line, prepared=prepared, clock=call.clock)
        async with in_progress(call):
            pass
    assert call.types() == ["error", "session_ended"]
    assert call.one(EventType.SESSION_ENDED).data["reason"] == "provider_failed"
