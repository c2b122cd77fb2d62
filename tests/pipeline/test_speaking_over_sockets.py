"""The caller speaks over the agent, with the simulated service on a real socket, and time that passes by itself."""

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from tests.pipeline.loopback import FRAME_MS, WORD_MS, SocketCall, calling
from trunkline.pipeline import EventType, InterruptionMode, InterruptionPolicy
from trunkline.testing import CallTool, Say
from trunkline.tools import tool

SHORT = "one two six ten."
LONG = " ".join(["one two six ten"] * 16) + "."
SENTENCES = "one two six ten one so. one two six ten one two six ten one two."


def duration_ms(text: str) -> int:
    return len(text.split()) * WORD_MS


def interrupted(call: SocketCall, text: str) -> Mapping[str, Any]:
    """The answer was interrupted, once, and everybody has the same idea of where: the caller's own telephone and the service too."""
    (event,) = call.of(EventType.INTERRUPTION)
    told, heard_ms = event.data, event.data["heard_ms"]
    (played_ms,) = call.phone.heard_when_cleared
    assert abs(heard_ms - played_ms) <= 2 * FRAME_MS + call.phone.late_ms
    assert 0 < heard_ms < duration_ms(text)
    assert told["text"] == " ".join(text.split()[: heard_ms // WORD_MS])
    (turn,) = [turn for turn in call.bridge.transcript() if turn.interrupted]
    assert (turn.text, turn.duration_ms, turn.item_id) == (told["text"], heard_ms, told["item_id"])
    (truncated,) = call.told("conversation.item.truncate")
    assert (truncated["item_id"], truncated["audio_end_ms"]) == (told["item_id"], heard_ms)
    (remembered,) = [item for item in call.vendor.sessions[0].items if item["id"] == told["item_id"]]
    assert remembered["content"][0]["transcript"] is None  # the service did as it was told
    assert call.bridge.metrics().interruption_count == 1
    assert call.of(EventType.ERROR) == []
    return told


def uncut(call: SocketCall, text: str) -> None:
    """The answer was heard to its end, and nobody was told otherwise."""
    assert call.of(EventType.INTERRUPTION) == []
    assert [event.data["heard_ms"] for event in call.of(EventType.AGENT_SPEECH_END)] == [duration_ms(text)]
    assert abs(call.phone.heard_ms - duration_ms(text)) <= 2 * FRAME_MS + call.phone.late_ms
    (turn,) = [turn for turn in call.bridge.transcript() if turn.role == "agent"]
    assert (turn.text, turn.duration_ms, turn.interrupted) == (text, duration_ms(text), False)
    assert call.told("conversation.item.truncate") == call.told("response.cancel") == []
    assert call.of(EventType.ERROR) == []


@pytest.mark.parametrize("speed", [None, 2], ids=["all-made", "being-made"])
async def test_immediate_falls_silent_and_the_call_goes_on(speed: float | None) -> None:
    async with calling([Say(LONG)], [Say(SHORT)], speed=speed) as call:
        await call.phone.wait_heard_ms(300)
        await call.speak(100)
        await call.until_interrupted()
        stopped_at_ms = call.phone.heard_ms
        await call.pause()
        await call.until(EventType.AGENT_SPEECH_END)
    told = interrupted(call, LONG)
    assert told["mode"] == "immediate"
    assert call.told("response.cancel") == []
    assert call.dropped() == ([] if speed is None else ["turn_detected"])  # by itself
    assert call.phone.heard_ms - stopped_at_ms == pytest.approx(duration_ms(SHORT))
    assert call.bridge.transcript()[-1].text == SHORT


async def test_after_sentence_finishes_the_sentence_being_heard() -> None:
    sentence = SENTENCES.partition(".")[0] + "."
    policy = InterruptionPolicy(mode=InterruptionMode.AFTER_SENTENCE)
    async with calling([Say(SENTENCES)], interruption=policy) as call:
        await call.phone.wait_heard_ms(100)
        await call.speak(100)
        await call.until_interrupted()
    told = interrupted(call, SENTENCES)
    late_ms = call.phone.late_ms + call.bridge.metrics().playout_late_ms
    assert duration_ms(sentence) <= told["heard_ms"] <= duration_ms(sentence) + 2 * FRAME_MS + late_ms
    assert told["text"].startswith(sentence)
    assert told["mode"] == "after_sentence"


async def test_after_the_last_sentence_nothing_is_cut() -> None:
    policy = InterruptionPolicy(mode=InterruptionMode.AFTER_SENTENCE)
    async with calling([Say(SHORT)], interruption=policy) as call:
        await call.phone.wait_heard_ms(100)
        await call.speak(100)
        await call.until(EventType.USER_SPEECH_START)
        await call.until(EventType.AGENT_SPEECH_END)
    uncut(call, SHORT)
    assert call.phone.heard_when_cleared == []


async def test_disabled_lets_the_agent_finish() -> None:
    policy = InterruptionPolicy(mode=InterruptionMode.DISABLED)
    async with calling([Say(SHORT)], interruption=policy, speed=2) as call:
        await call.phone.wait_heard_ms(100)
        await call.speak(100)
        await call.until(EventType.USER_SPEECH_START)
        await call.until(EventType.AGENT_SPEECH_END)
    uncut(call, SHORT)
    assert call.phone.heard_when_cleared == []


async def test_a_cough_is_followed_by_the_rest() -> None:
    policy = InterruptionPolicy(min_speech_ms=1000, hold=True)
    async with calling([Say(SHORT)], interruption=policy) as call:
        await call.phone.wait_heard_ms(300)
        await call.speak(100, 400)
        await call.until(EventType.USER_SPEECH_END)
        await call.until(EventType.AGENT_SPEECH_END)
    uncut(call, SHORT)
    (played_ms,) = call.phone.heard_when_cleared  # it was silent meanwhile
    assert 300 <= played_ms < duration_ms(SHORT)


async def test_speech_that_is_held_for_becomes_an_interruption() -> None:
    policy = InterruptionPolicy(min_speech_ms=200, hold=True)
    async with calling([Say(LONG)], interruption=policy, speed=2) as call:
        await call.phone.wait_heard_ms(300)
        await call.speak(100)
        await call.until_interrupted()
    told = interrupted(call, LONG)
    assert told["user_speech_duration_ms"] >= 200
    # It was silent while that was undecided.
    assert call.phone.heard_when_cleared == [pytest.approx(call.phone.heard_ms)]
    assert len(call.told("response.cancel")) == 1  # the service was asked not to stop by itself


async def test_twice_within_a_tenth_of_a_second_is_once() -> None:
    async with calling([Say(LONG)]) as call:
        await call.phone.wait_heard_ms(300)
        await call.speak(60, 240, 60)
        await call.until_interrupted()
        await call.bridge.interrupt()
        await call.until(EventType.USER_SPEECH_START, count=2)
    interrupted(call, LONG)


async def test_during_the_greeting() -> None:
    async with calling([Say(LONG)], asked="", greeting=LONG) as call:
        await call.phone.wait_heard_ms(300)
        await call.speak(100)
        await call.until_interrupted()
    interrupted(call, LONG)
    (asked,) = call.told("response.create")
    assert LONG in asked["response"]["instructions"]


async def test_after_the_last_audio_was_sent_but_not_heard() -> None:
    async with calling([Say(LONG)], lead_ms=30_000) as call:
        await call.phone.wait_sent_ms(duration_ms(LONG))
        await call.phone.wait_heard_ms(300)
        await call.speak(100)
        await call.until_interrupted()
    told = interrupted(call, LONG)
    assert told["generated_ms"] == call.phone.sent_ms == duration_ms(LONG)
    assert call.of(EventType.AGENT_SPEECH_END) == []


async def test_when_everything_was_heard_nothing_is_cut() -> None:
    async with calling([Say(SHORT)]) as call:
        await call.until(EventType.AGENT_SPEECH_END)
        await call.speak(100)
        await call.until(EventType.USER_SPEECH_START)
    uncut(call, SHORT)
    assert call.phone.heard_when_cleared == []


@pytest.mark.parametrize("on_interruption", ["finish", "cancel"])
async def test_during_a_tool_call_the_tool_is_answered_once(on_interruption: Any) -> None:
    asked, release = anyio.Event(), anyio.Event()

    @tool(on_interruption=on_interruption)
    async def look_up() -> str:
        """Look something up."""
        asked.set()
        await release.wait()
        return "found"

    async with calling([Say(LONG), CallTool("look_up", {})], [Say(SHORT)], tools=[look_up]) as call:
        await asked.wait()
        await call.phone.wait_heard_ms(300)
        await call.speak(100)
        await call.until_interrupted()
        release.set()
        await call.until(EventType.TOOL_CALL)
        await call.pause()
        await call.until(EventType.AGENT_SPEECH_END)
    interrupted(call, LONG)
    (told,) = call.of(EventType.TOOL_CALL)
    answers = [
        event["item"]
        for event in call.told("conversation.item.create")
        if event["item"]["type"] == "function_call_output"
    ]
    assert [(answer["call_id"], answer["output"]) for answer in answers] == [
        (told.data["call_id"], told.data["result"])
    ]
    assert ("interrupted" in told.data["result"]) is (on_interruption == "cancel")
    assert call.bridge.transcript()[-1].text == SHORT
