"""The simulated caller: what it sends, what it hears, and what it makes of a gateway's mistakes."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.testing.small_gateway import QUIET, WORD, Gateway, Line, caller, ticks
from trunkline.audio import TWILIO, wav
from trunkline.clock import ManualClock, ScaledClock
from trunkline.errors import CallError, ConnectionLost, DeadlineExceeded, InvalidConfig
from trunkline.telephony.twilio import TwilioLine
from trunkline.wire.telephony.events import MediaReceived, StreamStarted, StreamStopped

pytestmark = pytest.mark.anyio


async def close_at_once(line: Line) -> None:
    await line.receive_until("start")


# ── one call ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_messages_of_a_short_call_come_in_twilios_order(gateway: Gateway) -> None:
    clock = ManualClock()
    gateway.connect(
        '<Parameter name="token" value="one-time-secret"/>',
        stream=f'name="trunk" statusCallback="{gateway.url}/stream"',
    )
    async with caller(gateway, speech=WORD * 2, status_callback_url=f"{gateway.url}/status", clock=clock) as call:
        await ticks(clock, 4)
        await gateway.until(lambda: len(gateway.of("media")) == 5)
        await call.hang_up()
        assert call.ended
        assert call.ended_by == "caller"
    assert gateway.paths() == ["/voice", "/media", "/stream", "/stream", "/status"]
    assert gateway.lost is not None
    assert gateway.lost.code == 1000

    ids = {"accountSid": "AC00000000000000000000000000000001", "callSid": call.call_sid}
    sid = call.start["streamSid"]
    connected, start, *media, stop = gateway.messages
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert start == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": sid,
        "start": {
            "streamSid": sid,
            **ids,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": "one-time-secret"},
        },
    }
    assert media[0]["media"].keys() == {"track", "chunk", "timestamp", "payload"}
    assert [(m["sequenceNumber"], m["media"]["chunk"], m["media"]["timestamp"]) for m in media] == [
        (str(n + 2), str(n + 1), str(20 * n)) for n in range(5)
    ]
    assert [b64decode(m["media"]["payload"]) for m in media] == [WORD, WORD, *[QUIET] * 3]
    assert {m["media"]["track"] for m in media} == {"inbound"}
    assert stop == {"event": "stop", "sequenceNumber": "7", "streamSid": sid, "stop": ids}
    assert call.sent == WORD * 2 + QUIET * 3
    assert call.heard == QUIET * 5


async def test_what_each_request_tells(gateway: Gateway) -> None:
    clock = ManualClock()
    gateway.run = close_at_once
    gateway.connect(stream=f'name="trunk" statusCallback="{gateway.url}/stream"', then='<Pause length="60"/>')
    async with caller(
        gateway, status_callback_url=f"{gateway.url}/status", extra_fields={"CallerName": ""}, clock=clock
    ) as call:
        await call.wait_for("pause 60")
        await clock.advance(60.9)
    (voice,) = gateway.told("/voice")
    assert voice == {
        "CallSid": call.call_sid,
        "AccountSid": "AC00000000000000000000000000000001",
        "From": "+15550100001",
        "To": "+15550100002",
        "Caller": "+15550100001",
        "Called": "+15550100002",
        "CallStatus": "ringing",
        "ApiVersion": "2010-04-01",
        "Direction": "inbound",
        "CallerName": "",
    }
    assert [fields["StreamEvent"] for fields in gateway.told("/stream")] == ["stream-started", "stream-stopped"]
    assert gateway.told("/stream")[0] == {
        "AccountSid": voice["AccountSid"],
        "CallSid": call.call_sid,
        "StreamSid": call.start["streamSid"],
        "StreamName": "trunk",
        "StreamEvent": "stream-started",
        "Timestamp": "2026-01-01T00:00:00.000Z",
    }
    (status,) = gateway.told("/status")
    assert status == voice | {
        "CallStatus": "completed",
        "Timestamp": "Thu, 01 Jan 2026 00:01:00 +0000",
        "CallbackSource": "call-progress-events",
        "SequenceNumber": "0",
        "CallDuration": "60",
        "Duration": "1",
    }


async def test_the_upgrade_offers_nothing(gateway: Gateway) -> None:
    gateway.connect()
    async with caller(gateway):
        pass
    upgrade = next(request for path, _, request in gateway.requests if path == "/media")
    assert "Sec-WebSocket-Extensions" not in upgrade.headers
    assert "Sec-WebSocket-Protocol" not in upgrade.headers
    assert upgrade.headers.get("User-Agent") == "Twilio.TmeWs/1.0"


class Oversleeping(ManualClock):
    """Wakes everybody 7 ms late, as a busy machine does."""

    async def sleep_until(self, moment: float) -> None:
        await super().sleep_until(moment + 0.007)


async def test_frames_follow_the_clock_without_drift(gateway: Gateway) -> None:
    clock = Oversleeping()
    gateway.connect()
    async with caller(gateway, clock=clock) as call:
        await clock.advance(0.208)
        assert len(call.sent) == len(call.heard) == 160 * 11


# ── the caller's ear ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_audio_is_heard_in_time_and_marks_come_back_when_it_was(gateway: Gateway) -> None:
    async def run(line: Line) -> None:
        await line.receive_until("start")
        await line.receive_until("media")  # the caller's first tick is over
        await line.play(WORD + WORD[:40])
        await line.mark("a")
        await gateway.record(line)

    clock = ManualClock()
    gateway.run = run
    gateway.connect()
    async with caller(gateway, clock=clock) as call:
        await call.wait_for("queued mark a")
        assert not call.is_agent_speaking
        await ticks(clock, 2)
        assert call.is_agent_speaking
        assert gateway.of("mark") == []
        await ticks(clock, 1)
        with anyio.fail_after(10):
            while call.is_agent_speaking:
                await anyio.lowlevel.checkpoint()
        await gateway.until(lambda: bool(gateway.of("mark")))
        await ticks(clock, 1)
        assert call.heard == QUIET + WORD + WORD[:40] + QUIET[40:] + QUIET * 2
        assert len(call.sent) == len(call.heard)
        assert not call.warnings
    (mark,) = gateway.of("mark")
    assert mark == {
        "event": "mark",
        "sequenceNumber": mark["sequenceNumber"],
        "streamSid": call.start["streamSid"],
        "mark": {"name": "a"},
    }
    times = {event: ms for ms, event in call.timeline}
    assert times["agent speaks"] == pytest.approx(20)
    assert times["agent quiet"] == times["mark a"] == pytest.approx(60)


async def test_clear_drops_what_was_not_heard_and_returns_every_mark(gateway: Gateway) -> None:
    cleared = anyio.Event()

    async def run(line: Line) -> None:
        await line.receive_until("start")
        await line.receive_until("media")
        await line.play(WORD * 50)
        await line.mark("a")
        await line.play(WORD * 50)
        await line.mark("b")
        await cleared.wait()
        await line.clear()
        await line.mark("c")
        await gateway.record(line)

    clock = ManualClock()
    gateway.run = run
    gateway.connect()
    async with caller(gateway, clock=clock) as call:
        await call.wait_for("queued mark b")
        await ticks(clock, 3)
        cleared.set()
        await gateway.until(lambda: len(gateway.of("mark")) == 3)
        await ticks(clock, 2)
        assert call.heard == QUIET + WORD * 3 + QUIET * 2
    assert [message["mark"]["name"] for message in gateway.of("mark")] == ["a", "b", "c"]
    words = [event for _, event in call.timeline]
    assert words.index("clear") < words.index("mark a") < words.index("mark b") < words.index("mark c")


async def test_marks_may_come_back_late(gateway: Gateway) -> None:
    async def run(line: Line) -> None:
        await line.receive_until("start")
        await line.mark("a")
        await gateway.record(line)

    clock = ManualClock()
    gateway.run = run
    gateway.connect()
    async with caller(gateway, mark_delay_ms=100, clock=clock) as call:
        await call.wait_for("queued mark a")
        await ticks(clock, 4)
        assert "mark a" not in [event for _, event in call.timeline]
        await ticks(clock, 1)
        assert await call.wait_for("mark a") == pytest.approx(100)


async def test_waiting_for_the_agent_and_for_oneself(gateway: Gateway) -> None:
    async def run(line: Line) -> None:
        await line.receive_until("start")
        for _ in range(150):
            heard = await line.receive()
            if b64decode(heard["media"]["payload"]) == QUIET:
                break
        await line.play(WORD * 25)
        await gateway.record(line)

    gateway.run = run
    gateway.connect()
    async with caller(gateway, speech=WORD * 10, clock=ScaledClock(10)) as call:
        call.say(WORD * 5)
        await call.said()
        await call.agent_started()
        await call.agent_finished(quiet_ms=200)
        assert WORD * 15 in call.sent
        assert WORD * 25 in call.heard
        order = [event for _, event in call.timeline if event.split()[0] in {"caller", "agent"}]
        assert order == ["caller speaks", "caller quiet", "agent speaks", "agent quiet"]
        began = await call.wait_for("agent speaks")
        assert call.media_began_ms is not None
        assert call.heard.index(WORD) / 8 == pytest.approx(began - call.media_began_ms, abs=60)
        with pytest.raises(DeadlineExceeded):
            await call.wait_for("mark", 0.1)
    with pytest.raises(CallError, match="ended before the event 'mark'"):
        await call.wait_for("mark")


# ── ends ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_when_the_gateway_closes_the_next_verb_follows(gateway: Gateway) -> None:
    gateway.run = close_at_once
    gateway.close = (4000, "bye")
    gateway.connect(then='<Play digits="1w2W#"/><Say>bye</Say><Dial>+15550100003</Dial>')
    async with caller(gateway, clock=ScaledClock(50), status_callback_url=f"{gateway.url}/status") as call:
        await call.wait_ended()
    assert (call.ended_by, call.close_code, call.refused) == ("server", 4000, None)
    assert call.played_digits == ["1w2W#"]
    assert call.dialled == ["+15550100003"]
    words = [event for _, event in call.timeline]
    assert words[-5:] == [
        "closed by the server 4000",
        "play 1w2W#",
        "say bye",
        "dial +15550100003",
        "completed completed",
    ]
    times = {event: ms for ms, event in call.timeline}
    assert times["say bye"] - times["play 1w2W#"] >= 1500
    assert gateway.told("/status")[0]["CallStatus"] == "completed"


async def test_when_the_gateway_closes_the_action_is_asked(gateway: Gateway) -> None:
    gateway.run = close_at_once
    gateway.connect(connect='action="/after"', then="<Play digits='1'/>")
    gateway.answer("<Redirect>/voice</Redirect>")
    gateway.answer('<Dial action="/after"><Number>+15550100003</Number></Dial>')
    gateway.answer("<Hangup/><Play digits='2'/>")
    async with caller(gateway) as call:
        await call.wait_ended()
    assert gateway.paths() == ["/voice", "/media", "/after", "/voice", "/after"]
    assert [fields["CallStatus"] for fields in gateway.told("/after")] == ["in-progress", "in-progress"]
    assert gateway.told("/after")[1]["DialCallStatus"] == "completed"
    assert call.played_digits == []


async def test_a_second_stream_goes_on_with_the_same_time(gateway: Gateway) -> None:
    gateway.run = close_at_once
    gateway.connect(then=f"<Pause length='2'/><Connect><Stream url='{gateway.media_url}'/></Connect>")
    clock = ManualClock()
    async with caller(gateway, clock=clock) as call:
        first = call.start["streamSid"]
        await call.wait_for("pause 2")
        gateway.run = gateway.record
        await clock.advance(2.001)
        await call.wait_for("stream started", count=2)
        await clock.advance(0.02)
        assert call.start["streamSid"] != first
        await gateway.until(lambda: len(gateway.of("media")) == 2)
        assert gateway.of("start")[0]["sequenceNumber"] == "1"
        assert len(call.heard) == len(call.sent) == 160 * 102


async def test_redirects_in_a_circle_end(gateway: Gateway) -> None:
    for _ in range(101):
        gateway.answer("<Redirect>/voice</Redirect>")
    async with caller(gateway) as call:
        await call.wait_ended()
    assert len(gateway.requests) == 101


async def test_hanging_up_while_twilio_waits(gateway: Gateway) -> None:
    gateway.answer("<Pause length='60'/>")
    async with caller(gateway, clock=ManualClock(), status_callback_url=f"{gateway.url}/status") as call:
        await call.hang_up()
        await call.hang_up()
    assert gateway.paths() == ["/voice", "/status"]


@pytest.mark.parametrize("error", [ZeroDivisionError, pytest.fail.Exception])
async def test_leaving_with_an_error_keeps_the_error_as_it_is(gateway: Gateway, error: type[BaseException]) -> None:
    gateway.connect()
    with pytest.raises(error):
        async with caller(gateway) as call:
            raise error
    assert call.ended
    await gateway.until(lambda: gateway.lost is not None)


async def test_leaving_is_bounded_when_the_gateway_is_deaf(gateway: Gateway) -> None:
    deaf = anyio.Event()

    async def run(line: Line) -> None:
        await deaf.wait()

    gateway.run = run
    gateway.connect()
    with anyio.fail_after(10):
        async with caller(gateway, clock=ScaledClock(20)) as call:
            pass
    assert call.ended_by == "caller"
    deaf.set()


async def test_dialling_can_be_cancelled(gateway: Gateway) -> None:
    gateway.connect()
    with anyio.move_on_after(0) as scope:
        async with caller(gateway):
            pass
    assert scope.cancelled_caught


# ── speech from files ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_speech_from_files(gateway: Gateway, tmp_path: Path) -> None:
    wav.write(tmp_path / "word.wav", TWILIO, WORD * 2)
    (tmp_path / "word.ulaw").write_bytes(WORD * 3)
    for name, words in (("word.wav", 2), ("word.ulaw", 3)):
        gateway.connect()
        async with caller(gateway, speech=tmp_path / name, clock=ScaledClock(20)) as call:
            await call.said()
        assert call.sent.startswith(WORD * words)
        assert call.sent.count(WORD) == words
    with pytest.raises(InvalidConfig, match="cannot be read"):
        async with caller(gateway, speech=tmp_path / "none.wav"):
            pass


# ── together with the package's own side ─────────────────────────────────────────────────────────────────────────────


async def test_line_and_caller_understand_each_other(gateway: Gateway) -> None:
    events: list[Any] = []

    async def run(theirs: Line) -> None:
        line = TwilioLine(theirs.socket)
        try:
            while True:
                events.append(await line.receive())
                if isinstance(events[-1], StreamStarted):
                    await line.send_media(WORD * 100)
                    await line.send_mark("a")
                    await line.clear()
                    await line.send_mark("b")
        except ConnectionLost:
            return

    gateway.run = run
    gateway.connect('<Parameter name="token" value="t"/>')
    async with caller(gateway, speech=WORD, clock=ScaledClock(5)) as call:
        await call.wait_for("mark b")
        await call.press("*")
        await call.said()
    assert call.warnings == []
    assert events[1] == StreamStarted(str(call.start["streamSid"]), call.call_sid, TWILIO, {"token": "t"})
    heard = [event for event in events if isinstance(event, MediaReceived)]
    assert WORD in [event.payload for event in heard]
    assert isinstance(events[-1], StreamStopped)
