"""The WebSocket codec of the core, beside the one of `websockets`."""

import codecs
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Close as OracleClose
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, OPEN, SERVER, Protocol

from trunkline._native._rust import Close, Failed, Ping, Pong, WebSocketCodec
from trunkline.errors import InvalidConfig, LocalProtocolError, MessageTooLarge, RemoteProtocolError

LIMIT = 2**20
DATA = st.text(max_size=200) | st.binary(max_size=70_000)


def plain(message: object) -> object:
    """A message as something that can be compared."""
    match message:
        case Ping(payload):
            return ("ping", payload)
        case Pong(payload):
            return ("pong", payload)
        case Close(code, reason):
            return ("close", code, reason)
        case Failed(code, _):
            return ("failed", code)
    return message


class Oracle:
    """Messages as `websockets` reads them; it leaves joining fragments and checking text to its user."""

    def __init__(self, *, is_client: bool, max_size: int = LIMIT) -> None:
        self.protocol = Protocol(CLIENT if is_client else SERVER, state=OPEN, max_size=max_size)
        self._parts: list[Any] = []
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes) -> list[object]:
        self.protocol.receive_data(data)
        messages: list[object] = []
        for event in self.protocol.events_received():
            assert isinstance(event, Frame)
            try:
                messages += self._take(event)
            except UnicodeDecodeError:
                return [*messages, ("failed", 1007)]
        error = self.protocol.parser_exc
        if isinstance(error, PayloadTooBig):
            messages.append(("failed", 1009))
        elif isinstance(error, UnicodeDecodeError):
            messages.append(("failed", 1007))
        elif isinstance(error, ProtocolError):
            messages.append(("failed", 1002))
        return messages

    def _take(self, frame: Frame) -> list[object]:
        if frame.opcode is Opcode.PING:
            return [("ping", bytes(frame.data))]
        if frame.opcode is Opcode.PONG:
            return [("pong", bytes(frame.data))]
        if frame.opcode is Opcode.CLOSE:
            close = OracleClose.parse(bytes(frame.data))
            return [("close", close.code, close.reason)]
        if frame.opcode is not Opcode.CONT:
            self._decoder = codecs.getincrementaldecoder("utf-8")() if frame.opcode is Opcode.TEXT else None
            self._parts = []
        data = bytes(frame.data)
        self._parts.append(self._decoder.decode(data, frame.fin) if self._decoder else data)
        if not frame.fin:
            return []
        return [("" if self._decoder else b"").join(self._parts)]


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def read(codec: WebSocketCodec, parts: list[bytes]) -> list[object]:
    messages: list[object] = []
    for part in parts:
        messages += [plain(message) for message in codec.feed(part)]
        if codec.has_ended:
            break
    return messages


@given(st.booleans(), st.lists(st.tuples(DATA, st.lists(st.integers(0, 2**17), max_size=3)), max_size=6), st.data())
def test_codec_reads_what_websockets_writes(
    is_client: bool, messages: list[tuple[str | bytes, list[int]]], data: st.DataObject
) -> None:
    protocol = Protocol(SERVER if is_client else CLIENT, state=OPEN)
    expected: list[object] = []
    for message, cuts in messages:
        encoded = message.encode() if isinstance(message, str) else message
        first, *rest = pieces(encoded, cuts) or [b""]
        send = protocol.send_text if isinstance(message, str) else protocol.send_binary
        send(first, fin=not rest)
        for index, part in enumerate(rest, 1):
            protocol.send_ping(bytes([index]))
            expected.append(("ping", bytes([index])))
            protocol.send_continuation(part, fin=index == len(rest))
        expected.append(message)
    protocol.send_close(1001, "away")
    expected.append(("close", 1001, "away"))
    wire = b"".join(protocol.data_to_send())
    cuts = data.draw(st.lists(st.integers(0, 2**20), max_size=20))
    assert read(WebSocketCodec(is_client=is_client, max_size=LIMIT), pieces(wire, cuts)) == expected


@given(st.booleans(), st.lists(DATA, max_size=6), st.binary(max_size=125), st.lists(st.integers(0, 2**20), max_size=20))
def test_websockets_reads_what_codec_writes(
    is_client: bool, messages: list[str | bytes], payload: bytes, cuts: list[int]
) -> None:
    codec = WebSocketCodec(is_client=is_client, max_size=LIMIT)
    frames = [codec.text(message) if isinstance(message, str) else codec.binary(message) for message in messages]
    wire = b"".join([*frames, codec.ping(payload), codec.pong(payload), codec.close(4000, "bye")])
    oracle = Oracle(is_client=not is_client)
    read_by_it = [message for part in pieces(wire, cuts) for message in oracle.feed(part)]
    assert read_by_it == [*messages, ("ping", payload), ("pong", payload), ("close", 4000, "bye")]


def frames() -> st.SearchStrategy[bytes]:
    """Frames as they should not be, more often than not."""

    def frame(first: int, payload: bytes, key: bytes | None, wide: int) -> bytes:
        size = len(payload)
        length = {0: bytes([size]) if size < 126 else b"", 1: b"\x7e" + size.to_bytes(2, "big")}.get(wide, b"")
        length = length or b"\x7f" + size.to_bytes(8, "big")
        mask = key or b""
        head = bytes([length[0] | (0x80 if key else 0)]) + length[1:]
        body = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if key else payload
        return bytes([first]) + head + mask + body

    first = st.sampled_from([0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8A]) | st.integers(0, 255)
    close = st.builds(
        lambda code, reason: code.to_bytes(2, "big") + reason, st.integers(990, 1020), st.binary(max_size=4)
    )
    payload = (
        st.text(max_size=20).map(str.encode) | st.binary(max_size=130) | st.binary(min_size=100, max_size=150) | close
    )
    key = st.none() | st.binary(min_size=4, max_size=4)
    return st.builds(frame, first, payload, key, st.integers(0, 2))


@given(
    st.booleans(),
    st.lists(frames(), max_size=8),
    st.sampled_from([130, LIMIT]),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_codec_and_websockets_fail_alike(is_client: bool, wire: list[bytes], limit: int, cuts: list[int]) -> None:
    # The limit is above what a control frame may have, as `websockets` counts those too.
    data = b"".join(wire)
    codec = WebSocketCodec(is_client=is_client, max_size=limit)
    oracle = Oracle(is_client=is_client, max_size=limit)
    expected = oracle.feed(data)
    ours = read(codec, pieces(data, cuts))
    if expected[-1:] == [("failed", 1009)] and ours[-1:] == [("failed", 1002)]:
        expected[-1] = ("failed", 1002)  # a frame that is too large and out of place: either may be said of it
    if str(oracle.protocol.parser_exc) == "incomplete fragmented message" and isinstance(ours[-1], tuple):
        expected[-1:] = ours[-1:]  # a close frame between fragments, which RFC 6455 allows (section 5.4)
        assert ours[-1][0] == "close"
    assert ours == expected


@pytest.mark.parametrize(
    ("wire", "code", "error", "reason"),
    [
        (b"\xc1\x00", 1002, RemoteProtocolError, "a reserved bit"),
        (b"\x81\x01\xff", 1007, RemoteProtocolError, "text that is not UTF-8"),
        (b"\x82\x7e\x01\x00", 1009, MessageTooLarge, "a message of more than 100 bytes"),
    ],
)
def test_failure_tells_code_and_typed_error(wire: bytes, code: int, error: type[Exception], reason: str) -> None:
    codec = WebSocketCodec(is_client=True, max_size=100)
    before, failed = codec.feed(b"\x81\x02hi" + wire)
    assert before == "hi"
    assert isinstance(failed, Failed)
    assert (failed.code, failed.reason, type(failed.error)) == (code, reason, error)
    assert codec.has_ended
    (again,) = codec.feed(b"\x81\x02hi")
    assert isinstance(again, Failed)
    assert again.code == code


def test_close_without_a_code_is_1005_and_is_answered_without_one() -> None:
    client, server = WebSocketCodec(is_client=True, max_size=100), WebSocketCodec(is_client=False, max_size=100)
    (close,) = server.feed(client.close(1005))
    assert isinstance(close, Close)
    assert (close.code, close.reason, close.has_code) == (1005, "", False)
    (answer,) = client.feed(server.close(close.code))
    assert plain(answer) == ("close", 1005, "")
    assert client.feed(server.text("too late")) == []


def test_frames_that_must_not_be_sent_are_refused() -> None:
    codec = WebSocketCodec(is_client=False, max_size=100)
    for code in (-1, 999, 1004, 1006, 1015, 2000, 5000, 70_000):
        with pytest.raises(LocalProtocolError, match=str(code)):
            codec.close(code)
    with pytest.raises(LocalProtocolError, match="123 bytes here, got 124"):
        codec.close(1000, "é" * 62)
    with pytest.raises(LocalProtocolError, match="125 bytes here, got 126"):
        codec.ping(bytes(126))
    with pytest.raises(LocalProtocolError, match="surrogate"):
        codec.text("\ud800")
    with pytest.raises(LocalProtocolError, match="surrogate"):
        codec.close(1000, "\udfff")
    with pytest.raises(InvalidConfig):
        WebSocketCodec(is_client=True, max_size=0)


def test_masking_keys_are_not_those_of_another_connection() -> None:
    keys = {WebSocketCodec(is_client=True, max_size=100).ping()[2:6] for _ in range(50)}
    assert len(keys) == 50
