"""What is written down of a stream, what is not, and that it can be read again."""

import json
import logging
import stat
from io import StringIO
from pathlib import Path
from threading import Event

import anyio
import pytest

from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, InvalidConfig
from trunkline.transport import (
    MemoryStream,
    MessageStream,
    RecordedStream,
    Recording,
    Response,
    Route,
    Server,
    Upgrade,
    WebSocketConnection,
    connect_websocket,
    memory_pair,
    read_recording,
    record,
    recorded,
)
from trunkline.transport.http.routing import Request
from trunkline.transport.record import Ended, Message, Scrubber

pytestmark = pytest.mark.anyio


async def test_both_directions_are_written_in_order_with_their_times(tmp_path: Path) -> None:
    clock = ManualClock()
    ours, theirs = memory_pair()
    with Recording(tmp_path / "a.jsonl", clock=clock) as recording:
        stream: MessageStream = RecordedStream(ours, recording)
        await stream.send("hello")
        await clock.advance(1.5)
        await theirs.send(b"\x00\x01")
        assert await stream.receive() == b"\x00\x01"
        await theirs.aclose(1011, "fault")
        with pytest.raises(ConnectionLost) as lost:
            await stream.receive()
        assert lost.value.code == 1011
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines == [
        {"time": 0.0, "direction": "opened", "at": "2026-01-01T00:00:00+00:00"},
        {"time": 0.0, "direction": "sent", "text": "hello"},
        {"time": 1.5, "direction": "received", "base64": "AAE="},
        {"time": 1.5, "direction": "ended", "by": "them", "code": 1011, "reason": "fault"},
    ]
    assert read_recording(tmp_path / "a.jsonl") == [
        Message(0.0, "sent", "hello"),
        Message(1.5, "received", b"\x00\x01"),
        Ended(1.5, "them", 1011, "fault"),
    ]


async def test_a_message_that_was_not_sent_is_not_written(tmp_path: Path) -> None:
    ours, theirs = memory_pair()
    await theirs.aclose()
    with Recording(tmp_path / "a.jsonl") as recording, pytest.raises(ConnectionLost):
        await RecordedStream(ours, recording).send("lost")
    assert read_recording(tmp_path / "a.jsonl") == []


async def test_a_whole_connection(tmp_path: Path) -> None:
    async def echo(socket: WebSocketConnection) -> None:
        await socket.send(await socket.receive())
        with pytest.raises(ConnectionLost):
            await socket.receive()

    async def answer(request: Request) -> Response | Upgrade:
        return Upgrade(echo)

    path = tmp_path / "a.jsonl"
    async with Server([Route("GET", "/", answer)]) as server:
        async with recorded(connect_websocket(server.url), path) as stream:
            assert isinstance(stream, RecordedStream)
            await stream.send("hello")
            assert await stream.receive() == "hello"
        sent, received, ended = read_recording(path)
        assert isinstance(sent, Message)
        assert isinstance(received, Message)
        assert (sent.direction, received.direction) == ("sent", "received")
        assert isinstance(ended, Ended)
        assert (ended.by, ended.code) == ("us", 1000)
        async with recorded(connect_websocket(server.url), None) as stream:
            assert isinstance(stream, WebSocketConnection)


SECRETS = [
    ('{"key":"sk-proj-abcDEF123456"}', "sk-proj-abcDEF123456"),
    ('{"value":"ek_68af296e8e408191a1120ab6383263c2"}', "ek_68af296e8e408191a1120ab6383263c2"),
    ('{"Authorization": "Basic dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
    ('{"authorization":"opaque value"}', "opaque value"),
    ('{"headers":"{\\"x-api-key\\":\\"hunter2hunter2\\"}"}', "hunter2hunter2"),
    ('{"client_secret":"hunter2"}', "hunter2"),
    ('{"access_token":"abc.def"}', "abc.def"),
    ("authorization: Bearer abc123", "abc123"),
    ("say Bearer eyJhbGciOiJIUzI1NiJ9.e30.x please", "eyJhbGciOiJIUzI1NiJ9"),
    ("given:my own secret/1", "my own secret/1"),
    ("given:my%20own%20secret%2F1", "my%20own"),
    (json.dumps({"a": 'with "quotes"'}), "quotes"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_hidden_and_json_stays_json(text: str, secret: str) -> None:
    told = Scrubber(["my own secret/1", 'with "quotes"']).text(text)
    assert secret not in told
    assert "[hidden]" in told
    if text.startswith("{"):
        json.loads(told)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"response.output_audio.delta","delta":"Bearersk/ek+sk8sk12345678=="}',
        '{"max_output_tokens":400,"usage":{"total_tokens":12}}',
        '{"transcript":"The task-force met; a bearer of news was there, his authorization granted."}',
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Scrubber().text(text) == text


def test_a_given_secret_is_hidden_in_binary_messages_too() -> None:
    assert Scrubber(["top-secret"]).data(b"\xfftop-secret\x00") == b"\xff[hidden]\x00"
    assert Scrubber().data(b"\xfftop-secret\x00") == b"\xfftop-secret\x00"


def test_a_close_reason_is_scrubbed(tmp_path: Path) -> None:
    with Recording(tmp_path / "a.jsonl", secrets=["xyzzy"]) as recording:
        recording.ended("them", 3000, "bad key xyzzy")
    assert read_recording(tmp_path / "a.jsonl")[0] == Ended(pytest.approx(0, abs=5), "them", 3000, "bad key [hidden]")  # type: ignore[arg-type]


def test_a_recording_does_not_overwrite_another(tmp_path: Path) -> None:
    places = []
    for _ in range(3):
        with Recording(tmp_path / "call.jsonl") as recording:
            places.append(recording.path.name)
    assert places == ["call.jsonl", "call-2.jsonl", "call-3.jsonl"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="No such file"):
        Recording(tmp_path / "nowhere" / "call.jsonl")


class FullDisk(StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


async def test_a_full_disk_ends_the_recording_and_not_the_stream(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = memory_pair()
    assert isinstance(theirs, MemoryStream)
    with Recording(tmp_path / "a.jsonl") as recording:
        recording.flush()
        assert recording._file is not None
        recording._file.close()
        recording._file = FullDisk()
        stream = RecordedStream(ours, recording)
        for word in ("one", "two"):
            await stream.send(word)
            assert await theirs.receive() == word
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in told] == ["a recording ends early: No space left on device"]


class StuckDisk(StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.released = Event()

    def write(self, text: str) -> int:
        self.released.wait(10)
        return super().write(text)


async def test_slow_disk_holds_up_nobody_and_ends_the_recording_when_too_much_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record, "MAX_WAITING", 10)
    ours, theirs = memory_pair()
    disk = StuckDisk()
    with Recording(tmp_path / "a.jsonl") as recording:
        recording.flush()
        assert recording._file is not None
        recording._file.close()
        recording._file = disk
        stream = RecordedStream(ours, recording)
        for word in ("first", "other", "third", "fourth"):
            await stream.send(word)
            assert await theirs.receive() == word
        assert disk.getvalue() == ""
        disk.released.set()
    told = [entry.getMessage() for entry in caplog.records if entry.levelno >= logging.ERROR]
    assert told == ["a recording ends early: the disk does not keep up"]


async def test_closing_does_not_wait_for_ever_for_a_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "CLOSE_TIMEOUT", 0.05)
    disk = StuckDisk()
    recording = Recording(tmp_path / "a.jsonl")
    recording.flush()
    assert recording._file is not None
    recording._file.close()
    recording._file = disk
    recording.message("sent", "late")
    with anyio.fail_after(5):
        await recording.aclose()
    disk.released.set()
    recording.close()


def test_lines_are_written_before_the_end(tmp_path: Path) -> None:
    with Recording(tmp_path / "a.jsonl") as recording:
        recording.message("sent", "hello")
        recording.flush()
        assert [type(entry) for entry in read_recording(recording.path)] == [Message]


def test_recording_is_for_its_user_alone(tmp_path: Path) -> None:
    with Recording(tmp_path / "a.jsonl") as recording:
        assert stat.S_IMODE(recording.path.stat().st_mode) == 0o600


def test_a_recording_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"time": 0, "direction": "sent", "text": "a"}\n{"time": 1, "direc')
    assert read_recording(path) == [Message(0.0, "sent", "a")]


@pytest.mark.parametrize("text", ["nonsense", '{"time": 0, "direction": "up", "text": ""}\n{}\n', "[]\n[]"])
def test_what_is_no_recording(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(InvalidConfig, match="line 1"):
        read_recording(path)
    with pytest.raises(InvalidConfig, match="cannot be read"):
        read_recording(tmp_path / "none.jsonl")


@pytest.mark.parametrize(
    "text",
    [
        "the key AIzaSyD-0123456789abcdef is not valid",
        "Authorization: Token auth_tokens/0123456789abcdef",
        "GET wss://example.com/ws?alt=x&key=0123456789abcdef HTTP/1.1",
        "wss://example.com/ws?access_token=0123456789abcdef#part",
        "x-goog-api-key: 0123456789abcdef",
        '{"sessionResumptionUpdate":{"newHandle":"0123456789abcdef","resumable":true}}',
        '{"setup":{"sessionResumption":{"handle":"0123456789abcdef"}}}',
    ],
)
def test_secrets_of_any_vendor_are_hidden_in_text_and_in_binary_json(text: str) -> None:
    assert "0123456789abcdef" not in Scrubber().text(text)
    wrapped = json.dumps({"said": text}).encode()
    assert b"0123456789abcdef" not in Scrubber().data(wrapped)
    json.loads(Scrubber().data(wrapped))


def test_ordinary_words_are_kept() -> None:
    text = '{"text":"the key to it is a token of love, and a handle on things","token_count":7,"keyboard":"a=b&c"}'
    assert Scrubber().text(text) == text
    assert Scrubber().data(b"\x00\xff{not json") == b"\x00\xff{not json"
