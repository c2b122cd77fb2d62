"""The two directions of a call's audio, as Python uses them."""

from base64 import b64encode
from threading import Thread
from typing import Any

import pytest

from trunkline._native._rust import (
    AudioQueued,
    AudioSent,
    Close,
    Downlink,
    Failed,
    MarkSent,
    Ping,
    Uplink,
    WebSocketCodec,
)
from trunkline.audio import OPENAI, TWILIO, StreamConverter
from trunkline.errors import InvalidAudioData, InvalidConfig, LocalProtocolError, RemoteProtocolError
from trunkline.wire.media import Counter, Expected, MarkTemplate, MediaShape, MediaTemplate

CARRIER = MediaShape(
    audio="media.payload", expected=(Expected("event", "media"),), counter=Counter("number", is_text=True)
)
PROVIDER = MediaShape(
    audio="delta", expected=(Expected("type", "audio"),), response_id="response_id", item_id="item_id"
)
APPEND = MediaTemplate(head='{"audio":"', tail='"}')
MEDIA = MediaTemplate(head='{"media":"', tail='"}')
MARK = MarkTemplate('{"mark":"', '"}')
FRAME = bytes(range(160))


def encoded(audio: bytes) -> str:
    return b64encode(audio).decode()


def media(number: int, audio: bytes = FRAME) -> str:
    return f'{{"event":"media","number":"{number}","media":{{"payload":"{encoded(audio)}"}}}}'


def delta(audio: bytes, item_id: str = "i") -> str:
    return f'{{"type":"audio","response_id":"r","item_id":"{item_id}","delta":"{encoded(audio)}"}}'


class Call:
    """A carrier's and a provider's socket with a link each way."""

    def __init__(self, **options: Any) -> None:
        self.phone = WebSocketCodec(is_client=True, max_size=2**20)
        self.model = WebSocketCodec(is_client=False, max_size=2**20)
        self.carrier = WebSocketCodec(is_client=False, max_size=65_536)
        self.provider = WebSocketCodec(is_client=True, max_size=2**20)
        self.up = Uplink(self.carrier, CARRIER, TWILIO, **options)
        self.down = Downlink(MEDIA, TWILIO, mark=MARK)

    def connect(self, *, position: int | None = None) -> None:
        self.up.connect(APPEND, OPENAI, position=position)
        self.down.connect(self.provider, PROVIDER, OPENAI)

    def to_model(self, out: bytes | None) -> list[object]:
        return list(self.model.feed(out or b""))

    def to_phone(self, out: bytes | None) -> list[object]:
        return list(self.phone.feed(out or b""))


def test_callers_audio_is_converted_on_its_way() -> None:
    call = Call()
    call.connect()
    converter = StreamConverter(TWILIO, OPENAI)
    for number in range(3):
        out, control = call.up.feed(call.phone.text(media(number)), 1.0)
        assert call.to_model(out) == [f'{{"audio":"{encoded(converter.convert(FRAME))}"}}']
        assert control is None
    tail = call.up.flush()
    assert call.to_model(tail) == [f'{{"audio":"{encoded(converter.flush())}"}}']


def test_messages_that_are_no_audio_come_in_the_order_of_the_wire() -> None:
    call = Call()
    call.connect()
    phone = call.phone
    read = [phone.text(media(1)), phone.text("mark"), phone.ping(b"?"), phone.text(media(2)), phone.binary(b"x")]
    out, control = call.up.feed(b"".join([*read, phone.close(1001, "bye"), phone.text(media(3))]), 1.0)
    assert len(call.to_model(out)) == 1
    assert control == "mark"
    out, control = call.up.resume(1.0)
    assert out is None
    assert isinstance(control, Ping)
    assert control.payload == b"?"
    out, control = call.up.resume(1.0)
    assert len(call.to_model(out)) == 1
    assert control == b"x"
    out, control = call.up.resume(1.0)
    assert isinstance(control, Close)
    assert (out, control.code, control.reason) == (None, 1001, "bye")
    assert call.up.resume(1.0) == (None, None)
    assert call.up.stats.received_messages == 2


def test_link_may_take_over_a_codec_that_has_read_half_a_message_and_give_it_back() -> None:
    call = Call()
    call.connect()
    wire = call.phone.text("start") + call.phone.text(media(1)) + call.phone.text("stop") + call.phone.text("after")
    assert call.carrier.feed(wire[:40]) == ["start"]
    out, control = call.up.feed(wire[40:], 1.0)
    assert (len(call.to_model(out)), control) == (1, "stop")
    assert call.carrier.feed(b"") == ["after"]


@pytest.mark.parametrize(("wire", "code"), [(b"\x81\x02hi", 1002), (b"\x81\x81\x00\x00\x00\x00\xff", 1007)])
def test_failure_is_told_after_what_came_before(wire: bytes, code: int) -> None:
    call = Call()
    call.connect()
    out, control = call.up.feed(call.phone.text(media(1)) + wire, 1.0)
    assert len(call.to_model(out)) == 1
    assert isinstance(control, Failed)
    assert control.code == code
    assert isinstance(control.error, RemoteProtocolError)


def test_new_provider_hears_again_what_the_last_one_may_not_have() -> None:
    call = Call(history_ms=5000)
    for number in range(100):
        assert call.up.feed(call.phone.text(media(number)), number / 50) == (None, None)
    call.connect(position=call.up.sent)
    assert call.up.behind == 16_000
    replayed = []
    while call.up.behind:
        replayed += call.to_model(call.up.replay())
    converter = StreamConverter(TWILIO, OPENAI)
    assert replayed == [f'{{"audio":"{encoded(converter.convert(FRAME * 50))}"}}' for _ in range(2)]
    assert call.up.replay() is None
    assert (call.up.start, call.up.sent, call.up.end) == (0, 16_000, 16_000)


def test_agents_audio_is_paced_marked_and_logged() -> None:
    call = Call()
    call.connect()
    audio = bytes(48_000)  # a second
    out, control = call.down.feed(call.model.text(delta(audio)), 1.0)
    assert (out, control) == (None, delta(audio))
    call.down.admit("r", "i")
    sent = call.to_phone(call.down.write("i", audio, 1.0))
    assert sent[1] == '{"mark":"0:3200"}'
    assert call.down.feed(call.model.text(delta(audio)), 1.0) == (None, None)
    assert call.down.ahead_ms(1.1) == pytest.approx(300)
    due = call.down.due
    assert due is not None
    assert due == pytest.approx(1.2)
    assert call.to_phone(call.down.fill(due))[1] == '{"mark":"0:4800"}'
    queued, *rest = call.down.take_log()
    assert isinstance(queued, AudioQueued)
    assert (queued.item_id, queued.at) == ("i", 1.0)
    told: list[tuple[object, ...]] = []
    for entry in rest:
        match entry:
            case AudioSent(item_id, size, at):
                told.append((item_id, size, at))
            case MarkSent(name, at):
                told.append((name, at))
    assert told == [("i", 3200, 1.0), ("0:3200", 1.0), ("i", 1600, due), ("0:4800", due)]
    assert call.down.take_log() == []
    assert call.down.clear(1.3) == call.down.stats.received_bytes // 6 + 7982 - 4800
    assert (call.down.queued, call.down.due) == (0, None)


def test_first_audio_after_an_interruption_goes_to_python() -> None:
    call = Call()
    call.connect()
    call.down.admit("r", "i")
    assert call.down.feed(call.model.text(delta(bytes(960))), 1.0)[1] is None
    call.down.shut()
    assert call.down.feed(call.model.text(delta(bytes(960))), 1.0)[1] == delta(bytes(960))
    call.down.admit("r", "j")
    assert call.down.feed(call.model.text(delta(bytes(960))), 1.0)[1] == delta(bytes(960))
    assert call.down.feed(call.model.text(delta(bytes(960), "j")), 1.0)[1] is None


def test_held_audio_is_heard_again_on_release() -> None:
    call = Call()
    out = call.down.write("i", FRAME * 40, 1.0, is_converted=True)
    assert len(call.to_phone(out)) == 2
    call.down.hold(1600, 1.2)
    assert call.down.fill(5.0) is None
    (message, mark) = call.to_phone(call.down.release(5.0))
    assert message == f'{{"media":"{encoded((FRAME * 40)[1600:4800])}"}}'
    assert mark == '{"mark":"1:3200"}'


def test_taps_and_silence() -> None:
    call = Call(quiet_dbfs=-46.0)
    call.up.collect(True)
    call.up.feed(call.phone.text(media(1, b"\xff" * 160)), 3.0)
    assert call.up.take_frames() == [(b"\xff" * 160, 3.0)]
    assert call.up.silent_ms == pytest.approx(20)
    call.up.heard()
    assert call.up.silent_ms == 0
    call.down.collect(True)
    call.down.write("i", FRAME, 4.0, is_converted=True)
    assert call.down.take_frames() == [(FRAME, 4.0)]
    assert call.up.pause(3.0) == 0


def test_counters_tell_of_missing_messages() -> None:
    call = Call()
    call.up.count(1)
    call.up.feed(call.phone.text(media(2)) + call.phone.text(media(5)), 1.0)
    call.up.count(4)
    stats = call.up.stats
    assert (stats.missing, stats.reordered, stats.received_bytes, stats.last_at) == (2, 1, 320, 1.0)
    assert call.up.stats == stats
    assert call.down.stats.last_at is None


def test_what_cannot_work_is_refused_by_name() -> None:
    call = Call()
    with pytest.raises(LocalProtocolError, match="no provider"):
        call.down.feed(b"", 1.0)
    for moment in (float("nan"), float("inf")):
        with pytest.raises(InvalidConfig, match="now"):
            call.up.feed(b"", moment)
        with pytest.raises(InvalidConfig, match="now"):
            call.down.fill(moment)
    with pytest.raises(InvalidConfig, match="history"):
        Uplink(call.carrier, CARRIER, TWILIO, history_ms=10)
    with pytest.raises(InvalidConfig, match="ids"):
        Uplink(call.carrier, PROVIDER, TWILIO)
    with pytest.raises(InvalidConfig, match="path"):
        Uplink(call.carrier, MediaShape(audio="a..b"), TWILIO)
    with pytest.raises(InvalidConfig, match="any length"):
        call.up.connect(MediaTemplate(head=None, frame_bytes=160), OPENAI)
    with pytest.raises(InvalidConfig, match="frame_bytes"):
        Downlink(MediaTemplate(head=None, frame_bytes=161), OPENAI)
    with pytest.raises(InvalidConfig, match="lead"):
        Downlink(MEDIA, TWILIO, lead_ms=0)
    with pytest.raises(TypeError, match="Anything"):
        Uplink(call.carrier, MediaShape(audio="a", expected=(Expected("b", True),)), TWILIO)
    with pytest.raises(InvalidConfig, match="position"):
        call.up.connect(APPEND, OPENAI, position=-1)
    with pytest.raises(InvalidConfig, match="frame_bytes"):
        Downlink(MediaTemplate(head="", frame_bytes=-1), TWILIO)
    with pytest.raises(TypeError, match="audio"):
        Uplink(call.carrier, APPEND, TWILIO)  # type: ignore[arg-type]
    with pytest.raises(InvalidAudioData):
        call.up.push(memoryview(b"abcdef")[::2], 1.0)


def test_links_are_not_confused_by_threads() -> None:
    """Whoever comes while another thread is inside is told so, and nothing else happens."""
    call = Call()
    call.connect()
    messages, busy = 400, []
    wire = [call.phone.text(media(number, bytes(12_000))) for number in range(messages)]

    def look() -> None:
        for _ in range(20_000):
            try:
                assert call.up.sent <= call.up.end
            except RuntimeError as error:
                busy.append(error)

    thread = Thread(target=look)
    thread.start()
    for data in wire:
        while True:
            try:
                call.up.feed(data, 1.0)
            except RuntimeError as error:
                busy.append(error)
            else:
                break
    thread.join()
    assert call.up.stats.received_messages == messages
    assert call.up.stats.received_bytes == messages * 12_000
    assert all("another thread is using this Uplink" in str(error) for error in busy)
